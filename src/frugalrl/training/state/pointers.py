"""Which checkpoints a run has: the pointers `latest` and `best`, the newest intact one, and rotation.

    checkpoints/
        step-000050/  step-000100/
        latest        one line: step-000100
        best          one line: step-000050

Decisions:
- A pointer is a text file with a folder's name: it survives copying, zip files and file systems without links.
- `latest` says where to resume. If it or its target is lost or damaged, the newest intact checkpoint before it is used,
  with a line that names the damage.
- Rotation renames a checkpoint before it deletes it, so that a kill leaves no damaged one under its name.
"""

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.files import PARTIAL, atomic_write
from frugalrl.training.state.checkpoint import checkpoint_name, saved_step
from frugalrl.training.state.manifest import damage

LATEST = "latest"
BEST = "best"
_NAME = re.compile(r"step-(\d{6,})")


def point(checkpoints: Path, pointer: str, name: str) -> None:
    """Make a pointer (``latest``, ``best``) name a checkpoint such as ``step-000050``. Raises OutputError."""
    with atomic_write(checkpoints / pointer) as file:
        file.write(name + "\n")


def pointed(checkpoints: Path, pointer: str) -> Path | None:
    """The checkpoint that a pointer names, intact or not; None without a pointer or if that folder is missing."""
    name = _pointed_name(checkpoints, pointer)
    return checkpoints / name if name is not None and (checkpoints / name).is_dir() else None


def rotate(checkpoints: Path, keep_last: int | None, keep_steps: Collection[int] = ()) -> list[str]:
    """Remove old checkpoints, and return their names.

    Kept are the newest `keep_last` (None: all), the targets of `latest` and `best`, and those of `keep_steps`.
    Raises OutputError if one cannot be removed.
    """
    steps = saved_steps(checkpoints)
    if keep_last is None:
        return []
    kept = {*steps[len(steps) - min(keep_last, len(steps)) :], *keep_steps}
    pointed_at = {_pointed_name(checkpoints, LATEST), _pointed_name(checkpoints, BEST)}
    removed = [name for step in steps if step not in kept and (name := checkpoint_name(step)) not in pointed_at]
    for name in removed:
        to_delete = checkpoints / f".{name}.removed{PARTIAL}"
        try:
            shutil.rmtree(to_delete, ignore_errors=True)
            (checkpoints / name).rename(to_delete)
            shutil.rmtree(to_delete)
        except OSError as error:
            raise OutputError(f"{checkpoints / name} cannot be removed: {error}. Check the folder's rights.") from None
    return removed


def newest_intact(checkpoints: Path) -> tuple[Path | None, list[str]]:
    """The checkpoint to resume from, and a line for each damaged one that was skipped.

    None if there has never been a checkpoint. Raises OutputError if there are some and none is intact.
    """
    named = _pointed_name(checkpoints, LATEST)
    steps = saved_steps(checkpoints)
    notes: list[str] = []
    if named is not None:
        last = int(named.removeprefix("step-"))
        steps = [step for step in steps if step <= last]
        if last not in steps:
            notes.append(f"The checkpoint {named}, which {checkpoints / LATEST} names, is missing.")
    for step in reversed(steps):
        path = checkpoints / checkpoint_name(step)
        wrong = damage(path) or _other_step(path, step)
        if wrong is None:
            return path, notes
        notes.append(f"The checkpoint {path.name} is damaged: {wrong}.")
    if notes:
        raise OutputError(
            f"No checkpoint in {checkpoints} is intact. {' '.join(notes)} Restore one, or start a new run with "
            "another --out."
        )
    return None, []


def latest_checkpoint(checkpoints: Path) -> Path | None:
    """The checkpoint to resume from, if there is one; see `newest_intact`."""
    return newest_intact(checkpoints)[0]


def _other_step(path: Path, step: int) -> str | None:
    """What is wrong with a folder that holds another step than its name says: folders may have been swapped."""
    saved = saved_step(path)
    return None if saved in (None, step) else f"it holds step {saved}, not the step of its name"


def _pointed_name(checkpoints: Path, pointer: str) -> str | None:
    try:
        name = (checkpoints / pointer).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return name if _NAME.fullmatch(name) else None


def saved_steps(checkpoints: Path) -> list[int]:
    """The steps of all checkpoints that have a name, intact or not, in order."""
    found = (_NAME.fullmatch(path.name) for path in checkpoints.glob("step-*") if path.is_dir())
    return sorted(int(match[1]) for match in found if match)
