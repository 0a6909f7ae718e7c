"""All questions in miniature and their arms: the first round's, the second's, and other domains. Pure.

Not covered: running them (benchmarks/questions.py).
"""

from collections.abc import Mapping

from question_domains import DOMAIN_ARMS, DOMAINS
from question_first import FIRST, FIRST_ARMS
from question_forms import Arm, Question
from question_second import SECOND, SECOND_ARMS

ARMS: Mapping[str, Arm] = {**FIRST_ARMS, **SECOND_ARMS, **DOMAIN_ARMS}
"""By name. $DATA is the folder of the sets and bases that benchmarks/questions.py makes."""
QUESTIONS: Mapping[str, Question] = {**FIRST, **SECOND, "domains": DOMAINS}
