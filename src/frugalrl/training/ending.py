"""When a run ends, and what is saved of one that ends early."""

from collections.abc import Sequence
from dataclasses import dataclass

from frugalrl.errors import BudgetEndedError, RecipeError, UserError
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.training.saving import save_now
from frugalrl.training.schedule import is_multiple
from frugalrl.training.selecting import early_stop


@dataclass(frozen=True)
class End:
    """The end of a run."""

    reason: str | None = None
    """Why it ended before its last step; None at the last step."""
    notes: tuple[str, ...] = ()
    """Lines to print."""


def reason_to_end(run: Run, progress: Progress) -> End | None:
    """Whether the run is over now, and why; None if it continues.

    The clock of the first process decides. Raises RecipeError if the budget does not hold a single step.
    """

    def decided() -> tuple[str | None, tuple[str, ...]] | None:
        end = _reason_to_end(run, progress)
        return None if end is None else (end.reason, end.notes)

    found = run.world.main(decided)
    return None if found is None else End(found[0], tuple(found[1]))


def _reason_to_end(run: Run, progress: Progress) -> End | None:
    recipe, step = run.recipe, progress.step
    if step >= recipe.training.steps or progress.end_reason is not None:
        return End(progress.end_reason)
    reason = early_stop(run, progress) if progress.evaluated_step == step > 0 else None
    if reason is not None:
        return End(reason, (f"   {reason}",))
    evaluates = bool(run.problems.validation) and is_multiple(recipe.evaluation.every, step + 1)
    saves = is_multiple(recipe.training.save_every, step + 1)
    reason = progress.spending.reason_to_end(run.budget, run.seconds, run.load_seconds, step, evaluates, saves)
    if reason is None:
        return None
    if step == 0:
        raise RecipeError(f"The budget does not allow a single step ({reason}). Raise it, or evaluate less.")
    return End(reason, (f"Ending after step {step} of {recipe.training.steps} to keep within {reason}.",))


def end_of_budget(error: BudgetEndedError, step: int) -> End:
    """The budget's time ran out within a step, which is dropped. Before the first step the error is raised again."""
    if step == 0:
        raise error
    return End(f"budget.hours: {error}", (f"Ending after step {step}. {error}",))


def save_for_resume(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> str:
    """Save the state of a run that stops; returns a sentence that says how to continue."""
    if progress.evaluated_step < 0:
        return "The base was not evaluated yet, so there is nothing to save; start over with --resume."
    save_now(run, progress, hooks)
    return f"Saved {run.checkpoint_folder(progress.step)}; resume with --resume."


def save_after_error(run: Run, progress: Progress, hooks: Sequence[StepHook], is_clean: bool) -> str:
    """Save the state of a run that fails, if possible; returns a line that says what was saved.

    is_clean: whether the weights are those of `progress`. If they are not, no checkpoint is made.
    """
    if progress.evaluated_step < 0 or progress.step == 0:
        return "Nothing was learned yet, so there is nothing to save."
    if not is_clean:
        return f"Step {progress.step + 1} failed in the middle of an update, so no checkpoint is made of it."
    try:
        save_now(run, progress, hooks)
    except (UserError, RuntimeError) as error:
        return f"No checkpoint of step {progress.step} could be saved: {error}"
    return f"Saved {run.checkpoint_folder(progress.step)}; resume with --resume once the error below is fixed."
