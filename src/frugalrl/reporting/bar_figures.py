"""Bars and intervals as inline SVG, each with its numbers as a table beside it: values in, markup out.

Every bar and interval says its exact value under the pointer; the table under the figure says the same to a screen
reader, and is what the page offers as CSV.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from frugalrl.reporting.figures import WIDTH, nice_ticks, number, svg

_COLOURS = 6
_RIGHT, _ROW, _DODGED = 24, 24, 13
_NARROWEST, _WIDEST, _CHAR = 60, 216, 7.0
_MOST_LABEL = 26
"""Of characters before the plot, which takes what they leave: about seven pixels each on a phone."""
_TICK_ROOM = 44
_WIDEST_BIN = 56
_LEFT, _TOP, _BOTTOM, _HEIGHT = 44, 8, 34, 190


@dataclass(frozen=True)
class Interval:
    """A value with its interval, all in 0..1 or in points. slot: its colour."""

    label: str
    value: float
    low: float
    high: float
    slot: int = 0
    series: str = ""
    """Whose it is, where several share a label: rows of one label that follow each other stand close together."""


@dataclass(frozen=True)
class Bars:
    """A row of bars, one for each bin."""

    label: str
    counts: Sequence[float]
    slot: int = 0
    """Their colour: whose they are."""
    kind: str = ""
    """In place of a colour: what they say, ``good``, ``bad`` (a lighter fill with an outline) or ``cut``."""

    @property
    def css(self) -> str:
        """The class of their rectangles."""
        return self.kind or f"c{self.slot % _COLOURS}"


def interval_chart(title: str, rows: Sequence[Interval], percent: bool = True, zero: bool = False) -> str:
    """A point with its interval for each row, one below the other; an interval that is NaN (one problem) is not drawn.

    zero: with a line at 0, for differences.
    """
    known = [value for one in rows for value in (one.value, one.low, one.high) if math.isfinite(value)]
    ends = [*known, *([0.0] if zero or not known else [])]
    ticks = nice_ticks(min(ends), max(ends))
    if percent and not zero:
        ticks = [tick for tick in ticks if -1e-9 <= tick <= 1 + 1e-9] or ticks
    low, high = min(ticks[0], min(ends)), max(ticks[-1], max(ends))
    places, height = _places(rows)
    left = min(_WIDEST, max(_NARROWEST, _CHAR * max((len(one.label) for one in rows), default=0) + 14))

    def x(value: float) -> float:
        return left + (value - low) / ((high - low) or 1) * (WIDTH - left - _RIGHT)

    every = math.ceil(_TICK_ROOM * len(ticks) / (WIDTH - left))
    from_zero = next((at for at, tick in enumerate(ticks) if abs(tick) < 1e-12), 0)
    parts = []
    for at, tick in enumerate(ticks):
        label = f"{100 * tick:g}{' %' if not zero else ''}" if percent else f"{tick:g}"
        parts.append(f'<path class="grid" d="M{x(tick):.1f} 4V{height - 28}"/>')
        if (at - from_zero) % every == 0:
            parts.append(f'<text x="{x(tick):.1f}" y="{height - 12}" text-anchor="middle">{label}</text>')
    if zero:
        parts.append(f'<path class="zero" d="M{x(0):.1f} 4V{height - 28}"/>')
    for at, (one, y) in enumerate(zip(rows, places, strict=True)):
        if not at or rows[at - 1].label != one.label:
            mates = sum(1 for _ in next(itertools.groupby(rows[at:], lambda row: row.label))[1])
            middle = (y + places[at + mates - 1]) / 2 + 4
            parts.append(f'<text x="{left - 8}" y="{middle:.1f}" text-anchor="end">{escape(_cut(one.label))}</text>')
        words = f"{_called(one)}: {_said(one, percent, zero)}"
        parts.append(f'<g data-slot="{one.slot}"><title>{escape(words)}</title>{_interval(one, x, y)}')
        parts.append(f'<rect x="{left}" y="{y - 6}" width="{WIDTH - left}" height="12" opacity="0"/></g>')
    table = numbers(
        ["", "value", "low", "high"],
        [[_called(one), *(_value(v, percent) for v in (one.value, one.low, one.high))] for one in rows],
    )
    spoken = "; ".join(f"{_called(one)} {_said(one, percent, zero)}" for one in rows)
    return svg(title, spoken, height, "".join(parts)) + table


def _places(rows: Sequence[Interval]) -> tuple[list[float], float]:
    """Where each row's line is, and the height of all."""
    places, y = [], 4.0 + _ROW / 2
    for at, one in enumerate(rows):
        if at:
            y += _DODGED if rows[at - 1].label == one.label else _ROW
        places.append(y)
    return places, y + _ROW / 2 + 36


