"""Checkpoints of a run: when one is saved, which ones the pointers name, and which are kept."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from frugalrl.reporting.model_card import training_card
from frugalrl.training.distributed.agreement import refuse_drift
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.model.policy import Policy
from frugalrl.training.progress import Progress
from frugalrl.training.restoring import training_state
from frugalrl.training.run import Run
from frugalrl.training.selecting import is_best_so_far
from frugalrl.training.state.background import snapshot
from frugalrl.training.state.checkpoint import TrainingState, save_checkpoint
from frugalrl.training.state.pointers import BEST, LATEST, point, pointed, rotate


def save_run(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Save, point `latest` at it, and remove checkpoints that need not be kept.

    Where the memory allows it, a thread does so with a copy: see `state/background.py`.
    """
    refuse_drift(run.world, run.policy, progress.step)
    path, training, began = run.checkpoint_folder(progress.step), run.recipe.training, time.monotonic()
    with run.clock.timed("checkpoint"):
        run.writer.settle()  # the one before
    progress = progress.with_seconds(run.clock.take())
    is_best = progress.evaluated_step == progress.step and is_best_so_far(run, progress)
    needed = {step for hook in hooks for step in hook.checkpoints_needed(run, progress)}

    def write(policy: Policy, state: TrainingState) -> None:
        save_checkpoint(policy, state, path, training_card(run.recipe, None))
        if is_best:
            point(path.parent, BEST, path.name)  # before `latest`: a run resumes with what `best` knows
        point(path.parent, LATEST, path.name)
        rotate(path.parent, training.keep_last, {*training.keep_steps, *needed})

    with run.clock.timed("checkpoint"):
        state, policy = training_state(run, progress), run.policy.whole()
        copied = snapshot(policy, state) if run.world.size == 1 else None
        if copied is None:
            run.world.main(lambda: write(policy, state))
            seconds: float | None = time.monotonic() - began
        else:
            seconds = run.writer.seconds  # of the one before
            run.writer.begin(lambda: write(*copied), began)
    return progress if seconds is None else replace(progress, spending=progress.spending.after_save(seconds))


def save_unless_saved(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Save a checkpoint of this step unless there is one."""
    return progress if is_saved(run, progress) else save_run(run, progress, hooks)


def save_now(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> None:
    """The same, and wait until it is written."""
    save_unless_saved(run, progress, hooks)
    run.writer.settle()


def save_as_best(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> Progress:
    """Save the best model so far, and point `best` at it: it may have been saved before it was evaluated."""
    if not is_saved(run, progress):
        return save_run(run, progress, hooks)  # which knows that it is the best
    path = run.checkpoint_folder(progress.step)
    run.world.main(lambda: point(path.parent, BEST, path.name))
    return progress


def is_saved(run: Run, progress: Progress) -> bool:
    """Whether there is a checkpoint of this step that a resume would use."""
    path: Path = run.checkpoint_folder(progress.step)
    run.writer.settle()
    return run.world.main(lambda: pointed(path.parent, LATEST) == path)
