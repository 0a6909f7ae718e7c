"""Figures as inline SVG: series in, a string out. No files, no libraries, no scripts.

Decisions:
- A series is told apart by colour, dash pattern and marker shape, so colour is never needed; colours are CSS classes
  (`FIGURE_CSS`), which lets one figure serve light and dark pages.
- Every figure has a title, and a description that says in words what the lines show.
- A missing value (None) breaks the line.

Not covered: logarithmic axes, panning or zooming.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 10, 40
_COLOURS = 6
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2")
_MOST_MARKERS = 16
"""Beyond this many points markers hide the line; dashes tell the series apart then."""

LIGHT = ("#0b62a8", "#b8430a", "#0b7566", "#8a1c96", "#6d5a00", "#4a5568")
_DARK = ("#6cb6ff", "#ff9f6b", "#4fd1c5", "#e39cf5", "#e5cf5c", "#a9b4c2")


def _variables(colours: Sequence[str]) -> str:
    return "".join(f"--s{index}:{colour};" for index, colour in enumerate(colours))


FIGURE_CSS = (
    f":root{{{_variables(LIGHT)}}}"
    ".fig{display:block;width:100%;height:auto;font:11px system-ui,sans-serif}"
    ".fig text{fill:var(--muted,#555)}.fig .grid{stroke:var(--rule,#ddd);stroke-width:1}"
    ".fig .line{fill:none;stroke-width:2;stroke-linejoin:round}.fig .faint{stroke-width:1;opacity:.4}"
    ".fig .band{stroke:none;opacity:.14}.fig .whisker{stroke-width:1.2}.fig .guide{stroke:var(--edge,#777)}"
    ".fig .zero{fill:none;stroke:var(--muted,#555);stroke-width:1.2}"
    + "".join(f".fig .c{i}{{stroke:var(--s{i});fill:var(--s{i})}}.fig .line.c{i}{{fill:none}}" for i in range(_COLOURS))
    + ".fig .good{stroke:var(--good,#0b6b3a);fill:var(--good,#0b6b3a)}"
    ".fig .bad{stroke:var(--bad,#a8261c);fill:var(--bad,#a8261c);fill-opacity:.3}"
    ".fig .cut{stroke:var(--muted,#555);fill:var(--muted,#555)}"
)
DARK_CSS = f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(_DARK)}}}}}"


@dataclass(frozen=True)
class Point:
    """A value at a step, with its 95 % interval where one is known."""

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """One line of a chart. slot: which colour, dash and marker it has, the same in every chart of a page."""

    label: str
    points: Sequence[Point]
    slot: int = 0
    faint: Sequence[Point] = ()
    """Drawn thin behind the line: the single steps behind a running mean."""


@dataclass(frozen=True)
class _Scale:
    """From data to pixels."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - _TOP - _BOTTOM)


def line_chart(title: str, series: Sequence[Series], x_label: str = "step", percent: bool = False) -> str:
    """Lines over a common axis, with interval bands and whiskers where points have intervals.

    percent: values are fractions, shown as percent. Without any value the figure says so.
    """
    values = [value for one in series for value in _extent(one)]
    if not values:
        return svg(
            title, "No values.", HEIGHT, f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no values</text>'
        )
    xs = [point.x for one in series for point in (*one.points, *one.faint)]
    ticks = nice_ticks(min(values), max(values))
    x_ticks = nice_ticks(min(xs), max(xs), whole=True)
    scale = _Scale(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, ticks[0], ticks[-1])
    parts = [_axes(scale, x_ticks, ticks, x_label, percent)]
    parts += [_of(one, _band(one, scale)) for one in series]
    parts += [_of(one, _line(one.faint, one.slot, scale, "line faint", dashed=False)) for one in series if one.faint]
    parts += [_of(one, _line(one.points, one.slot, scale, "line")) for one in series]
    parts += [_of(one, _markers(one, scale, percent)) for one in series]
    across = f"{_LEFT} {WIDTH - _RIGHT} {_TOP} {HEIGHT - _BOTTOM} {scale.x_low:g} {scale.x_high:g}"
    return svg(title, describe(series, percent), HEIGHT, "".join(parts), f' data-across="{across}"')


def _of(series: Series, parts: str) -> str:
    """Parts of a series: the page fades them where another one is looked at."""
    return f'<g data-slot="{series.slot}">{parts}</g>' if parts else ""


