"""Checkpoints of a run: when one is saved, which ones the pointers name, and which are kept."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from frugalrl.reporting.model_card import training_card
from frugalrl.training.distributed.agreement import refuse_drift
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.progress import Progress
from frugalrl.training.restoring import training_state
from frugalrl.training.run import Run
from frugalrl.training.selecting import is_best_so_far
from frugalrl.training.state.checkpoint import save_checkpoint
from frugalrl.training.state.pointers import BEST, LATEST, point, pointed, rotate


def save_run(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Save, point `latest` at it, and remove checkpoints that need not be kept."""
    refuse_drift(run.world, run.policy, progress.step)
    path, training, began = run.checkpoint_folder(progress.step), run.recipe.training, run.seconds
    progress = progress.with_seconds(run.clock.take())
    is_best = progress.evaluated_step == progress.step and is_best_so_far(run, progress)
    needed = {step for hook in hooks for step in hook.checkpoints_needed(run, progress)}

    def write() -> None:
        save_checkpoint(policy, state, path, training_card(run.recipe, None))
        if is_best:
            point(path.parent, BEST, path.name)  # before `latest`: a run resumes with what `best` knows
        point(path.parent, LATEST, path.name)
        rotate(path.parent, training.keep_last, {*training.keep_steps, *needed})

    with run.clock.timed("checkpoint"):
        state, policy = training_state(run, progress), run.policy.whole()
        run.world.main(write)
    return replace(progress, spending=progress.spending.after_save(run.seconds - began))


def save_unless_saved(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Save a checkpoint of this step unless there is one."""
    return progress if is_saved(run, progress) else save_run(run, progress, hooks)


def save_as_best(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Save the best model so far, and point `best` at it: it may have been saved before it was evaluated."""
    progress = save_unless_saved(run, progress, hooks)
    path = run.checkpoint_folder(progress.step)
    run.world.main(lambda: point(path.parent, BEST, path.name))
    return progress


def is_saved(run: Run, progress: Progress) -> bool:
    """Whether there is a checkpoint of this step that a resume would use."""
    path: Path = run.checkpoint_folder(progress.step)
    return run.world.main(lambda: pointed(path.parent, LATEST) == path)
