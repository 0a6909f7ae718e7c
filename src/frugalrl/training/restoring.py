"""From a run to a checkpoint and back: the two directions, side by side.

Everything that decides what comes next is in a checkpoint: the model, the optimizer's tensors, a reference that was
reset, `Progress`, the random states. Rollouts are pending only in a run that is one step off policy: then they are
complete between steps, and kept too.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import DataError, OutputError
from frugalrl.reporting.environment import describe_environment, record_environment
from frugalrl.reporting.run_log import RunLog, seconds_logged
from frugalrl.rewards.rubric import RewardFunctions
from frugalrl.training.distributed.placement import own_part
from frugalrl.training.distributed.world import ALONE, World
from frugalrl.training.evaluating import remake_lost
from frugalrl.training.model.adapter import AdapterPolicy
from frugalrl.training.model.kernels import ready_kernels
from frugalrl.training.model.loading import refuse_other_base
from frugalrl.training.model.parts import collected
from frugalrl.training.model.policy import files_hash, weights_hash
from frugalrl.training.model.reference import load_reference_tensors, reference_tensors
from frugalrl.training.problem_sets import Show
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run, load_run, samples_here
from frugalrl.training.same_verifier import refuse_other_verifier
from frugalrl.training.state.checkpoint import TrainingState, load_training_state, load_weights
from frugalrl.training.state.random_state import random_values, restore_random_states, seed_random_states
from frugalrl.training.weights import publish_weights


def prepare_run(
    recipe: TrainRecipe,
    folder: Path,
    resume_from: Path | None,
    log: RunLog,
    show: Show,
    reward_functions: RewardFunctions | None = None,
    world: World = ALONE,
) -> tuple[Run, Progress]:
    """Load a run, at its start or where a checkpoint of it stands. Raises UserError."""
    run = load_run(recipe, folder, resume_from, log, show, reward_functions, world)
    try:
        return _prepared(run, resume_from)
    except BaseException:
        run.close()
        raise


def _prepared(run: Run, resume_from: Path | None) -> tuple[Run, Progress]:
    recipe, world = run.recipe, run.world
    compiling = ready_kernels(run.policy, run.show, samples_here(recipe), learns=True)
    began = {"load": run.load_seconds, **({"compile": compiling} if compiling else {})}
    if resume_from is None:
        seed_random_states(recipe.seed)
        publish_weights(run, 0)
        _take_up(run, {}, None)
        return run, Progress(wall_seconds=began)
    state = own_part(world, lambda: load_training_state(resume_from))
    _refuse_other_base(run, state.values)
    run = replace(run, base_weights=state.values["base_weights"])
    progress = restore(run, resume_from, state)
    refuse_other_verifier(run, progress)
    # Work that a kill threw away was paid for: it counts, under its own name.
    seconds = float(state.values["seconds"])
    lost = max(0.0, world.main(lambda: seconds_logged(run.folder)) - seconds)
    run = replace(run, began=run.began - seconds - lost)
    _take_up(run, state.values["log_lengths"], progress.step)
    progress = remake_lost(run, progress)
    return run, progress.with_seconds({**began, "lost": lost})


def _take_up(run: Run, log_lengths: Mapping[str, int], resumed_step: int | None) -> None:
    """Record the environment and cut the log back to where the run resumes: only now is it certain that it can."""

    def recorded() -> list[str | None]:
        environment = describe_environment(run.recipe, run.problems.hashes, run.base_weights, run.world.size)
        return [
            record_environment(run.folder, environment, resumed_step),
            *run.log.cut(log_lengths, resumed_step or 0),
        ]

    for note in run.world.main(recorded):
        if note is not None:
            run.show(note)


def training_state(run: Run, progress: Progress) -> TrainingState:
    """What a checkpoint keeps beside the model."""
    values = {
        **progress.to_json(),
        "seconds": run.seconds,
        "log_lengths": run.world.main(run.log.lengths),
        "random": random_values(),
        "data_hashes": run.problems.hashes,
        "base_weights": run.base_weights,
        "base_files": files_hash(run.recipe.model.path),
    }
    is_main = run.world.rank == 0
    tensors = {"optimizer": collected(run.optimizer.state_tensors(), is_main)}
    if run.ahead is not None:
        values["ahead"], tensors["ahead"] = run.ahead.state(progress.step + 1)
    if run.reference is not None and progress.reference_step > 0:
        tensors["reference"] = collected(reference_tensors(run.reference), is_main)
    return TrainingState(values, tensors)


def restore(run: Run, checkpoint: Path, state: TrainingState) -> Progress:
    """Restore the weights, optimizer and random states of a run from a checkpoint; returns its progress.

    Not the time spent, which never goes back, and not the log: that is up to the caller.
    Nothing is changed if the problems are not those the checkpoint was made with. That the checkpoint is whole,
    `pointers.newest_intact` or `manifest.damage` has said. Raises DataError and OutputError.
    """
    values = state.values
    _refuse_other_data(run, values["data_hashes"])
    try:
        progress = Progress.from_json(values)
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"The checkpoint {checkpoint} was made by another version of frugalrl ({error!r} is missing or differs). "
            "Resume it with that version, or start a new run with another --out."
        ) from None
    if (progress.end_reason or "").startswith("budget."):
        progress = replace(progress, end_reason=None)  # the budget may have changed: the loop checks it again
    load_weights(run.policy, checkpoint)
    run.optimizer.load_state_tensors(state.tensors["optimizer"])
    if run.reference is not None and progress.reference_step > 0:
        load_reference_tensors(run.reference, state.tensors["reference"])
    if run.ahead is not None:
        run.ahead.restore(values.get("ahead"), state.tensors.get("ahead", {}))
    restore_random_states(values["random"])
    publish_weights(run, progress.policy_version)
    return progress


def _refuse_other_data(run: Run, hashes: Mapping[str, Any]) -> None:
    changed = [split for split, value in run.problems.hashes.items() if hashes[split] != value]
    if changed:
        raise DataError(
            f"The {' and '.join(changed)} problems of {run.recipe.name} are not those the run began with. Put the data "
            "back as it was to resume, or start a new run with another --out."
        )


def _refuse_other_base(run: Run, values: Mapping[str, Any]) -> None:
    """The base is read again for the reference, and at the end if nothing beat it: find a change now, not then."""
    path = run.recipe.model.path
    if isinstance(run.policy, AdapterPolicy):  # what was loaded is the base, and the adapters follow
        refuse_other_base(path, run.base_weights, values["base_weights"])
    elif run.reference is not None:
        refuse_other_base(path, weights_hash(run.reference), values["base_weights"])
    else:
        refuse_other_base(path, files_hash(path), values.get("base_files"))
