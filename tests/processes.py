"""Which processes there are, by /proc: those below another one, and what they were started with."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def below(root: int) -> list[int]:
    """A process and all that are alive below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    found, newest = [root], [root]
    while newest:
        newest = [pid for pid, parent in parents.items() if parent in newest]
        found += newest
    return found


def command_of(pid: int) -> bytes:
    """The command line; empty if the process has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@contextlib.contextmanager
def crowded(count: int) -> Iterator[None]:
    """This process and all below it share one core with `count` others that compute, and so does what starts meanwhile.

    The other cores stay free for the tests beside this one.
    """
    cores = os.sched_getaffinity(0)
    _keep_to({min(cores)})
    loops = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
        _keep_to(cores)


def _keep_to(cores: set[int]) -> None:
    for pid in below(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.sched_setaffinity(pid, cores)
