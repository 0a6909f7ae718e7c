"""Progress of a long step on one line at a time, with an ETA if the total is known; silent where a step is quick."""

import time
from collections.abc import Callable

from frugalrl.reporting.console import duration
from frugalrl.reporting.lines import Progressing

Show = Callable[[str], None]
"""Prints a line."""
FIRST_SECONDS, EVERY_SECONDS = 3.0, 5.0


class Progress:
    """Reports progress now and then. The clock is an argument, for tests."""

    def __init__(self, what: str, total: int, show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._total, self._show, self._clock = what, total, show, clock
        self._started = clock()
        self._next = FIRST_SECONDS

    def __call__(self, done: int) -> None:
        seconds = self._clock() - self._started
        if seconds < self._next or done <= 0 or 0 < self._total <= done:
            return
        self._next = seconds + EVERY_SECONDS
        if not self._total:
            text = f"  {self._what} {done:,}  {duration(seconds)} elapsed"
            self._show(Progressing(text, self._what, done, 0))
            return
        remaining = seconds / done * (self._total - done)
        text = (
            f"  {self._what} {done:,}/{self._total:,}  {duration(seconds)} elapsed, "
            f"about {duration(remaining)} remaining"
        )
        self._show(Progressing(text, self._what, done, self._total, remaining))
