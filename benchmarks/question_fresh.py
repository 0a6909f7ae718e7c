"""The guard, growing caps and hard problems once more, on fresh seeds. Pure.

Registered after the four rounds before it were known, and before any run of what follows. Over five seeds the guard
kept a better model than patience by 6.0 points [2.1, 10.0] and growing caps lost 4.7 [1.6, 7.8] to a cap of 192; both
intervals are on one side of zero, and neither stands after Holm's correction over ten comparisons and six. By those
deviations over seeds, 3.2 and 2.5 points, ten fresh seeds tell 2.3 and 1.8 points from zero. Hard problems alone lost
11.0 points [3.3, 18.7] over five seeds and 6.2 [2.0, 10.3] over fifteen others; the second stood after the correction
(p 0.033) until three more comparisons of its round were answered (0.053). By its deviation, 7.5 points, twenty fresh
seeds tell 3.5 from zero. Fresh seeds alone count: 6 to 15, and 21 to 40 for hard problems.

Decisions beyond those of question_first.py:
- Holm's correction is over this round's three primary comparisons.
- Arms are those of the rounds before, unchanged.

Not covered: other collapses than the two.
"""

from collections.abc import Mapping
from dataclasses import replace

from question_first import FIRST
from question_forms import Question
from question_gentle import GENTLE

_TEN, _TWENTY = tuple(range(6, 16)), tuple(range(21, 41))


def _between(question: Question, *arms: str) -> Question:
    """Some arms of a question, with the comparisons between them."""
    kept = tuple(one for one in question.comparisons if {*one.arms, *one.against} <= {*arms})
    return replace(question, arms=arms, comparisons=kept)


FRESH: Mapping[str, Question] = {
    "guard-again": replace(
        FIRST["guard"],
        title="The guard against plain early stopping, on ten fresh seeds",
        hypothesis=(
            "The arms of the first round. Predicted: the guard keeps a better model than patience, by 3 to 9 points in "
            "the mean of both collapses, because patience stops before the collapse has run its course and the guard "
            "goes on at a lower rate; it samples more tokens for it; against doing nothing it gains less than 3 points,"
            " since the best on validation is kept either way."
        ),
        seeds=_TEN,
        round=5,
    ),
    "lengths-again": replace(
        _between(GENTLE["lengths-gentle"], "gentle cap 192", "gentle growing"),
        title="Growing caps against a fixed one at equal tokens, on ten fresh seeds",
        hypothesis=(
            "Two arms of the fourth round. Predicted: growing caps are 2 to 7 points less accurate than 192, and need "
            "more than 20 tokens fewer per right answer."
        ),
        seeds=_TEN,
        round=5,
    ),
    "difficulty-again": replace(
        _between(FIRST["difficulty"], "8 x 4", "hard"),
        title="Hard problems alone against mixed ones, on twenty more seeds",
        hypothesis=(
            "Two arms of the first round. Predicted: hard problems alone are worse than mixed ones, by 3 to 9 points."
        ),
        seeds=_TWENTY,
        round=5,
    ),
}
