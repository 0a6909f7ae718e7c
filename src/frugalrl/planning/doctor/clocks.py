"""A clock that is set, for finding functions that look at it."""

import datetime
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

DAY_AND_MORE = 86_400.0 + 3_600.0 + 60.0 + 1.0
"""Seconds after which every part of a date and a time is another, and an even second is odd."""
_DATETIME, _TIME, _TIME_NS = datetime.datetime, time.time, time.time_ns


@contextmanager
def clock_at(seconds: float, functions: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Inside, `time.time` and `datetime.now` begin at `seconds` and go on from there.

    Also where the functions' modules imported them by name.
    """
    ahead = seconds - _TIME()
    more = datetime.timedelta(seconds=ahead)

    class Moved(datetime.datetime):
        """A `datetime` whose now is another."""

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _DATETIME.now(tz) + more

        @classmethod
        def utcnow(cls) -> Any:
            return _DATETIME.now(datetime.UTC).replace(tzinfo=None) + more

        @classmethod
        def today(cls) -> Any:
            return _DATETIME.now() + more

    others: dict[Any, Any] = {
        _DATETIME: Moved,
        _TIME: lambda: _TIME() + ahead,
        _TIME_NS: lambda: _TIME_NS() + int(ahead * 1e9),
    }
    modules = [sys.modules.get(getattr(one, "__module__", "")) for one in functions]
    places = [time.__dict__, datetime.__dict__, *(vars(module) for module in modules if module is not None)]
    changed = [
        (place, name, value)
        for place in places
        for name, value in place.items()
        if any(value is real for real in others)
    ]
    try:
        for place, name, value in changed:
            place[name] = others[value]
        yield
    finally:
        for place, name, value in changed:
            place[name] = value
