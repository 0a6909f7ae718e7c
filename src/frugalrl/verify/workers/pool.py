"""Verdicts under a limit on processor time and memory, from any thread or coroutine, in the order asked.

What text and exact arithmetic can decide is decided in the calling thread, in time linear in the answer. The rest
goes to worker processes (`worker`). A worker that has used up its time (`lanes`), or has died, is killed and
replaced; its answer is `unknown` with the reason, and no other answer is touched.

The pool starts at the first answer that needs it. It ends at `close`, at the end of its ``with`` block, at the
interpreter's exit, and, should this process be killed, by itself: the workers' sockets close. Ctrl-C reaches
neither zygote nor workers, they are in a session of their own; the parent that it ends takes them along. After a
fork the child has no pool and starts its own on demand.
"""

import asyncio
import atexit
import math
import os
import queue
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType

from frugalrl.types import Verdict, VerdictLabel
from frugalrl.verify.maths.comparison import Comparison, compare, most_telling
from frugalrl.verify.maths.extraction import DEFAULT_POLICY, AnswerPolicy, Extraction, extract_answer
from frugalrl.verify.maths.percentages import read_percent
from frugalrl.verify.workers.lanes import Answered, Task, TimeLimits, Zygote, serve

DEFAULT_WORKERS = 2
DEFAULT_CPU_SECONDS = 2.0
"""Of one answer: of 26,508 to real golds one took more than 0.5 s and none more than 1 s, so that a load that makes
processor time twice as long changes no verdict; see docs/rewards/answers.md."""
WALL_FACTOR = 30
"""The backstop by the clock, in processor seconds: thirty busy processes to each core before it can fire first."""
DEFAULT_MEMORY_LIMIT_BYTES = 2 << 30
_CLOSE_SECONDS = 5.0
"""For a thread whose worker has just been ended."""
_SHOWN_CHARS = 200
_LABELS: dict[str, VerdictLabel] = {"same": "correct", "different": "incorrect"}


