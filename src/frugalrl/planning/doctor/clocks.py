"""A clock that is a day ahead, for finding functions that look at it."""

import datetime
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_AHEAD = datetime.timedelta(days=1, hours=1, minutes=1, seconds=1)
"""So that every part of a date and a time is another, and an even second is odd."""
_DAY, _CLOCK, _CLOCK_NS = datetime.datetime, time.time, time.time_ns


class _Tomorrow(datetime.datetime):
    """A `datetime` whose now is ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _DAY.now(tz) + _AHEAD

    @classmethod
    def utcnow(cls) -> Any:
        return _DAY.now(datetime.UTC).replace(tzinfo=None) + _AHEAD

    @classmethod
    def today(cls) -> Any:
        return _DAY.now() + _AHEAD


@contextmanager
def tomorrow(functions: Sequence[Callable[..., Any]]) -> Iterator[None]:
    """Inside, `time.time` and `datetime.now` are ahead, also where the functions' modules imported them by name."""
    ahead = _AHEAD.total_seconds()
    others: dict[Any, Any] = {
        _DAY: _Tomorrow,
        _CLOCK: lambda: _CLOCK() + ahead,
        _CLOCK_NS: lambda: _CLOCK_NS() + int(ahead * 1e9),
    }
    modules = [sys.modules.get(getattr(one, "__module__", "")) for one in functions]
    places = [time.__dict__, datetime.__dict__, *(vars(module) for module in modules if module is not None)]
    changed = []
    try:
        for place in places:
            for name, value in list(place.items()):
                for real, other in others.items():
                    if value is real:
                        changed.append((place, name, value))
                        place[name] = other
        yield
    finally:
        for place, name, value in changed:
            place[name] = value