def chart_numbers(series: Sequence[Series], x_label: str = "step", percent: bool = False) -> str:
    """The values as a table that opens on a click: for screen readers, and for the page's CSV."""
    xs = sorted({point.x for one in series for point in one.points})
    heads = [f'<th scope="col">{escape(x_label)}</th>']
    for one in series:
        heads.append(f'<th scope="col" data-slot="{one.slot}">{escape(one.label)}</th>')
        heads += [f'<th scope="col">{escape(one.label)} {end}</th>' for end in ("low", "high") if _has_interval(one)]
    rows = []
    for x in xs:
        cells = [f"{x:g}"]
        for one in series:
            point = next((point for point in one.points if point.x == x), Point(x, None))
            values = [point.y, *((point.low, point.high) if _has_interval(one) else ())]
            cells += ["" if value is None else f"{100 * value:.2f}" if percent else f"{value:.6g}" for value in values]
        rows.append(cells)
    body = "".join(f"<tr>{''.join(f'<td>{escape(one)}</td>' for one in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody></table>"
    return f'<details class="numbers"><summary>numbers{" in percent" if percent else ""}</summary>{table}</details>'


def _has_interval(series: Series) -> bool:
    return any(point.low is not None for point in series.points)


def legend(labels: Sequence[str], pinned: bool = False, first_slot: int = 0) -> str:
    """What each slot stands for, stroke and marker beside the name. pinned: stays in sight while the page scrolls."""
    items = [
        f'<li data-slot="{slot}">{legend_key(slot)}{escape(label)}</li>'
        for slot, label in enumerate(labels, first_slot)
    ]
    return f'<ul class="legend{" pinned" if pinned else ""}">{"".join(items)}</ul>'


def legend_key(slot: int) -> str:
    """A slot's mark as a picture of its own, to stand before a name."""
    return f'<svg class="fig key" viewBox="0 0 44 12" aria-hidden="true">{legend_mark(slot)}</svg>'


def legend_mark(slot: int) -> str:
    """A slot's stroke and marker, 44 wide and 12 high."""
    return f'<path class="line c{slot % _COLOURS}"{_dash(slot)} d="M1 6H43"/>{_marker(slot, 22, 6, "")}'


def share_bar(share: float, slot: int = 0) -> str:
    """A bar whose length is a share in 0..1, to stand in a table cell beside its number."""
    width = 120 * min(1.0, max(0.0, share))
    return (
        f'<svg class="fig bar" viewBox="0 0 120 10" aria-hidden="true">'
        f'<rect class="c{slot % _COLOURS}" x="0" y="1" width="{width:.1f}" height="8" rx="1"/></svg>'
    )


def shares_bar(parts: Sequence[tuple[float, str]]) -> str:
    """A bar of shares that sum to 1, each with its class: ``good``, ``bad`` or ``cut``."""
    drawn, start = [], 0.0
    for share, css in parts:
        drawn.append(f'<rect class="{css}" x="{120 * start:.1f}" y="1" width="{120 * share:.1f}" height="8"/>')
        start += share
    return f'<svg class="fig bar" viewBox="0 0 120 10" aria-hidden="true">{"".join(drawn)}</svg>'


def interval_bar(value: float, low: float, high: float, slot: int = 0) -> str:
    """A point and its interval on an axis from 0 to 1, to stand in a table cell beside its numbers."""
    return (
        '<svg class="fig bar" viewBox="0 0 120 10" aria-hidden="true"><path class="grid" d="M1 5H119"/>'
        f'<path class="line c{slot % _COLOURS}" d="M{4 + 112 * low:.1f} 5H{4 + 112 * high:.1f}"/>'
        f'<circle class="c{slot % _COLOURS}" cx="{4 + 112 * value:.1f}" cy="5" r="3"/></svg>'
    )


def running_mean(points: Sequence[Point], window: int) -> tuple[Point, ...]:
    """Each point the mean of itself and up to `window` - 1 points before it; missing values are left out."""
    means = []
    for index, point in enumerate(points):
        recent = [one.y for one in points[max(0, index + 1 - window) : index + 1] if one.y is not None]
        means.append(Point(point.x, sum(recent) / len(recent) if recent and point.y is not None else None))
    return tuple(means)


def nice_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About five round numbers whose ends enclose low..high (`whole`: only integers, none outside low..high)."""
    if whole and low == high:
        return [low]
    span = high - low if high > low else abs(high) or 1.0
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    if whole:
        step = max(1.0, math.ceil(step))
        first = math.ceil(low / step)
        return [round(number * step, 12) for number in range(first, math.floor(high / step) + 1)]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def describe(series: Sequence[Series], percent: bool = False) -> str:
    """What a chart shows, in words: first, last, lowest and highest value of each line."""
    sentences = []
    for one in series:
        known = [(point.x, point.y) for point in one.points if point.y is not None]
        if not known:
            sentences.append(f"{one.label}: no values.")
            continue
        (x0, first), (x1, last) = known[0], known[-1]
        low, high = min(y for _, y in known), max(y for _, y in known)
        sentences.append(
            f"{one.label}: from {number(first, percent)} at {x0:g} to {number(last, percent)} at {x1:g}, "
            f"lowest {number(low, percent)}, highest {number(high, percent)}."
        )
    return " ".join(sentences)


def number(value: float, percent: bool = False) -> str:
    """A value as a person reads it: percent with one decimal, else three significant digits."""
    if percent:
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# ---------------------------------------------------------------------------------------------------- parts


def _extent(series: Series) -> list[float]:
    given = [value for point in series.points for value in (point.y, point.low, point.high) if value is not None]
    return given + [point.y for point in series.faint if point.y is not None]


def svg(title: str, description: str, height: float, body: str, attributes: str = "") -> str:
    """A figure of the common width around its parts, with a title and what it shows in words."""
    return (
        f'<svg class="fig" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title)}"{attributes}><title>{escape(title)}</title><desc>{escape(description)}</desc>{body}</svg>'
    )


def _axes(scale: _Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str, percent: bool) -> str:
    parts = []
    for tick in y_ticks:
        y = scale.y(tick)
        label = f"{100 * tick:g} %" if percent else f"{tick:,.0f}" if abs(tick) >= 1000 else f"{tick:g}"
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    parts += [
        f'<text x="{scale.x(tick):.1f}" y="{HEIGHT - 23}" text-anchor="middle">{tick:g}</text>' for tick in x_ticks
    ]
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    return "".join(parts)


def _band(series: Series, scale: _Scale) -> str:
    known = [(p.x, p.low, p.high) for p in series.points if p.low is not None and p.high is not None]
    if len(known) < 2:
        return ""
    upper = [f"{scale.x(x):.1f} {scale.y(high):.1f}" for x, _, high in known]
    lower = [f"{scale.x(x):.1f} {scale.y(low):.1f}" for x, low, _ in reversed(known)]
    return f'<path class="band c{series.slot % _COLOURS}" d="M{"L".join(upper + lower)}Z"/>'


def _line(points: Sequence[Point], slot: int, scale: _Scale, css: str, dashed: bool = True) -> str:
    path, pen_down = [], False
    for point in points:
        if point.y is None:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{scale.x(point.x):.1f} {scale.y(point.y):.1f}")
        pen_down = True
    return (
        f'<path class="{css} c{slot % _COLOURS}"{_dash(slot) if dashed else ""} d="{"".join(path)}"/>' if path else ""
    )


def _markers(series: Series, scale: _Scale, percent: bool) -> str:
    """A marker for each point, its value as a tooltip; whiskers where there is an interval."""
    known = [point for point in series.points if point.y is not None]
    if len(known) > _MOST_MARKERS or series.faint:
        return ""
    parts = []
    for point in known:
        assert point.y is not None
        x, words = scale.x(point.x), f"{series.label}, {point.x:g}: {number(point.y, percent)}"
        if point.low is not None and point.high is not None:
            css = f"line whisker c{series.slot % _COLOURS}"
            parts.append(f'<path class="{css}" d="M{x:.1f} {scale.y(point.low):.1f}V{scale.y(point.high):.1f}"/>')
            words += f" [{number(point.low, percent)}, {number(point.high, percent)}]"
        parts.append(_marker(series.slot, x, scale.y(point.y), words))
    return "".join(parts)


def _dash(slot: int) -> str:
    """Colours and dashes cycle with different periods, so that a seventh series differs from the first."""
    pattern = _DASHES[(slot + slot // _COLOURS) % len(_DASHES)]
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def _marker(slot: int, x: float, y: float, words: str) -> str:
    """A circle, square, triangle, diamond, cross bar or plain bar round (x, y)."""
    shapes = (
        f"M{x - 3.5:.1f} {y:.1f}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0Z",
        f"M{x - 3:.1f} {y - 3:.1f}h6v6h-6Z",
        f"M{x:.1f} {y - 4:.1f}l4 7h-8Z",
        f"M{x:.1f} {y - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5 -4.5Z",
        f"M{x - 1:.1f} {y - 4:.1f}h2v3h3v2h-3v3h-2v-3h-3v-2h3Z",
        f"M{x - 1:.1f} {y - 4:.1f}h2v8h-2Z",
    )
    tooltip = f"<title>{escape(words)}</title>" if words else ""
    return f'<path class="c{slot % _COLOURS}" d="{shapes[slot % len(shapes)]}">{tooltip}</path>'
