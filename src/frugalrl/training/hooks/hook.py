"""The signature of a step hook: what an option of the loop may read, set and remember.

A hook object is stateless: its state is JSON values in `Progress.states` under its name, so that a checkpoint saves it
without knowing the hook. A new option is one file with a `StepHook` and a line in `table.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from frugalrl.evaluation.records import Evaluation
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.types import ScoredGroup


@dataclass(frozen=True)
class StepSettings:
    """The settings of one step, which options may change before it."""

    max_completion_tokens: int
    entropy_coef: float
    lr_factor: float
    """Factor on the recipe's learning rate."""


@dataclass(frozen=True)
class StepRecord:
    """What a step did."""

    step: int
    """Counted from 1."""
    settings: StepSettings
    groups: Sequence[ScoredGroup]
    """All sampled groups."""
    metrics: Mapping[str, float]
    """As logged, including those of earlier hooks."""


@dataclass(frozen=True)
class After:
    """A hook's reaction to a step or an evaluation."""

    progress: Progress
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Logged with the step."""
    notes: tuple[str, ...] = ()
    """Lines to print after that of the step."""
    end_reason: str | None = None
    """Why the run must end after this step; None if it continues."""
    save: bool = False
    """Whether to save a checkpoint of this step, from `between`."""


class StepHook:
    """An option of the loop. Each method does nothing unless it is overridden."""

    name: str
    """Key of its state in `Progress.states`."""

    def before(self, run: Run, progress: Progress, settings: StepSettings) -> tuple[Progress, StepSettings]:
        """Called before each step, in the order of the table; the step uses the settings it returns."""
        return progress, settings

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        """Called after each step, once the weights are updated and before its line is logged."""
        return After(progress)

    def evaluated(self, run: Run, progress: Progress, evaluation: Evaluation, metrics: Mapping[str, float]) -> After:
        """Called after each evaluation on validation; metrics: as logged, e.g. ``validation/avg_at_k``."""
        return After(progress)

    def between(self, run: Run, progress: Progress) -> After:
        """Called between steps, after validation if it was due; also before the first step, and where a run resumes.

        May raise StopRequested during an evaluation, and then nothing has changed.
        """
        return After(progress)

    def checkpoints_needed(self, run: Run, progress: Progress) -> set[int]:
        """Steps whose checkpoints must be kept."""
        return set()
