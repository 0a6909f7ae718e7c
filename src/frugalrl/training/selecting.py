"""Which of its models a run keeps: the best so far during the run, and the selection at its end.

Decisions:
- The selection uses the validation evaluations on disk, so a resumed run selects from the same ones.
- The best checkpoint so far is saved at once, whatever `save_every` says, and `best` points at it, so there is always
  one to fall back to.
- The test split is not read here.
"""

from dataclasses import dataclass

from frugalrl.evaluation.records import Evaluation
from frugalrl.statistics.selection import BASE_STEP, Selection, select, stop_step
from frugalrl.training.evaluating import VALIDATION, validations
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run


@dataclass(frozen=True)
class Choice:
    """What is kept, and what it was selected from."""

    selection: Selection
    evaluations: dict[int, Evaluation]
    """On validation, by step, including the base's."""


def is_best_so_far(run: Run, progress: Progress) -> bool:
    """Whether the current policy beats the base and every earlier model on validation."""
    return run.world.main(lambda: _is_best_so_far(run, progress))


def _is_best_so_far(run: Run, progress: Progress) -> bool:
    means = {step: one.accuracy.value for step, one in validations(run, progress).items()}
    own = means.pop(progress.step, None)
    return own is not None and progress.step > BASE_STEP and all(own > mean for mean in means.values())


def early_stop(run: Run, progress: Progress) -> str | None:
    """Why the run can stop early, by `selection.patience`; None if it continues."""
    patience = run.recipe.selection.patience
    if patience is None:
        return None
    evaluations = {step: one.correct for step, one in validations(run, progress).items()}
    stopped_at, why = stop_step(evaluations.pop(BASE_STEP), evaluations, patience)
    return None if stopped_at is None else why


def choose(run: Run, progress: Progress) -> Choice | None:
    """The rule applied to all validation evaluations of the run; None if it has no validation problems."""
    if not run.problems.validation:
        return None
    evaluations = validations(run, progress)
    correct = {step: one.correct for step, one in evaluations.items()}
    return Choice(select(correct.pop(BASE_STEP), correct, VALIDATION, patience=None), evaluations)
