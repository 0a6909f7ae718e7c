"""The parent's side of the verifier: the zygote it starts, and a lane of questions to each worker.

A lane is one thread with one worker. A few questions are on their way at once, so that the worker need not wait
for the thread; the clocks of each start when the one before it is answered. A worker that has used up its time, or
has died, is killed, and the questions behind go to its successor.

The limit is processor time, as the kernel counts it for the worker's process: it needs no help from the worker, and
a machine that is busy with something else does not shorten it. An answer counts if and only if the time that the
worker itself measured for it is within the limit, however late this side looks. Wall clock is a backstop, with a
reason of its own, for a worker that waits or gets no processor at all.
"""

import math
import os
import queue
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from frugalrl.errors import InternalError
from frugalrl.verify.maths.comparison import Comparison
from frugalrl.verify.reasons import CPU_LIMIT, MEMORY_LIMIT, WALL_LIMIT, WORKER_DIED
from frugalrl.verify.workers.worker import receive_message, send_message

_START_LIMIT_SECONDS = 60.0
"""Importing sympy takes 1 s on an idle machine; a busy one is given time."""
_GRACE_SECONDS = 0.05
"""Processor time past the limit before a worker is killed: it may have finished in time and be sending its answer."""
_QUESTIONS_AT_ONCE = 4
"""Two keep a worker busy; more wait longer behind one that hangs. At 100 kB at most they fit a socket's buffer."""


@dataclass(frozen=True)
class TimeLimits:
    """What one answer may take."""

    cpu_seconds: float
    """Processor time of its worker."""
    wall_seconds: float
    """By the clock, in case the worker gets no processor."""


@dataclass(frozen=True)
class Answered:
    """The outcome of a task."""

    comparison: Comparison
    seconds: float
    cpu_seconds: float
    is_alive: bool
    """Whether the worker can be asked again."""


@dataclass(frozen=True)
class Task:
    answer: str
    golds: Sequence[str]
    result: "Future[Answered]"


class Zygote:
    """The process that forks workers, and the lock around its control socket."""

    def __init__(self, memory_limit_bytes: int) -> None:
        self._memory_limit_bytes = memory_limit_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._start()

    def fork(self) -> "tuple[int, socket.socket]":
        """A new worker: its process id and the socket to it. Starts the zygote again if it has died."""
        with self._lock:
            try:
                return self._fork()
            except (OSError, EOFError):
                if self._closed:
                    raise
                self._stop()
                self._start()
                return self._fork()

    def kill(self, pid: int) -> None:
        """End a worker; one whose zygote has died has ended already."""
        with self._lock:
            try:
                send_message(self._control, {"do": "kill", "pid": pid})
                receive_message(self._control)
            except (OSError, EOFError):
                return

    def close(self) -> None:
        """End the zygote, which ends its workers."""
        with self._lock:
            self._closed = True
            self._stop()

    def reset_state(self) -> None:
        """Close this process's copy of the control socket; the zygote serves the parent alone."""
        self._control.close()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "frugalrl.verify.workers.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=_clean_environment(),
            )
        ours.settimeout(_START_LIMIT_SECONDS)
        self._control = ours
        try:
            receive_message(ours)
        except (OSError, EOFError, ValueError):
            self._stop()
            raise InternalError(
                "The verifier's process did not start. Run `python -m frugalrl.verify.workers.worker 0` with this "
                "interpreter to see why."
            ) from None

    def _stop(self) -> None:
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _fork(self) -> "tuple[int, socket.socket]":
        ours, theirs = socket.socketpair()
        try:
            body = b'{"do": "fork", "memory_limit_bytes": %d}' % self._memory_limit_bytes
            with theirs:
                socket.send_fds(self._control, [len(body).to_bytes(4, "big")], [theirs.fileno()])
                self._control.sendall(body)
            return int(receive_message(self._control)["forked"]), ours
        except BaseException:
            ours.close()
            raise


