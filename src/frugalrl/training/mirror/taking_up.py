"""Whether a run and its mirror belong together, and a run's folder made again from its mirror on a fresh machine.

Decisions:
- A new run never writes over another one's mirror, and an older state never over a newer one: both are refused.
- `--resume` without a folder takes the run from its mirror; where there is nothing either, the run begins. So a job
  that is started again and again on machines that come and go is one command.
- The folder gets its name when all of it is there, every checkpoint verified by its manifest.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import OutputError, UserError
from frugalrl.files import PARTIAL
from frugalrl.training.mirror.mirror import CHECKPOINTS, whole_checkpoints
from frugalrl.training.mirror.store import Store
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.state.manifest import damage
from frugalrl.training.state.pointers import BEST, LATEST, latest_checkpoint
from frugalrl.training.state.run_folder import DEFAULT_PARENT, RECIPE_FILE, existing_run, refuse_other_recipe

Show = Callable[[str], None]


def is_there_a_run(recipe: TrainRecipe | SftRecipe, store: Store, out: Path | None, resume: bool, show: Show) -> bool:
    """Whether there is a run to resume, which lies in its folder afterwards. Raises OutputError.

    False also if a resume was asked for and nothing was made yet.
    """
    try:
        return _decide(recipe, store, out, resume, show)
    except UserError:
        raise
    except Exception as error:  # of any store
        raise OutputError(
            f"The mirror {store.url} cannot be read: {error}. Check address and credentials, or run without it: "
            "--set training.mirror=null."
        ) from None


def _decide(recipe: TrainRecipe | SftRecipe, store: Store, out: Path | None, resume: bool, show: Show) -> bool:
    names, whole = store.names(), whole_checkpoints(store)
    if not resume:
        if names:
            raise OutputError(
                f"The mirror {store.url} is not empty. Resume the run that it holds with --resume, or give another "
                "training.mirror."
            )
        return False
    here = existing_run(recipe.name, out)
    if RECIPE_FILE in names:
        with tempfile.TemporaryDirectory() as scratch:
            store.get(RECIPE_FILE, Path(scratch) / RECIPE_FILE)
            refuse_other_recipe(recipe, Path(scratch), store.url)
    if here is not None:
        _refuse_newer(store, max(whole, default=0), here)
        return True
    target = DEFAULT_PARENT / recipe.name if out is None else out
    if RECIPE_FILE not in names:
        show(f"There is nothing to resume, neither at {target} nor in the mirror {store.url}: the run begins.")
        return False
    fetch(store, sorted(whole, reverse=True), target, show)
    return True


def _refuse_newer(store: Store, there: int, here: Path) -> None:
    checkpoint = latest_checkpoint(here / CHECKPOINTS)
    step = 0 if checkpoint is None else int(checkpoint.name.removeprefix("step-"))
    if there > step:
        raise OutputError(
            f"The mirror {store.url} holds step {there} and {here} only step {step}: the run went on elsewhere. Resume "
            "with --out and a new folder to take it up from there, or give another training.mirror to go on from here."
        )


def fetch(store: Store, steps: list[int], target: Path, show: Show) -> None:
    """Make a run's folder from its mirror; checkpoints that are damaged there are left out, with a line.

    steps: those with a manifest, newest first. Raises OutputError if none of them is whole, or something is in the way.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(f"{target} is in the way: it is no run's folder. Choose another --out.")
    scratch = target.parent / f".{target.name}.fetched{PARTIAL}"
    shutil.rmtree(scratch, ignore_errors=True)
    names, intact = store.names(), []
    try:
        for name in names:
            if not name.startswith(f"{CHECKPOINTS}/") or name in (f"{CHECKPOINTS}/{LATEST}", f"{CHECKPOINTS}/{BEST}"):
                store.get(name, scratch / name)
        for step in steps:
            folder = f"{CHECKPOINTS}/{checkpoint_name(step)}"
            for name in names:
                if name.startswith(f"{folder}/"):
                    store.get(name, scratch / name)
            wrong = damage(scratch / folder)
            if wrong is None:
                intact.append(step)
                continue
            show(f"The checkpoint of step {step} in the mirror is damaged: {wrong}. It is left out.")
            shutil.rmtree(scratch / folder)
        if steps and not intact:
            raise OutputError(
                f"No checkpoint in the mirror {store.url} is intact. Start a new run with another mirror."
            )
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    held = f"the checkpoint of step {intact[0]}" if intact else "no checkpoint yet"
    show(f"Fetched the run from {store.url} into {target}, with {held}.")
