"""How a step's many small operations reach the device: one after another, or as one recorded CUDA graph.

A step is a function of two shapes, the rows it feeds and the columns its attention reads; all else it finds in memory
that does not move. On a CPU it is simply called. On a GPU both shapes are rounded up to a bucket, the step is called
plainly the first few times that a bucket is seen, which warms up what may not be made while recording, then recorded
once and replayed: the host sends one launch a token instead of some hundreds.
"""

from collections.abc import Callable
from typing import Protocol

import torch

Step = Callable[[int, int], None]
"""Rows and columns in; the work is done in memory that does not move."""
Replay = Callable[[], None]
Recorder = Callable[[Callable[[], None]], Replay]
"""Records what a function would do, without doing it; what it returns does it."""

WIDTH_STEP = 16
"""Widths on a CPU are multiples of it, so that a short row's sums do not depend on the longest row's length."""
ROW_BUCKETS = (2, 4, 8)
"""Then multiples of 8, where a matrix product's cost does not change."""
PLAIN_STEPS = 3
"""Before a bucket is recorded: a bucket that is hardly used is never recorded."""


class StepRunner(Protocol):
    """Runs steps for rows that hold at most `longest` tokens."""

    def run(self, step: Step, rows: int, longest: int) -> None:
        """Call the step with at least so many rows, and more columns than any position."""
        ...


class PlainSteps:
    """Calls each step with the rows in flight and hardly more columns than are held."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens

    def run(self, step: Step, rows: int, longest: int) -> None:
        """See `StepRunner.run`."""
        step(rows, min(_round_up(longest, WIDTH_STEP), self._max_tokens))


class RecordedSteps:
    """Records a step for each bucket of rows and columns, and replays it."""

    def __init__(self, max_rows: int, max_tokens: int, recorder: Recorder) -> None:
        self._max_rows, self._max_tokens, self._record = max_rows, max_tokens, recorder
        self._seen: dict[tuple[int, int], int] = {}
        self._replays: dict[tuple[int, int], Replay] = {}

    def run(self, step: Step, rows: int, longest: int) -> None:
        """See `StepRunner.run`. The step must be the same function in every call."""
        bucket = row_bucket(rows, self._max_rows), width_bucket(longest, self._max_tokens)
        if bucket not in self._replays:
            self._seen[bucket] = self._seen.get(bucket, 0) + 1
            if self._seen[bucket] <= PLAIN_STEPS:
                step(*bucket)
                return
            self._replays[bucket] = self._record(lambda: step(*bucket))
        self._replays[bucket]()


def row_bucket(rows: int, limit: int) -> int:
    """The smallest bucket that holds so many rows; the last is the limit itself."""
    return min(next((one for one in ROW_BUCKETS if one >= rows), _round_up(rows, 8)), limit)


def width_bucket(longest: int, limit: int) -> int:
    """Multiples of 256 up to 1,024 columns, then of 512: at most a third is read in vain, few graphs are recorded."""
    return min(_round_up(longest, 256 if longest <= 1024 else 512), limit)


def cuda_recorder() -> Recorder:
    """Records CUDA graphs. They share one pool of memory, since no step reads what another left in it."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], None]) -> Replay:
        graph, stream, failed = torch.cuda.CUDAGraph(), torch.cuda.current_stream(), list[BaseException]()
        try:
            # Other threads may use the device meanwhile: only what this one does is recorded, or refused.
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                try:
                    work()
                except BaseException as error:
                    failed.append(error)
                    raise
        except BaseException as error:
            torch.cuda.set_stream(stream)  # torch leaves it switched if the recording cannot be ended either
            raise failed[0] if failed else error from None
        return graph.replay

    return record


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step
