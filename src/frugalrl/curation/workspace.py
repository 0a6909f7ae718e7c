"""The output folder of a curation: one spec, one process at a time, no partial files.

DIR/spec.yaml          the resolved spec, written first
DIR/work/              parts of the ledger by step, rows on their way, and the lock; removed when the run is complete
DIR/samples/           what solvers answered, kept for the next run
DIR/train.jsonl ...    written at the end, each atomically
DIR/manifest.json      written last: if it exists, the run is complete
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.loading import dump_recipe
from frugalrl.errors import OutputError
from frugalrl.files import atomic_write

SPEC_FILE, MANIFEST_FILE, WORK_FOLDER, SAMPLES_FOLDER = "spec.yaml", "manifest.json", "work", "samples"
DEFAULT_PARENT = Path("curated")
_LOCK_FILE = "lock"


@dataclass(frozen=True)
class Workspace:
    """A folder that is held by this process."""

    path: Path
    manifest: Mapping[str, Any] | None
    """Of a run that was complete already."""

    @property
    def scratch(self) -> Path:
        """The folder of temporary files during the run."""
        return self.path / WORK_FOLDER

    def part(self, number: int, step: str) -> Path:
        """The file of a step's part."""
        return self.path / WORK_FOLDER / f"{number:02d}-{step}.jsonl"

    def finish(self) -> None:
        """Remove what only a run under way needs."""
        shutil.rmtree(self.path / WORK_FOLDER, ignore_errors=True)


@contextmanager
def open_workspace(spec: CurationSpec, out: Path | None, resume: bool) -> Iterator[Workspace]:
    """Make the folder of a spec, or open the one it was started in.

    out: the folder; None means ``curated/NAME``. Raises OutputError if the folder cannot be written, holds something
    (without `resume`), holds nothing to resume or another spec's work (with it), or is in use.
    """
    path = out or DEFAULT_PARENT / spec.name
    wanted = dump_recipe(spec)
    if resume:
        _refuse_another_spec(path, wanted)
    elif path.exists() and (not path.is_dir() or any(path.iterdir())):
        own = path.is_dir() and (path / SPEC_FILE).is_file()
        raise OutputError(
            f"{path} {'holds a curation already' if own else 'is not empty'}. Choose another --out"
            f"{', or resume it with --resume' if own else ''}."
        )
    is_new = not path.exists()
    lock = _locked(path)
    try:
        if not resume:
            with atomic_write(path / SPEC_FILE) as file:
                file.write(wanted)
        yield Workspace(path, _manifest(path))
    except BaseException:
        if not resume and _holds_nothing(path):
            shutil.rmtree(path if is_new else path / WORK_FOLDER, ignore_errors=True)
            (path / SPEC_FILE).unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)
        if (path / MANIFEST_FILE).is_file():
            shutil.rmtree(path / WORK_FOLDER, ignore_errors=True)


def _locked(path: Path) -> int:
    try:
        (path / WORK_FOLDER).mkdir(parents=True, exist_ok=True)
        lock = os.open(path / WORK_FOLDER / _LOCK_FILE, os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise OutputError(f"The folder {path} cannot be written: {error}. Choose another with --out.") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise OutputError(f"Another process is curating in {path}. Wait for it, or choose another --out.") from None
    return lock


def _refuse_another_spec(path: Path, wanted: str) -> None:
    try:
        saved = (path / SPEC_FILE).read_text(encoding="utf-8")
    except OSError:
        raise OutputError(f"There is no curation to resume in {path}. Start it without --resume.") from None
    if saved != wanted:
        pairs = zip(saved.splitlines(), wanted.splitlines(), strict=False)
        first = next((f"{old.strip()!r} there, {new.strip()!r} here" for old, new in pairs if old != new), "its length")
        raise OutputError(
            f"{path} holds the work of another spec ({first}). Resume it with its own {SPEC_FILE}, or choose another "
            "--out."
        )


def _manifest(path: Path) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = json.loads((path / MANIFEST_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path / MANIFEST_FILE} cannot be read: {error}. Choose another --out.") from None
    return found


def _holds_nothing(path: Path) -> bool:
    """Whether a run ended before its first step was done and its first sample drawn."""
    names = {file.name for file in path.rglob("*") if file.is_file()}
    return names <= {SPEC_FILE, _LOCK_FILE}
