"""The folder of a run: a new one, or an existing one to resume in, locked by one process at a time.

A run is resumed with its own recipe. `training.steps`, `budget`, `training.mirror`, `distributed`, `devices` and
the number of processes may differ: a run can be extended, shortened or moved.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from frugalrl.config.loading import dump_recipe, load_recipe
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import OutputError
from frugalrl.files import atomic_write, remove_leftovers
from frugalrl.reporting.line_log import LOG_FILE
from frugalrl.training.schedule import lr_factor
from frugalrl.training.state.checkpoint import bring_back_replaced, saved_step
from frugalrl.training.state.pointers import newest_intact

RECIPE_FILE = "recipe.yaml"
_LOCK_FILE = ".lock"
DEFAULT_PARENT = Path("runs")


@dataclass(frozen=True)
class OpenedFolder:
    """A folder that is ready to be written to."""

    path: Path
    checkpoint: Path | None
    """The checkpoint to resume from; None to start from the beginning."""
    message: str
    """To print: a line, or more if a damaged checkpoint was skipped."""


@contextmanager
def open_run_folder(recipe: SftRecipe | TrainRecipe, out: Path | None, resume: bool) -> Iterator[OpenedFolder]:
    """Make a run's folder, or find the one to resume in, and lock it against other processes.

    out: the folder; None means ``runs/NAME``, or for a new run the next free ``runs/NAME-2`` ...
    A run that was killed before its first checkpoint is resumed from its beginning.
    Raises OutputError if the folder cannot be written, is not empty (new run), is another recipe's or holds
    only damaged checkpoints (resume), or is in use.
    """
    path = _existing(recipe.name, out) if resume else _new(recipe.name, out)
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK_FILE, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise OutputError(f"The run folder {path} cannot be written: {error}. Choose another with --out.") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"Another process is running in {path}. Wait for it, or choose another --out.") from None
        yield _resumed(recipe, path) if resume else _started(recipe, path)
    except BaseException:
        if is_new and _holds_nothing(path):
            shutil.rmtree(path)
        raise
    finally:
        os.close(lock)


def _holds_nothing(path: Path) -> bool:
    """Whether a run ended before it measured anything: only its recipe, its environment and empty logs are there."""
    said = (RECIPE_FILE, LOG_FILE, "environment.json")
    return not any(file.stat().st_size for file in path.rglob("*") if file.is_file() and file.name not in said)


def _new(name: str, out: Path | None) -> Path:
    if out is not None:
        if out.is_dir() and any(out.iterdir()):
            raise OutputError(f"The folder {out} is not empty. Choose another --out, or resume in it with --resume.")
        return out
    number = 1
    while True:
        path = DEFAULT_PARENT / (name if number == 1 else f"{name}-{number}")
        if not path.exists():
            return path
        number += 1


def existing_run(name: str, out: Path | None) -> Path | None:
    """The folder that a resume would take up from, if there is one."""
    if out is not None:
        candidates = [out] if (out / RECIPE_FILE).is_file() else []
    else:
        candidates = [path for path in DEFAULT_PARENT.glob(f"{name}*") if _is_run_of(name, path)]
    return max(candidates, key=lambda path: (path / RECIPE_FILE).stat().st_mtime, default=None)


def _existing(name: str, out: Path | None) -> Path:
    path = existing_run(name, out)
    if path is None:
        where = out if out is not None else DEFAULT_PARENT / name
        raise OutputError(f"There is no run to resume at {where}. Start one without --resume, or name it with --out.")
    return path


def _is_run_of(name: str, path: Path) -> bool:
    suffix = path.name.removeprefix(name)
    return (path / RECIPE_FILE).is_file() and (not suffix or suffix.removeprefix("-").isdigit())


def _started(recipe: SftRecipe | TrainRecipe, path: Path) -> OpenedFolder:
    _write_recipe(recipe, path)
    return OpenedFolder(path, None, f"Run folder: {path}")


def _write_recipe(recipe: SftRecipe | TrainRecipe, path: Path) -> None:
    with atomic_write(path / RECIPE_FILE) as file:
        file.write(dump_recipe(recipe))


def _resumed(recipe: SftRecipe | TrainRecipe, path: Path) -> OpenedFolder:
    changes = refuse_other_recipe(recipe, path, str(path))
    checkpoints = path / "checkpoints"
    remove_leftovers(path)
    bring_back_replaced(path)
    bring_back_replaced(checkpoints)
    checkpoint, notes = newest_intact(checkpoints)
    done = 0 if checkpoint is None else saved_step(checkpoint) or 0
    notes += _consequences(recipe, changes, done)
    if changes:
        _write_recipe(recipe, path)
    where = f"from {checkpoint.name}" if checkpoint is not None else "from its beginning: it has no checkpoint yet"
    return OpenedFolder(path, checkpoint, "\n".join([*notes, f"Resuming {path} {where}"]))


def refuse_other_recipe(recipe: SftRecipe | TrainRecipe, path: Path, where: str) -> list[tuple[str, object, object]]:
    """What a resume changes: keys with old and new values. Raises OutputError for what may not change.

    path: a folder with the run's recipe. where: the run's place, for the message.
    """
    changes = _changes(recipe, path)
    refused = [f"{key} is {old!r} there and {new!r} here" for key, old, new in changes if not _may_change(key)]
    if refused:
        raise OutputError(
            f"The run in {where} has another recipe ({refused[0]}). Resume it with its own {RECIPE_FILE}; only "
            "training.steps, training.mirror, budget, distributed and devices may be changed. Or start a new run with "
            "another --out."
        )
    return changes


def _may_change(key: str) -> bool:
    return key in ("training.steps", "training.mirror") or key.startswith(("budget.", "distributed.", "devices."))


def _changes(recipe: SftRecipe | TrainRecipe, path: Path) -> list[tuple[str, object, object]]:
    """The keys whose values differ from those of the run's own recipe, with both values."""
    saved = _flat(load_recipe(path / RECIPE_FILE, type(recipe)).model_dump(mode="json"))
    given = _flat(recipe.model_dump(mode="json"))
    keys = dict.fromkeys([*saved, *given])
    return [(key, saved.get(key), given.get(key)) for key in keys if saved.get(key) != given.get(key)]


def _flat(values: object, prefix: str = "") -> dict[str, object]:
    """Nested mappings and lists as one mapping, e.g. ``{"data.train.limit": 4000, "rewards.0.name": "accuracy"}``."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else None
    if items is None:
        return {prefix: values}
    return {key: value for name, inner in items for key, value in _flat(inner, f"{prefix}.{name}".lstrip(".")).items()}


def _consequences(
    recipe: SftRecipe | TrainRecipe, changes: Sequence[tuple[str, object, object]], done: int
) -> list[str]:
    """What a changed recipe means for the rest of the run; raises OutputError if no steps remain."""
    notes = [f"Changed for the rest of the run: {key} {old} -> {new}." for key, old, new in changes]
    steps = next(((int(str(old)), int(str(new))) for key, old, new in changes if key == "training.steps"), None)
    if steps is None:
        return notes
    if steps[1] < done:
        raise OutputError(f"training.steps is {steps[1]}, and {done} steps are done already. Give {done} or more.")
    schedule = recipe.optimizer
    before, after = (
        lr_factor(done, total, schedule.schedule, schedule.warmup_fraction, schedule.min_lr_fraction) for total in steps
    )
    return [
        *notes,
        f"The {schedule.schedule} schedule spans {steps[1]} steps now: the next learning rate is {after:.3f} of the "
        f"full one instead of {before:.3f}. This is not the same run as one started with {steps[1]} steps.",
    ]
