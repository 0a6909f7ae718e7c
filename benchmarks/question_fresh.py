"""The guard and the length schedules on ten fresh seeds. Pure.

Registered after the four rounds before it were known, and before any run of what follows. Over five seeds the guard
kept a better model than patience by 6.0 points [2.1, 10.0] and growing caps lost 4.7 [1.6, 7.8] to a cap of 192; both
intervals are on one side of zero, and neither stands after Holm's correction over ten comparisons and six. By those
deviations over seeds, 3.2 and 2.5 points, ten fresh seeds tell 2.3 and 1.8 points from zero. Seeds 6 to 15 alone count:
the first five are what the questions were chosen by.

Decisions beyond those of question_first.py:
- Holm's correction is over this round's two primary comparisons.
- Arms are those of the rounds before, unchanged.

Not covered: other collapses than the two.
"""

from collections.abc import Mapping
from dataclasses import replace

from question_first import FIRST
from question_forms import Question
from question_gentle import GENTLE

_SEEDS = tuple(range(6, 16))
_LENGTH_ARMS = ("gentle cap 192", "gentle growing")

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
        seeds=_SEEDS,
        round=5,
    ),
    "lengths-again": replace(
        GENTLE["lengths-gentle"],
        title="Growing caps against a fixed one at equal tokens, on ten fresh seeds",
        hypothesis=(
            "Two arms of the fourth round. Predicted: growing caps are 2 to 7 points less accurate than 192, and need "
            "more than 20 tokens fewer per right answer."
        ),
        arms=_LENGTH_ARMS,
        comparisons=tuple(
            one for one in GENTLE["lengths-gentle"].comparisons if {*one.arms, *one.against} <= {*_LENGTH_ARMS}
        ),
        seeds=_SEEDS,
        round=5,
    ),
}
