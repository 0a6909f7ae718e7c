"""Who does what: work dealt to processes by pure functions of the work and their number: each knows all shares."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

Share = tuple[int, tuple[int, ...]]
"""The number of a request, and which of its samples."""


def deal_samples(counts: Sequence[int], processes: int) -> list[list[Share]]:
    """The samples of some requests, for each process.

    counts: samples of each request. Requests are dealt in turn, whole, so that a prompt is computed in one place; those
    of the last, incomplete round are cut by samples, so that nobody waits: fewer requests than processes are all cut.
    """
    shares: list[list[Share]] = [[] for _ in range(processes)]
    rounds = len(counts) // processes * processes
    for request, count in enumerate(counts):
        if request < rounds:
            shares[request % processes].append((request, tuple(range(count))))
            continue
        for process in range(processes):
            samples = tuple(range((process - request) % processes, count, processes))
            if samples:
                shares[process].append((request, samples))
    return shares


def deal_rows(rows: Sequence[T], tokens: Callable[[T], int], processes: int) -> list[list[T]]:
    """Rows for each process, neighbours together, with nearly the same number of tokens in each share.

    A row goes to the process in whose part of the whole its middle token lies.
    """
    shares: list[list[T]] = [[] for _ in range(processes)]
    total, before = sum(map(tokens, rows)), 0
    for row in rows:
        middle = before + tokens(row) / 2
        shares[min(processes - 1, int(middle * processes / max(1, total)))].append(row)
        before += tokens(row)
    return shares
