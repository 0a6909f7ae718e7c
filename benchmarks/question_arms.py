"""The paper's open questions in miniature: for each its arms, what is compared, and what was predicted before the runs.

Decisions, all written down before the first run of a question:
- An arm is a recipe of recipes/mini with replaced values. One arm may serve several questions: it is run once.
- Five seeds an arm. Arms are compared within a seed, which fixes the order of problems, the model and the random
  numbers of sampling.
- Each question has one or two primary comparisons. Only these get a verdict, after Holm's correction over all
  primary comparisons of this file, those of unfinished questions included (benchmarks/question_verdicts.py).
- `margin` is the largest effect that would not matter; an interval within it to both sides is "no difference".
- Accuracy is that of the last evaluation, on 198 validation problems of mixed difficulty x 2 samples at 0.6.

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
    measures: tuple[str, ...] = ("accuracy", "half_way", "tokens")
    """Columns of its table."""


def _groups(prompts: int, size: int, *more: str) -> Arm:
    return Arm("short", (f"rollout.prompts_per_step={prompts}", f"rollout.group_size={size}", *more))


ARMS: Mapping[str, Arm] = {
    "32 x 2": _groups(32, 2),
    "16 x 4": _groups(16, 4),
    "8 x 8": Arm("short"),
    "4 x 16": _groups(4, 16),
    "16 problems": _groups(16, 4, "data.train.limit=16"),
    "50 problems": _groups(16, 4, "data.train.limit=50"),
    "200 problems": _groups(16, 4, "data.train.limit=200"),
    "200 in the band": _groups(16, 4, "data.train.source=$DATA/band.jsonl"),
    "200 easy": _groups(16, 4, "data.train.limit=200", "data.train.difficulties=[1]"),
    "200 hard": _groups(16, 4, "data.train.limit=200", "data.train.difficulties=[3]"),
}
"""By name. $DATA is the folder of the sets that benchmarks/questions.py makes."""

QUESTIONS: Mapping[str, Question] = {
    "group-size": Question(
        title="How few samples a problem, at equal completions?",
        hypothesis=(
            "64 completions a step, as 32 problems x 2 up to 4 x 16. arXiv 2510.00977 says that two samples suffice if "
            "the completions are as many. Predicted: 32 x 2 ends within 3 points of 8 x 8, learns no slower half-way, "
            "and wastes more groups; 4 x 16 is the worst, since four problems a step are few."
        ),
        arms=("32 x 2", "16 x 4", "8 x 8", "4 x 16"),
        comparisons=(
            Comparison("accuracy of 32 x 2 less that of 8 x 8", ("32 x 2",), ("8 x 8",), primary=True),
            Comparison("accuracy of 16 x 4 less that of 8 x 8", ("16 x 4",), ("8 x 8",)),
            Comparison("accuracy of 4 x 16 less that of 8 x 8", ("4 x 16",), ("8 x 8",)),
            Comparison("half-way, 32 x 2 less 8 x 8", ("32 x 2",), ("8 x 8",), "half_way"),
            Comparison("half-way, 4 x 16 less 8 x 8", ("4 x 16",), ("8 x 8",), "half_way"),
        ),
        measures=("accuracy", "half_way", "tokens", "dead_groups", "rollout_tokens"),
    ),
    "data": Question(
        title="How little data, and chosen how?",
        hypothesis=(
            "384 prompts of 4 samples from 16, 50, 200 or 4,000 problems; 1,000 would be 4,000 again, as neither shows "
            "a problem twice. Of 200: at random, those that the base solves 2 to 6 times in 8 (the band), easy ones, "
            "hard ones. Predicted: 50 lose less than 3 points to 4,000, and 16 lose more; the band gains less than 3 "
            "points over random; easy ones lose on mixed problems, hard ones do not."
        ),
        arms=(
            "16 problems",
            "50 problems",
            "200 problems",
            "16 x 4",
            "200 in the band",
            "200 easy",
            "200 hard",
        ),
        comparisons=(
            Comparison("accuracy with 50 problems less that with 4,000", ("50 problems",), ("16 x 4",), primary=True),
            Comparison(
                "accuracy with 200 in the band less that with 200 at random",
                ("200 in the band",),
                ("200 problems",),
                primary=True,
            ),
            Comparison("accuracy with 16 problems less that with 4,000", ("16 problems",), ("16 x 4",)),
            Comparison("accuracy with 200 problems less that with 4,000", ("200 problems",), ("16 x 4",)),
            Comparison("accuracy with 200 easy less that with 200 mixed", ("200 easy",), ("200 problems",)),
            Comparison("accuracy with 200 hard less that with 200 mixed", ("200 hard",), ("200 problems",)),
        ),
        measures=("accuracy", "half_way", "tokens", "dead_groups"),
    ),
}