def _interval(one: Interval, x: Callable[[float], float], y: float) -> str:
    slot = one.slot % _COLOURS
    is_known = math.isfinite(one.low) and math.isfinite(one.high)
    span = f'<path class="line c{slot}" d="M{x(one.low):.1f} {y}H{x(one.high):.1f}"/>' if is_known else ""
    return f'{span}<circle class="c{slot}" cx="{x(one.value):.1f}" cy="{y}" r="4"/>'


def _called(one: Interval) -> str:
    return f"{one.label}, {one.series}" if one.series else one.label


def _cut(label: str) -> str:
    return label if len(label) <= _MOST_LABEL else f"{label[: _MOST_LABEL - 8]}…{label[-7:]}"


def bar_chart(title: str, bins: Sequence[str], rows: Sequence[Bars], x_label: str = "", beside: bool = False) -> str:
    """Stacked bars over bins, in the rows' order from below. beside: each row's bar beside the others'."""
    totals = [(max if beside else sum)(one.counts[at] for one in rows) for at in range(len(bins))]
    ticks = nice_ticks(0.0, max([*totals, 1.0]))
    top = ticks[-1]
    width = (WIDTH - _LEFT - 10) / len(bins)
    inside = _HEIGHT - _TOP - _BOTTOM
    parts = []
    for tick in ticks:
        y = _TOP + inside * (1 - tick / top)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - 10}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    every = max(1, len(bins) // 6)
    for at, label in enumerate(bins):
        below = 0.0
        for place, one in enumerate(rows):
            count = one.counts[at]
            size = inside * count / top
            wide = min(width - 2, _WIDEST_BIN) / (len(rows) if beside else 1)
            x = _LEFT + at * width + max(1.0, (width - _WIDEST_BIN) / 2) + (place * wide if beside else 0)
            y = _TOP + inside * (1 - below / top) - size
            words = f"{label}, {one.label}: {count:g}"
            whose = "" if one.kind else f' data-slot="{one.slot}"'
            parts.append(
                f'<rect class="{one.css}"{whose} x="{x:.1f}" y="{y:.1f}" '
                f'width="{max(1.0, wide):.1f}" height="{size:.1f}"><title>{escape(words)}</title></rect>'
            )
            below += 0 if beside else count
        if at % every == 0:
            x = _LEFT + (at + 0.5) * width
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 19}" text-anchor="middle">{escape(label)}</text>')
    middle = (_LEFT + WIDTH - 10) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    table = numbers(
        [x_label, *(one.label for one in rows)],
        [[label, *(f"{one.counts[at]:g}" for one in rows)] for at, label in enumerate(bins)],
    )
    spoken = "; ".join(
        f"{one.label}: " + ", ".join(f"{label} {one.counts[at]:g}" for at, label in enumerate(bins)) for one in rows
    )
    key = _key(rows) if len(rows) > 1 and not beside else ""
    return key + svg(title, spoken, _HEIGHT, "".join(parts)) + table


def _key(rows: Sequence[Bars]) -> str:
    """What the colours of stacked bars stand for, from above as in the figure."""
    items = [
        '<li><svg class="fig key" viewBox="0 0 12 12" aria-hidden="true">'
        f'<rect class="{one.css}" x="1" y="1" width="10" height="10" rx="2"/></svg>'
        f"{escape(one.label)}</li>"
        for one in reversed(rows)
    ]
    return f'<ul class="legend small">{"".join(items)}</ul>'


def numbers(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The values of a figure as a table that opens on a click."""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(one)}</td>" for one in row[1:])}</tr>'
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<details class="numbers"><summary>numbers</summary>{table}</details>'


def length_bins(lengths: Sequence[int], most: int = 14) -> tuple[list[int], list[str]]:
    """Edges of bins of equal, round width for lengths in tokens, and their labels."""
    top = max([*lengths, 1])
    step = next(size for power in range(9) for size in (10**power, 2 * 10**power, 5 * 10**power) if top / size <= most)
    edges = list(range(0, top + step, step))
    edges = edges if edges[-1] > top else [*edges, edges[-1] + step]
    return edges, [f"{start:,}" for start in edges[:-1]]


def _said(one: Interval, percent: bool, signed: bool) -> str:
    if signed:
        return f"{100 * one.value:+.1f} points [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    if not math.isfinite(one.low):
        return number(one.value, percent)
    return f"{number(one.value, percent)} [{number(one.low, percent)}, {number(one.high, percent)}]"


def _value(value: float, percent: bool) -> str:
    if not math.isfinite(value):
        return ""
    return f"{100 * value:.2f}" if percent else f"{value:.4g}"
