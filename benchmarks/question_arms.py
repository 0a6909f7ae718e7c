"""The paper's open questions in miniature: for each its arms, what is compared, and what was predicted before the runs.

Decisions, all written down before the first run of a question:
- An arm is a recipe of recipes/mini with replaced values. One arm may serve several questions: it is run once.
- Five seeds an arm. Arms are compared within a seed, which fixes the order of problems, the model and the random
  numbers of sampling.
- Each question has one or two primary comparisons. Only these get a verdict, after Holm's correction over all
  primary comparisons of this file, those of unfinished questions included (benchmarks/question_verdicts.py).
- `margin` is the largest effect that would not matter; an interval within it to both sides is "no difference".
- Accuracy is that of the last model, on the 306 test problems of mixed difficulty, a sample each at temperature 0.6;
  nothing is chosen by it.

Not covered: running (benchmarks/questions.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Arm:
    """A recipe of recipes/mini, and what is replaced in it."""

    recipe: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A measure of some arms less that of others, within a seed; the mean over arms where several are named."""

    says: str
    """What a value is, in words."""
    arms: tuple[str, ...]
    against: tuple[str, ...]
    measure: str = "accuracy"
    against_measure: str | None = None
    """None: the same."""
    margin: float = 0.03
    """The largest effect that would not matter."""
    unit: str = "points"
    primary: bool = False


@dataclass(frozen=True)
class Question:
    """A question of the paper, how it is asked here, and what was predicted."""

    title: str
    hypothesis: str
    """Written before the runs."""
    arms: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    measures: tuple[str, ...] = ("accuracy", "correct_in_training", "tokens")
    """Columns of its table."""


def _groups(prompts: int, size: int, *more: str) -> Arm:
    return Arm("short", (f"rollout.prompts_per_step={prompts}", f"rollout.group_size={size}", *more))


ARMS: Mapping[str, Arm] = {
    "16 x 2": _groups(16, 2),
    "8 x 4": _groups(8, 4),
    "4 x 8": Arm("short"),
    "2 x 16": _groups(2, 16),
    "16 problems": _groups(8, 4, "data.train.limit=16"),
    "50 problems": _groups(8, 4, "data.train.limit=50"),
    "in the band": _groups(8, 4, "data.train.source=$DATA/band.jsonl"),
    "easy": _groups(8, 4, "data.train.difficulties=[1]"),
    "hard": _groups(8, 4, "data.train.difficulties=[3]"),
}
"""By name. $DATA is the folder of the sets that benchmarks/questions.py makes."""

QUESTIONS: Mapping[str, Question] = {
    "group-size": Question(
        title="How few samples a problem, at equal completions?",
        hypothesis=(
            "32 completions a step, as 16 problems x 2, 8 x 4, 4 x 8 or 2 x 16. arXiv 2510.00977 says that two samples "
            "suffice if the completions are as many. Predicted: 16 x 2 ends within 3 points of 4 x 8 and wastes more "
            "groups; 2 x 16 is the worst, since two problems a step are few."
        ),
        arms=("16 x 2", "8 x 4", "4 x 8", "2 x 16"),
        comparisons=(
            Comparison("accuracy of 16 x 2 less that of 4 x 8", ("16 x 2",), ("4 x 8",), primary=True),
            Comparison("accuracy of 8 x 4 less that of 4 x 8", ("8 x 4",), ("4 x 8",)),
            Comparison("accuracy of 2 x 16 less that of 4 x 8", ("2 x 16",), ("4 x 8",)),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups", "rollout_tokens"),
    ),
    "data": Question(
        title="How little data, and chosen how?",
        hypothesis=(
            "160 prompts of 4 samples from 16, 50 or 4,000 problems (200 and 1,000 would be 4,000 again: none of them "
            "shows a problem twice); from 200 problems that the base solves 2 to 6 times in 8 (the band); from easy "
            "ones, from hard ones. Predicted: 50 lose less than 3 points to 4,000, and 16 lose more; the band gains "
            "less than 3 points over random; easy ones lose on mixed problems, hard ones do not."
        ),
        arms=("8 x 4", "50 problems", "in the band", "16 problems", "easy", "hard"),
        comparisons=(
            Comparison("accuracy with 50 problems less that with 4,000", ("50 problems",), ("8 x 4",), primary=True),
            Comparison("accuracy with the band less that at random", ("in the band",), ("8 x 4",), primary=True),
            Comparison("accuracy with 16 problems less that with 4,000", ("16 problems",), ("8 x 4",)),
            Comparison("accuracy with easy problems less that with mixed ones", ("easy",), ("8 x 4",)),
            Comparison("accuracy with hard problems less that with mixed ones", ("hard",), ("8 x 4",)),
        ),
        measures=("accuracy", "correct_in_training", "tokens", "dead_groups"),
    ),
}
