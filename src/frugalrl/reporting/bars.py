"""Bars as inline SVG: counts by category, for the report card of a curation. Values in, a string out.

Decisions: as `figures`: colours are CSS classes, every chart has a title and says in words what it shows. The second
series is told apart by a lighter fill with an outline, so colour is never needed.
"""

from collections.abc import Sequence
from html import escape

from frugalrl.reporting.figures import HEIGHT, WIDTH, nice_ticks, number, svg

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 10, 44
_ROW = 26
_HOLLOW = 'fill-opacity="0.25" stroke-width="1.2"'


def grouped_bars(title: str, labels: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], x_label: str) -> str:
    """Upright bars, one group per label and one bar per series; values are shares in 0..1, shown as percent."""
    highest = max((value for _, values in series for value in values), default=0.0)
    ticks = nice_ticks(0.0, max(highest, 0.01))
    height = HEIGHT - _TOP - _BOTTOM
    width = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    bar = width * 0.8 / max(len(series), 1)

    def y(value: float) -> float:
        return _TOP + height * (1 - value / ticks[-1])

    parts = [
        f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 5}" y="{y(tick) + 4:.1f}" text-anchor="end">{100 * tick:g} %</text>'
        for tick in ticks
    ]
    for at, label in enumerate(labels):
        for slot, (name, values) in enumerate(series):
            x = _LEFT + width * (at + 0.1) + bar * slot
            words = f"{name}, {label}: {number(values[at], percent=True)}"
            parts.append(
                f'<rect class="c{slot}" {_HOLLOW if slot else ""} x="{x:.1f}" y="{y(values[at]):.1f}" '
                f'width="{bar * 0.94:.1f}" height="{_TOP + height - y(values[at]):.1f}">'
                f"<title>{escape(words)}</title></rect>"
            )
        middle = _LEFT + width * (at + 0.5)
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 27}" text-anchor="middle">{escape(label)}</text>')
    parts.append(
        f'<text x="{(_LEFT + WIDTH - _RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    described = " ".join(
        f"{name}: "
        + ", ".join(f"{label} {number(value, percent=True)}" for label, value in zip(labels, values, strict=True))
        + "."
        for name, values in series
    )
    return svg(title, described, HEIGHT, "".join(parts))


def funnel_bars(title: str, steps: Sequence[tuple[str, int]]) -> str:
    """Horizontal bars, one per step: what is left after it."""
    most = max((count for _, count in steps), default=1) or 1
    room = WIDTH - 8
    parts = []
    for at, (name, count) in enumerate(steps):
        top = at * _ROW
        parts.append(
            f'<text x="4" y="{top + 11}">{escape(name)}</text>'
            f'<text x="{WIDTH - 4}" y="{top + 11}" text-anchor="end">{count:,}</text>'
            f'<rect class="c0" x="4" y="{top + 15}" width="{max(room * count / most, 1):.1f}" height="7" rx="1"/>'
        )
    described = ", ".join(f"{name} {count:,}" for name, count in steps)
    return svg(title, described, max(len(steps), 1) * _ROW, "".join(parts))


def bar_legend(labels: Sequence[str]) -> str:
    """The legend of `grouped_bars`."""
    items = [
        f'<li><svg class="fig key" viewBox="0 0 44 12" aria-hidden="true"><rect class="c{slot}" '
        f'{_HOLLOW if slot else ""} x="8" y="2" width="28" height="8"/></svg>{escape(label)}</li>'
        for slot, label in enumerate(labels)
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'
