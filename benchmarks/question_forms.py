"""What a question in miniature is: arms, comparisons, and what was predicted before the runs. Pure.

Not covered: the questions themselves (question_first.py, question_second.py).
"""

from dataclasses import dataclass

SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Arm:
    """A recipe of recipes/mini, and what is replaced in it."""

    recipe: str
    overrides: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """Files below the data folder that the last model is evaluated on, sampled with the run's seed. None: the
    arithmetic benchmark, sampled with seed 0."""


@dataclass(frozen=True)
class Words:
    """A verdict as a reader would say it."""

    higher: str
    lower: str
    same: str


@dataclass(frozen=True)
class Comparison:
    """A measure of some arms less that of others, within a seed; the mean over arms where several are named."""

    says: str
    """What a value is, in words."""
    label: str
    """The same for a figure, in 20 characters."""
    arms: tuple[str, ...]
    against: tuple[str, ...]
    measure: str = "accuracy"
    against_measure: str | None = None
    """None: the same."""
    margin: float = 0.03
    """The largest effect that would not matter."""
    words: Words | None = None
    """Of a primary comparison, the only kind that gets a verdict; None: secondary."""

    @property
    def primary(self) -> bool:
        """Whether it gets a verdict."""
        return self.words is not None


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
    seeds: tuple[int, ...] = SEEDS
    """What a verdict needs, and all that it counts."""
    round: int = 1
    """Questions that were registered together; p values are corrected within a round."""