def _clean_environment() -> dict[str, str]:
    """Only what Python needs; sympy and mpmath on Python integers even where gmpy2 is installed."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONHASHSEED": "0",  # sympy sorts by hashes: with random ones the same question takes other ways
        "SYMPY_GROUND_TYPES": "python",
        "MPMATH_NOGMPY": "1",
    }


def serve(tasks: "queue.SimpleQueue[Task | None]", zygote: Zygote, limits: TimeLimits) -> None:
    """A thread's life: ask and collect until the queue says None."""
    lane = _Lane(zygote, limits)
    is_open = True
    while is_open or lane.asked:
        room = 0
        if len(lane.asked) <= 1:  # neighbours go together: they often share a gold, which a worker parses once
            room = min(_QUESTIONS_AT_ONCE, 1 + tasks.qsize() // 2) - len(lane.asked)  # the other lanes want some too
        while is_open and room > 0:
            room -= 1
            try:
                task = tasks.get(block=not lane.asked)
            except queue.Empty:
                break
            is_open = task is not None
            if task is not None and task.result.set_running_or_notify_cancel():
                lane.ask(task)
        if lane.asked:
            lane.collect()
    lane.close()


class _Lane:
    """One worker and the questions on their way to it."""

    def __init__(self, zygote: Zygote, limits: TimeLimits) -> None:
        self.asked: deque[Task] = deque()
        self._zygote = zygote
        self._limits = limits
        self._worker: tuple[int, socket.socket] | None = None
        self._started = 0.0
        self._cpu_before = 0.0
        """Processor time of the worker when it began the oldest question."""

    def ask(self, task: Task) -> None:
        """Send a question; the clock starts if none was before it."""
        if not self.asked:
            self._started = time.perf_counter()
        self.asked.append(task)
        self._send(task)

    def collect(self) -> None:
        """Wait for the oldest answer, until it has used up its time."""
        task = self.asked.popleft()
        if self._worker is None:
            task.result.set_exception(InternalError("The verifier cannot start a process. Start the run again."))
            return
        answered = self._answer(*self._worker)
        self._started = time.perf_counter()
        task.result.set_result(answered)
        if not answered.is_alive:
            self._replace_worker()

    def close(self) -> None:
        """Let the worker go."""
        if self._worker is not None:
            self._worker[1].close()

    def _send(self, task: Task) -> None:
        try:
            if self._worker is None:
                self._worker = self._zygote.fork()
                self._started, self._cpu_before = time.perf_counter(), 0.0
            self._worker[1].settimeout(self._limits.wall_seconds)
            send_message(self._worker[1], [task.answer, list(task.golds)])
        except (OSError, EOFError, InternalError):
            return  # collect() notices, and tells the waiting caller

    def _answer(self, pid: int, connection: socket.socket) -> Answered:
        exceeded, cpu_seconds = self._wait(pid, connection)
        if exceeded is not None:
            return Answered(Comparison("undecided", exceeded), self._elapsed(), cpu_seconds, is_alive=False)
        try:
            connection.settimeout(self._limits.wall_seconds)
            outcome, reason, cpu_began, cpu_ended = receive_message(connection)
            cpu_seconds, self._cpu_before = cpu_ended - cpu_began, cpu_ended
            comparison = Comparison(outcome, "equivalent" if outcome == "same" else str(reason))
        except (OSError, EOFError, ValueError, TypeError):
            return Answered(Comparison("undecided", WORKER_DIED), self._elapsed(), 0.0, is_alive=False)
        if cpu_seconds > self._limits.cpu_seconds:
            comparison = Comparison("undecided", CPU_LIMIT)
        return Answered(comparison, self._elapsed(), cpu_seconds, is_alive=reason != MEMORY_LIMIT)

    def _wait(self, pid: int, connection: socket.socket) -> tuple[str | None, float]:
        """Until there is something to read (None), or a limit is exceeded: which, and the processor time used."""
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        while True:
            used = max(0.0, _cpu_clock(pid) - self._cpu_before)
            cpu_left = self._limits.cpu_seconds + _GRACE_SECONDS - used
            wall_left = self._limits.wall_seconds - self._elapsed()
            # A worker has one thread: it cannot use more processor time than passes by the clock.
            if poll.poll(math.ceil(1000 * max(0.0, min(cpu_left, wall_left)))):
                return None, used
            if cpu_left <= 0:
                return CPU_LIMIT, used
            if wall_left <= 0:
                return WALL_LIMIT, used

    def _elapsed(self) -> float:
        return time.perf_counter() - self._started

    def _replace_worker(self) -> None:
        if self._worker is not None:
            self._worker[1].close()
            self._zygote.kill(self._worker[0])
            self._worker = None
        for task in self.asked:
            self._send(task)


def _cpu_clock(pid: int) -> float:
    """Processor seconds that a process has used; 0 for one that is gone, which its socket tells.

    Linux gives every process such a clock; its number is made from the process id (clock_getcpuclockid(3), which
    Python does not wrap: the complement of the id, shifted by three bits, and 2 for the scheduler's count).
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0
