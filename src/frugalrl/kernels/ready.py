"""Kernels made ready before anything is timed: read from disk, or compiled, by one process of a machine at a time.

numba compiles a kernel at its first call and keeps it on disk: beside the package, or in the user's cache folder where
that cannot be written, or in NUMBA_CACHE_DIR. Two processes that write there at once could mix up their entries, so one
waits for the other, and then reads what it has written. Without a folder each process compiles for itself.
"""

import fcntl
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numba
from numba.core.errors import NumbaError
from numba.core.event import Event, Listener, install_listener

from frugalrl.errors import ModelError
from frugalrl.kernels import decoding
from frugalrl.kernels.warm_up import PARTS

_LOCK = "compiling.lock"
_MOST_KERNELS = 20
"""More than a part has."""
TESTED_NUMBA = "0.68.1"


def make_ready(names: Sequence[str], say: Callable[[str], None]) -> float:
    """Load or compile these `warm_up.PARTS`; returns the seconds that compiling, or waiting for it, took.

    say: gets a line before something is compiled, and one where nothing can be kept. Raises ModelError where numba is
    told not to compile, or cannot.
    """
    if numba.config.DISABLE_JIT:
        raise ModelError("NUMBA_DISABLE_JIT is set, and without compiled kernels nothing computes on a CPU. Unset it.")
    if not _missing(names):
        return 0.0
    began, folder = time.monotonic(), _folder()
    with _turn(folder, say):
        missing = _missing(names)  # another process may have been at it
        if missing:
            _remove(older_than=_changed())
            seconds = sum(PARTS[name].seconds for name in missing)
            once = "once on this machine" if folder else "in every process, for no folder can be written to keep them"
            named = "" if folder else "; NUMBA_CACHE_DIR names one"
            say(f"Compiling kernels for this processor, {once}{named}: about {seconds:.0f} seconds.")
        for name in missing:
            _compile(name, say)
    return time.monotonic() - began


class _Refused(Exception):  # noqa: N818  # nothing is wrong
    """A kernel is not on disk."""


class _Refusing(Listener):
    def on_start(self, event: Event) -> None:
        raise _Refused

    def on_end(self, event: Event) -> None:
        """Nothing has begun."""


def _missing(names: Sequence[str]) -> list[str]:
    return [name for name in names if not _is_loaded(name)]


def _is_loaded(name: str) -> bool:
    """Whether this process has the kernels of a part now. What lies on disk and cannot be read is removed."""
    try:
        with install_listener("numba:compile", _Refusing()):
            PARTS[name].call()
    except _Refused:
        return False
    except Exception:  # of a damaged file anything; what else is wrong is raised again when they are compiled
        _remove()
        return False
    return True


def _compile(name: str, say: Callable[[str], None]) -> None:
    """A kernel that is compiled and cannot be written, on a full disk, is ready all the same."""
    failed: set[str] = set()
    for _ in range(_MOST_KERNELS):
        try:
            PARTS[name].call()
            break
        except OSError as error:
            failed.add(str(error.strerror))
        except NumbaError as error:
            why = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"numba {numba.__version__} cannot compile the kernels: {why}. Install one that can: "
                f"pip install numba=={TESTED_NUMBA}"
            ) from error
    if failed:
        _remove()
    for why in sorted(failed):
        say(f"The compiled kernels cannot be kept in {_folder()} ({why}): the next run compiles them again.")


def _folder() -> Path | None:
    """Where they are kept, the same for all."""
    kernel: Any = decoding.norm
    path = kernel.stats.cache_path
    return None if path is None else Path(path)


def _remove(older_than: float = math.inf) -> None:
    """numba writes what it has compiled after the index that names it. Where the second write fails, or the process is
    killed between them, the index would name what an earlier version has left under that name."""
    folder = _folder()
    for file in [] if folder is None else folder.glob("*.nb[ic]"):
        with suppress(OSError):
            if file.stat().st_mtime < older_than:
                file.unlink()


def _changed() -> float:
    """When the sources of kernels, or numba, were installed or edited last: what is older is of another version."""
    sources = [Path(numba.__file__), *Path(__file__).parent.glob("*.py")]
    return max(source.stat().st_mtime for source in sources)


@contextmanager
def _turn(folder: Path | None, say: Callable[[str], None]) -> Iterator[None]:
    """Alone among the processes that compile into a folder; without a lock where there cannot be one."""
    try:
        file = None if folder is None else (folder / _LOCK).open("a")
    except OSError:
        file = None
    if file is None:
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is compiling kernels for this processor; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield
