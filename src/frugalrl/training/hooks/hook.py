"""The signature of a step hook: what an option of the loop may look at, set and remember.

A hook remembers nothing of its own: its state is JSON values in `Progress.states` under its name, so that a checkpoint
keeps it without knowing it. A new option is one file with a `StepHook` and a line in `table.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from frugalrl.evaluation.records import Evaluation
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.types import ScoredGroup


@dataclass(frozen=True)
class StepSettings:
    """What holds for one step, and what options may set before it."""

    max_completion_tokens: int
    entropy_coef: float
    lr_factor: float
    """The learning rate is this times the recipe's."""


@dataclass(frozen=True)
class StepRecord:
    """What a step did."""

    step: int
    """Counted from 1."""
    settings: StepSettings
    groups: Sequence[ScoredGroup]
    """All that were sampled."""
    metrics: Mapping[str, float]
    """As they are logged, those of the hooks before this one included."""


@dataclass(frozen=True)
class After:
    """What a hook made of a step or an evaluation."""

    progress: Progress
    metrics: Mapping[str, float] = field(default_factory=dict)
    """To log with the step."""
    notes: tuple[str, ...] = ()
    """Lines for people, after that of the step."""
    end_reason: str | None = None
    """Why the run is to end after this step; None if it is not."""
    save: bool = False
    """Whether the checkpoint of this step is to be saved, from `between`."""


class StepHook:
    """An option of the loop. Each method does nothing unless it is overridden."""

    name: str
    """Of its state in `Progress.states`."""

    def before(self, run: Run, progress: Progress, settings: StepSettings) -> tuple[Progress, StepSettings]:
        """Called before each step, in the order of the table; what it gives is what the step uses."""
        return progress, settings

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        """Called after each step, once the weights are updated and before its line is logged."""
        return After(progress)

    def evaluated(self, run: Run, progress: Progress, evaluation: Evaluation, metrics: Mapping[str, float]) -> After:
        """Called after each evaluation on validation; metrics: as logged, e.g. ``validation/avg_at_k``."""
        return After(progress)

    def between(self, run: Run, progress: Progress) -> After:
        """Called between steps, once validation, if it was due, is evaluated; also before the first step, and where a
        run resumes. May raise StopRequested out of an evaluation, and then nothing has changed.
        """
        return After(progress)

    def checkpoints_needed(self, run: Run, progress: Progress) -> set[int]:
        """Steps whose checkpoints must not be removed."""
        return set()
