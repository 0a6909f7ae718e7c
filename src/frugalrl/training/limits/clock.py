"""The wall clock of a run by phase. What it has measured is taken out and stored elsewhere."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class PhaseClock:
    """Accumulates seconds by phase until they are taken."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to a phase."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[phase] += time.monotonic() - started

    def take(self) -> dict[str, float]:
        """The seconds by phase since the last call; restarts at 0."""
        taken = dict(self._seconds)
        self._seconds.clear()
        return taken
