"""A model as a second witness: are two texts one problem in other words?

It is asked about the few pairs that the rule of `data.restated` finds doubtful, or that have no golds to compare, and
nothing else depends on it. Its answers are cached like a solver's samples. An unreadable answer, a refusal or a failed
request counts as "no": without a witness that says so, a problem stays in the pool.
"""

import re

from frugalrl.curation.sample_cache import SampleCache
from frugalrl.curation.sampling import answered
from frugalrl.curation.solver import Solver
from frugalrl.data.restated_index import SameProblem
from frugalrl.verify.maths.extraction import text_after_reasoning

WITNESS_TEMPLATE = (
    "Are these two texts the same mathematical problem, told in other words? They are the same if the same given facts "
    "and the same question lead to the same answer, whatever the names and the story. They are different if any "
    "number, sign, condition or the question itself differs, even if both are of one kind.\n\n{problem}\n\n"
    "Answer with one word: SAME or DIFFERENT."
)
_WORD = re.compile(r"\b(SAME|DIFFERENT)\b", re.IGNORECASE)


def witness_of(solver: Solver, cache: SampleCache) -> SameProblem:
    """A witness that asks a model; its solver's template is `WITNESS_TEMPLATE`. Raises ModelError when asked."""

    def same_problem(one: str, other: str) -> bool:
        found = answered(solver, [(f"First text:\n{one}\n\nSecond text:\n{other}", 0)], cache)
        return bool(found) and says_same(found[0].completion, found[0].reasoning_open)

    return same_problem


def says_same(completion: str, reasoning_open: bool = False) -> bool:
    """Whether the last word of an answer's that counts is SAME."""
    words = _WORD.findall(text_after_reasoning(completion, reasoning_open) or "")
    return bool(words) and words[-1].upper() == "SAME"
