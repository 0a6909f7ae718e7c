"""Lanes: the parts of a small model's batch are computed side by side, each by a thread with one thread of torch.

Tensors of a small model are too small to be shared by threads: handing them out takes as long as what it saves. Whole
parts of a batch (some completions, a micro-batch) are worth it. A part is computed as on one core, and parts are put
together in their order, so in fp32 the result does not depend on the number of lanes.

torch's number of threads, as it is set, is the number of lanes; while they are open it is 1.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

SMALL_PARAMETERS = 4_000_000
"""Models of at most as many are computed in lanes. Larger tensors are shared by torch's own threads."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """As many calls at once as there are lanes; one lane computes in the caller's thread."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._left = threading.Event()
        self._threads = ThreadPoolExecutor(count, "lane", lambda: torch.set_num_threads(1)) if count > 1 else None

    @property
    def is_left(self) -> bool:
        """Whether nobody waits for results any more, as after Ctrl-C: a long call asks, and ends early."""
        return self._left.is_set()

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results in the order of the items. The first error is raised in its place.

        Twice as many calls as lanes are under way or wait to be taken, so that results do not pile up.
        """
        if self._threads is None or len(items) < 2:
            yield from map(function, items)
            return
        begun: deque[Future[Result]] = deque()
        for item in items:
            begun.append(self._threads.submit(function, item))
            if len(begun) == 2 * self.count:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def close(self) -> None:
        """End the threads; calls that have not begun are not made."""
        self._left.set()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)


@contextmanager
def open_lanes(parameters: int, device: torch.device) -> Iterator[Lanes]:
    """Lanes for a model of so many parameters: one on a GPU, and where the model is not small."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or parameters > SMALL_PARAMETERS:
        yield Lanes(1)
        return
    torch.set_num_threads(1)
    lanes = Lanes(threads)
    try:
        yield lanes
    finally:
        lanes.close()
        torch.set_num_threads(threads)