@dataclass(frozen=True)
class AnswerItem:
    """A completion to judge."""

    completion: str
    """The text after the prompt."""
    gold: str | Sequence[str]
    """The accepted answer, or several of which any will do; a box around it is allowed."""
    reasoning_open: bool = False
    """Whether the prompt's template had opened ``<think>`` already."""
    question: str | None = None
    """The problem, where it is known: it says whether a percentage is asked for."""


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it took."""

    verdict: Verdict
    seconds: float
    """Wall clock from the start of the work on this answer, without its wait for a worker."""
    cpu_seconds: float
    """What computer algebra took, on whatever share of a core it got; 0 where it was not asked."""


class VerifierPool:
    """Worker processes that compare answers. Cheap to create: nothing starts before it is needed."""

    def __init__(
        self,
        workers: int = DEFAULT_WORKERS,
        cpu_seconds: float = DEFAULT_CPU_SECONDS,
        wall_seconds: float | None = None,
        memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES,
        policy: AnswerPolicy = DEFAULT_POLICY,
    ) -> None:
        if workers < 1 or memory_limit_bytes < 256 << 20:
            raise ValueError("a pool needs a worker, and 256 MiB for each worker")
        if wall_seconds is None:
            wall_seconds = WALL_FACTOR * cpu_seconds
        if not 0 < cpu_seconds <= wall_seconds < math.inf:
            raise ValueError("a pool needs a time limit above zero, and a wall-clock limit that is no smaller")
        self.workers = workers
        self.limits = TimeLimits(cpu_seconds, wall_seconds)
        self.memory_limit_bytes = memory_limit_bytes
        self.policy = policy
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._zygote: Zygote | None = None
        self._threads: list[threading.Thread] = []
        _POOLS.add(self)

    def judge(self, item: AnswerItem) -> Verdict:
        """The verdict on one completion."""
        return self.judge_many([item])[0]

    def judge_many(self, items: Iterable[AnswerItem]) -> list[Verdict]:
        """A verdict for each completion, in order."""
        return [judgement.verdict for judgement in self.judge_timed(items)]

    def judge_timed(self, items: Iterable[AnswerItem]) -> list[Judgement]:
        """A judgement for each completion, in order."""
        pending = [self.begin(item) for item in items]
        try:
            return [one.finish() for one in pending]
        except BaseException:  # mainly Ctrl-C: abandoned work must not keep the workers busy
            for one in pending:
                one.cancel()
            raise

    def begin(self, item: AnswerItem) -> "Pending":
        """Start the work on one completion, without waiting for its verdict."""
        started = time.perf_counter()
        extraction = extract_answer(item.completion, item.reasoning_open, self.policy)
        if extraction.answer is None:
            return Pending(extraction, None, None, time.perf_counter() - started)
        golds = [item.gold] if isinstance(item.gold, str) else list(item.gold)
        decided: list[Comparison] = []
        doubtful: list[str] = []
        for gold in golds:
            comparison = compare(read_percent(extraction.answer, gold, item.question, self.policy), gold)
            if comparison.outcome == "undecided":
                doubtful.append(gold)
            else:
                decided.append(comparison)
        known = most_telling(decided) if decided or not doubtful else None
        is_over = not doubtful or (known is not None and known.outcome == "same")
        result = None if is_over else self._submit(extraction.answer, doubtful)
        return Pending(extraction, known, result, time.perf_counter() - started)

    async def judge_many_async(self, items: Iterable[AnswerItem]) -> list[Verdict]:
        """`judge_many` for coroutines: the event loop is free while workers compare."""
        pending = [self.begin(item) for item in items]
        try:
            for one in pending:
                if one.result is not None:
                    await asyncio.wrap_future(one.result)
        except asyncio.CancelledError:
            for one in pending:
                one.cancel()
            raise
        return [one.finish().verdict for one in pending]

    def close(self) -> None:
        """End all processes and threads. The pool restarts if it is used again."""
        with self._lock:
            zygote, threads = self._zygote, self._threads
            self._zygote, self._threads = None, []
            tasks, self._tasks = self._tasks, queue.SimpleQueue()
        if zygote is None:
            return
        for _ in threads:
            tasks.put(None)
        zygote.close()
        for thread in threads:
            thread.join(timeout=_CLOSE_SECONDS)

    def reset_state(self) -> None:
        """Drop what belongs to the parent process, in a child that was forked from it."""
        if self._zygote is not None:
            self._zygote.reset_state()
        self._lock = threading.Lock()
        self._tasks, self._zygote, self._threads = queue.SimpleQueue(), None, []

    def __enter__(self) -> "VerifierPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _submit(self, answer: str, golds: Sequence[str]) -> "Future[Answered]":
        task = Task(answer, golds, Future())
        with self._lock:
            self._ensure_started()
            self._tasks.put(task)
        return task.result

    def _ensure_started(self) -> None:
        if self._zygote is not None:
            return
        self._zygote = Zygote(self.memory_limit_bytes)
        self._threads = [
            threading.Thread(
                target=serve,
                args=(self._tasks, self._zygote, self.limits),
                name=f"verifier-{number}",
                daemon=True,
            )
            for number in range(self.workers)
        ]
        for thread in self._threads:
            thread.start()


_POOLS: "weakref.WeakSet[VerifierPool]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for pool in list(_POOLS):
        pool.close()


def _reset_all() -> None:
    for pool in list(_POOLS):
        pool.reset_state()


os.register_at_fork(after_in_child=_reset_all)


@dataclass(frozen=True)
class Pending:
    """An answer on its way to a verdict. Whoever begins one finishes it or cancels it."""

    extraction: Extraction
    decided: Comparison | None
    result: "Future[Answered] | None"
    """Of the golds that only a worker can decide."""
    seconds: float

    def finish(self) -> Judgement:
        """Wait for it. Raises InternalError if no worker could be started."""
        comparisons = [self.decided] if self.decided else []
        if self.result is None:
            return Judgement(_verdict(self.extraction, most_telling(comparisons)), self.seconds, 0.0)
        answered = self.result.result()
        verdict = _verdict(self.extraction, most_telling([*comparisons, answered.comparison]))
        return Judgement(verdict, self.seconds + answered.seconds, answered.cpu_seconds)

    def cancel(self) -> None:
        """Nobody waits for it any more: if no worker has begun it, none will."""
        if self.result is not None:
            self.result.cancel()


def _verdict(extraction: Extraction, comparison: Comparison) -> Verdict:
    if extraction.answer is None:
        return Verdict("incorrect", None, extraction.reason)
    shown = extraction.answer
    if len(shown) > _SHOWN_CHARS:
        shown = shown[:_SHOWN_CHARS] + "..."
    return Verdict(_LABELS.get(comparison.outcome, "unknown"), shown, comparison.reason)
