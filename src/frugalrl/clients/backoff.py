"""How long to wait before a request is sent again. Pure, but for the clock, which is an argument.

Pauses double from one second to two minutes, each shortened by up to half at random, so that requests that failed
together do not retry together. A server's `Retry-After` (seconds or a date) is respected, up to ten minutes.
"""

import threading
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Protocol

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 120.0
LONGEST_ASKED_SECONDS = 600.0
_LATER = 0.1
"""Maximum random extension of a requested pause, as a share of it."""


class Clock(Protocol):
    """Time, so that tests need none."""

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def wait(self, seconds: float, stopped: threading.Event) -> bool:
        """Wait this long, or until the event is set. Returns whether it is."""
        ...


class SystemClock:
    """See `Clock`."""

    def now(self) -> float:
        return time.time()

    def wait(self, seconds: float, stopped: threading.Event) -> bool:
        return stopped.wait(seconds)


def pause_seconds(attempt: int, asked_seconds: float | None, jitter: float) -> float:
    """Before the attempt after this one, which counts from 0. jitter: at random, 0..1.

    asked_seconds: what the server asked for, if it did.
    """
    if asked_seconds is not None:
        return min(LONGEST_ASKED_SECONDS, max(0.0, asked_seconds)) * (1.0 + _LATER * jitter)
    return float(min(LONGEST_SECONDS, FIRST_SECONDS * 2.0**attempt) * (0.5 + 0.5 * jitter))


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """What a `Retry-After` header asks for; None if there is none that can be read."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
