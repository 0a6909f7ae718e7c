"""50, 200, 1,000 and 4,000 problems in runs that are long enough to tell them apart. Pure.

Registered after 100 steps from 50, 200 and 4,000 problems were known (question_second.py), and before any run of what
follows. In 100 steps no problem of 1,000 comes twice; in 250 steps of 8 prompts each comes twice, those of 200 ten
times, those of 50 forty times and those of 4,000 once at most. Seeds 11 to 15 have had no longer runs before.

Decisions beyond those of question_first.py:
- A round of its own with one primary comparison, so that Holm's correction changes nothing.

Not covered: other difficulties than the mixture.
"""

from collections.abc import Mapping

from question_first import groups
from question_forms import Arm, Comparison, Question, Words

_STEPS = "training.steps=250"


def _less_4000(count: str, words: Words | None = None) -> Comparison:
    """Accuracy with so many problems less that with 4,000."""
    return Comparison(
        f"accuracy with {count} problems less that with 4,000, 250 steps",
        f"{count} problems",
        (f"{count} problems, 250 steps",),
        ("4,000 problems, 250 steps",),
        words=words,
    )


FOUR_SIZES_ARMS: Mapping[str, Arm] = {
    "50 problems, 250 steps": groups(8, 4, _STEPS, "data.train.limit=50"),
    "200 problems, 250 steps": groups(8, 4, _STEPS, "data.train.limit=200"),
    "1,000 problems, 250 steps": groups(8, 4, _STEPS, "data.train.limit=1000"),
    "4,000 problems, 250 steps": groups(8, 4, _STEPS),
}
FOUR_SIZES = Question(
    title="How little data, in runs in which 1,000 problems come twice?",
    hypothesis=(
        "250 steps of 8 x 4 from 50, 200, 1,000 or 4,000 problems. Predicted: 1,000 stay within 3 points of 4,000; 200 "
        "lose 1 to 5 points, and 50 lose more than 5."
    ),
    arms=tuple(FOUR_SIZES_ARMS),
    comparisons=(
        _less_4000(
            "1,000",
            Words(
                "1,000 problems beat 4,000", "1,000 problems are worse than 4,000", "1,000 problems do as well as 4,000"
            ),
        ),
        _less_4000("200"),
        _less_4000("50"),
    ),
    measures=("accuracy", "correct_in_training", "tokens", "dead_groups"),
    seeds=(11, 12, 13, 14, 15),
    round=6,
)
