"""A forecast of an evaluation as lines for people: one machine in full, several side by side. Pure."""

from collections.abc import Sequence

from frugalrl.planning.forecast.budget import Interval
from frugalrl.planning.forecast.evaluations import Forecast, Room
from frugalrl.reporting.console import duration, table


def forecast_lines(expected: Forecast) -> list[str]:
    """Everything about one machine."""
    by_benchmark = ", ".join(f"{name} {_count(tokens)}" for name, tokens in expected.tokens_of.items())
    more = f" ({by_benchmark})" if len(expected.tokens_of) > 1 else ""
    lines = [f"Expected: {expected.samples:,} samples, {_tokens(expected.tokens)} tokens{more}"]
    if expected.seconds is not None:
        lines.append(f"  time     {time_shown(expected.seconds)} on {expected.place}")
    if expected.usd is not None:
        lines.append(f"  money    {usd_shown(expected.usd)} ({expected.price})")
    if expected.room is not None:
        lines.append(f"  memory   {_room(expected.room)}")
    return [*lines, f"  depends  most on {expected.dominates}"]


def forecasts_table(forecasts: Sequence[Forecast]) -> str:
    """The same evaluation on several cards."""
    first = forecasts[0]
    rows = [("card", "time", "money", "memory")]
    rows += [
        (
            one.place,
            "not known" if one.seconds is None else time_shown(one.seconds),
            "no price: give --usd-per-hour" if one.usd is None else f"{usd_shown(one.usd)}, {one.price.split(',')[0]}",
            "" if one.room is None else _room(one.room),
        )
        for one in forecasts
    ]
    head = f"Expected: {first.samples:,} samples, {_tokens(first.tokens)} tokens"
    return f"{head}\n{table(rows)}\nDepends most on {first.dominates}"


def time_shown(seconds: Interval) -> str:
    """With its range."""
    return f"{duration(seconds.value)} [{duration(seconds.low)}, {duration(seconds.high)}]"


def usd_shown(usd: Interval) -> str:
    """With its range; cents, or fractions of one."""
    digits = 2 if usd.high >= 0.1 else 5
    return f"${usd.value:,.{digits}f} [{usd.low:,.{digits}f}, {usd.high:,.{digits}f}]"


def _tokens(tokens: Interval) -> str:
    return f"{_count(tokens.value)} [{_count(tokens.low)}, {_count(tokens.high)}]"


def _count(tokens: float) -> str:
    return f"{tokens / 1e6:.3g} M" if tokens >= 1e6 else f"{tokens:,.0f}"


def _room(room: Room) -> str:
    if room.rows <= room.rows_that_fit:
        return f"{room.peak_gb:.3g} GB at most of {room.memory_gb:.3g}: {room.rows} at once, {room.rows_that_fit} fit"
    what = f"--max-sequences {room.rows_that_fit} fits" if room.rows_that_fit else "not even one completion fits"
    return f"{room.peak_gb:.3g} GB at most of {room.memory_gb:.3g}: MAY NOT FIT if all are long; {what}"
