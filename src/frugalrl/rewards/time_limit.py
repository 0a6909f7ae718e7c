"""A time limit on a user's function, in the calling thread.

The function stays in the main thread, since reward functions that use math-verify set alarms, which Python allows only
there. When the time is over a signal interrupts it: sleeps, sockets, locks, loops and runaway regular expressions end,
and the exception passes `except Exception`. Two clocks send it: a thread, for a function that waits, and the process's
own timer, for one that computes and lets no other thread run.

Not covered: compiled code that neither returns nor looks at signals, and a loop that catches everything (`except:`)
and goes on. No thread could be made to leave those either; only a process of its own can be killed, and a function
with a model or a connection in it cannot be sent to one.

Outside of the main thread the function gets a thread that is waited for and then left behind.
"""

import contextvars
import signal
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

_AGAIN_SECONDS = 0.5
"""Between signals after the first, for a function that swallows one while it cleans up."""
_SIGNAL = signal.SIGVTALRM
"""That of the timer for processor time; alarms (SIGALRM) are left to the function."""


class OutOfTimeError(Exception):
    """The function has not returned within its time."""


class _Interrupt(BaseException):
    """Raised inside the function: no `except Exception` of it may hold it."""


def call_within(function: Callable[[], T], seconds: float) -> T:
    """What the function returns. Raises what it raises, and OutOfTimeError when `seconds` have passed."""
    if threading.current_thread() is not threading.main_thread():
        return _in_a_thread(function, seconds)
    try:
        return _interrupted(function, seconds)
    except _Interrupt:
        raise OutOfTimeError(f"not done within {seconds:g} s") from None


def _interrupted(function: Callable[[], T], seconds: float) -> T:
    deadline, is_done, main = time.monotonic() + seconds, threading.Event(), threading.get_ident()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if time.monotonic() >= deadline and not is_done.is_set():
            raise _Interrupt

    def watch() -> None:
        pause = seconds
        while not is_done.wait(pause):
            signal.pthread_kill(main, _SIGNAL)
            pause = _AGAIN_SECONDS

    watcher = threading.Thread(target=watch, name="reward-time-limit", daemon=True)
    before = signal.signal(_SIGNAL, interrupt)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, _AGAIN_SECONDS)
        watcher.start()
        return function()
    finally:
        is_done.set()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        watcher.join()
        signal.signal(_SIGNAL, before)


def _in_a_thread(function: Callable[[], T], seconds: float) -> T:
    outcome: SimpleQueue[tuple[bool, T | BaseException]] = SimpleQueue()

    def work() -> None:
        try:
            outcome.put((True, function()))
        except BaseException as error:  # passed on to the waiting thread
            outcome.put((False, error))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="reward", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise OutOfTimeError(f"not done within {seconds:g} s")
    succeeded, value = outcome.get()
    if succeeded:
        return value  # type: ignore[return-value]
    raise value  # type: ignore[misc]
