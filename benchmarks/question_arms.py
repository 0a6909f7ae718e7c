"""All questions in miniature and their arms: two rounds, other domains, a gentler rate, fresh seeds, four sizes. Pure.

Not covered: running them (benchmarks/questions.py).
"""

from collections.abc import Mapping

from question_domains import DOMAIN_ARMS, DOMAINS
from question_first import FIRST, FIRST_ARMS
from question_forms import Arm, Question
from question_four_sizes import FOUR_SIZES, FOUR_SIZES_ARMS
from question_fresh import FRESH
from question_gentle import GENTLE, GENTLE_ARMS
from question_second import SECOND, SECOND_ARMS

ARMS: Mapping[str, Arm] = {**FIRST_ARMS, **SECOND_ARMS, **DOMAIN_ARMS, **GENTLE_ARMS, **FOUR_SIZES_ARMS}
"""By name. $DATA is the folder of the sets and bases that benchmarks/questions.py makes."""
QUESTIONS: Mapping[str, Question] = {**FIRST, **SECOND, "domains": DOMAINS, **GENTLE, **FRESH, "four-sizes": FOUR_SIZES}
