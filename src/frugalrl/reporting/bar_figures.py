"""Bars and intervals as inline SVG, each with its numbers as a table beside it: values in, markup out.

Every bar and interval says its exact value under the pointer; the table under the figure says the same to a screen
reader, and is what the page offers as CSV.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from frugalrl.reporting.figures import WIDTH, nice_ticks, number

_COLOURS = 6
_LABEL_WIDTH, _RIGHT, _ROW = 150, 24, 24
_MOST_LABEL = 20
_LEFT, _TOP, _BOTTOM, _HEIGHT = 44, 8, 34, 190


@dataclass(frozen=True)
class Interval:
    """A value with its interval, all in 0..1 or in points. slot: its colour."""

    label: str
    value: float
    low: float
    high: float
    slot: int = 0


@dataclass(frozen=True)
class Bars:
    """A row of bars, one for each bin. slot: their colour."""

    label: str
    counts: Sequence[float]
    slot: int = 0


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
    height = _ROW * len(rows) + 40

    def x(value: float) -> float:
        return _LABEL_WIDTH + (value - low) / ((high - low) or 1) * (WIDTH - _LABEL_WIDTH - _RIGHT)

    parts = []
    for tick in ticks:
        label = f"{100 * tick:g}{' %' if not zero else ''}" if percent else f"{tick:g}"
        parts.append(f'<path class="grid" d="M{x(tick):.1f} 4V{height - 28}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 12}" text-anchor="middle">{label}</text>')
    if zero:
        parts.append(f'<path class="line" stroke="currentColor" d="M{x(0):.1f} 4V{height - 28}"/>')
    for at, one in enumerate(rows):
        y = 4 + _ROW * at + _ROW / 2
        words = f"{one.label}: {_said(one, percent, zero)}"
        shown = one.label if len(one.label) <= _MOST_LABEL else f"{one.label[: _MOST_LABEL - 6]}…{one.label[-5:]}"
        parts.append(f'<text x="{_LABEL_WIDTH - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(shown)}</text>')
        slot = one.slot % _COLOURS
        is_known = math.isfinite(one.low) and math.isfinite(one.high)
        span = f'<path class="line c{slot}" d="M{x(one.low):.1f} {y}H{x(one.high):.1f}"/>' if is_known else ""
        parts.append(
            f"<g><title>{escape(words)}</title>{span}"
            f'<circle class="c{slot}" cx="{x(one.value):.1f}" cy="{y}" r="4"/>'
            f'<rect x="{_LABEL_WIDTH}" y="{y - 10}" width="{WIDTH - _LABEL_WIDTH}" height="20" opacity="0"/></g>'
        )
    table = numbers(
        ["", "value", "low", "high"],
        [[one.label, *(_value(v, percent) for v in (one.value, one.low, one.high))] for one in rows],
    )
    spoken = "; ".join(f"{one.label} {_said(one, percent, zero)}" for one in rows)
    return _svg(title, spoken, height, "".join(parts)) + table


def bar_chart(title: str, bins: Sequence[str], rows: Sequence[Bars], x_label: str = "") -> str:
    """Stacked bars over bins, in the rows' order from below."""
    totals = [sum(one.counts[at] for one in rows) for at in range(len(bins))]
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
        for one in rows:
            count = one.counts[at]
            size = inside * count / top
            y = _TOP + inside * (1 - below / top) - size
            words = f"{label}, {one.label}: {count:g}"
            parts.append(
                f'<rect class="c{one.slot % _COLOURS}" x="{_LEFT + at * width + 1:.1f}" y="{y:.1f}" '
                f'width="{max(1.0, width - 2):.1f}" height="{size:.1f}"><title>{escape(words)}</title></rect>'
            )
            below += count
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
    return _svg(title, spoken, _HEIGHT, "".join(parts)) + table


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
    return f"{number(one.value, percent)} [{number(one.low, percent)}, {number(one.high, percent)}]"


def _value(value: float, percent: bool) -> str:
    return f"{100 * value:.2f}" if percent else f"{value:.4g}"


def _svg(title: str, description: str, height: float, body: str) -> str:
    return (
        f'<svg class="fig" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title><desc>{escape(description)}</desc>{body}</svg>'
    )
