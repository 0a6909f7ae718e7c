"""The same function over parts of a list, in forked processes; the results in order, as one process would give them.

Decisions:
- Fork, and ranges instead of rows: the children have rows and indexes already, nothing large is copied.
- A child dies with its parent (prctl), so a killed run leaves nobody behind.
- Short lists stay in this process: starting others costs more than they save.
"""

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
CHUNK = 250
FEWEST = 4000
"""Below so many rows one process does it."""
_MOST_PROCESSES = 8
_PR_SET_PDEATHSIG = 1
_Work = Callable[[int, int], list[T]]
_work: list[Callable[[int, int], list[object]]] = []


def in_parts(work: _Work[T], total: int, processes: int | None = None) -> Iterator[list[T]]:
    """What `work(start, end)` gives for consecutive ranges of 0..total, in order.

    processes: default one a core that this process may use, up to eight.
    """
    ranges = [(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
    count = processes or min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
    if count == 1 or total < FEWEST:
        for start, end in ranges:
            yield work(start, end)
        return
    with multiprocessing.get_context("fork").Pool(count, _begin, (work, os.getpid())) as pool:
        yield from pool.imap(_part, ranges)


def _begin(work: _Work[object], parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its children
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before that
        os._exit(1)
    _work[:] = [work]


def _part(bounds: tuple[int, int]) -> list[object]:
    return _work[0](*bounds)
