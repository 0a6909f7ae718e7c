"""Atomic writes of text files, and cleaning up after a kill.

A file or folder is written under a hidden temporary name with the suffix ``.partial`` next to its final name. A kill
can leave one behind; it means nothing and is removed when the run is resumed.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from frugalrl.errors import OutputError

PARTIAL = ".partial"


@contextmanager
def atomic_write(path: Path) -> Iterator[TextIO]:
    """A file to write UTF-8 text to, which gets its name (replacing an older file) at the end of the block.

    It is flushed to disk first. If the block fails, the older file is unchanged. Raises OutputError if it cannot be
    written.
    """
    with atomic_path(path) as scratch, scratch.open("w", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write to by any means; what is there gets its name, replacing an older file, at the end of the block.

    If the block fails, the older file is unchanged. Raises OutputError if it cannot be written.
    """
    scratch = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        os.replace(scratch, path)
        sync(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written: {reason}. Check space and rights.") from None
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def refuse_overwriting(out: Path, inputs: Iterable[Path]) -> None:
    """Raise OutputError if an output is one of the files it is made from, by whatever name."""
    for path in inputs:
        if path.expanduser().exists() and out.exists() and out.samefile(path.expanduser()):
            raise OutputError(f"{out} is also what is read: it would be overwritten. Choose another --out.")


def partial_path(path: Path) -> Path:
    """Where this process writes a file before it gets its name; `remove_leftovers` knows it."""
    return path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove partial writes that a kill left below a folder. No other process may be writing there."""
    for path in list(folder.rglob(f".*{PARTIAL}")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
