"""For tests of what is left running: orphans come to this process, and so does what is left of a test in its folder."""

import ctypes
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_SET_CHILD_SUBREAPER = 36


def _children() -> set[int]:
    return set(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.fixture(scope="module")
def orphans_come_here() -> Iterator[None]:
    """What outlives its parent becomes a child of this process and not of the machine's first one.

    So whatever a test left behind is found below this process, and nothing that runs beside it is taken for that.
    """
    before = _children()
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    for pid in _children() - before:
        if _is_zombie(pid):
            os.waitpid(pid, os.WNOHANG)


@pytest.fixture
def own_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for temporary files that any user may use, and no other test does."""
    with tempfile.TemporaryDirectory(prefix="lifetime-") as folder:
        Path(folder).chmod(0o1777)
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)
