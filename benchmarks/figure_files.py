"""Standalone figures: one SVG file, with its legend, for other pages.

Decisions: light colours on white, since a page that shows an SVG as an image passes no style on to it; several seeds
of one setting are one line, their mean, with every seed drawn thin behind it.

Not covered: writing the file.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from xml.etree import ElementTree

from frugalrl.reporting.bar_figures import Interval, interval_chart
from frugalrl.reporting.figures import FIGURE_CSS, HEIGHT, LIGHT, WIDTH, Point, Series, legend_mark, line_chart

_TITLE, _ROW = 26, 18


def figure_file(title: str, series: Sequence[Series], x_label: str = "step", percent: bool = False) -> str:
    """A whole SVG document: title, chart, legend."""
    chart = line_chart(title, series, x_label, percent)
    keys = "".join(
        f'<g transform="translate(50 {_TITLE + HEIGHT + _ROW * row})">{legend_mark(one.slot)}'
        f'<text x="52" y="10">{escape(one.label)}</text></g>'
        for row, one in enumerate(series)
    )
    return _file(title, f'<g transform="translate(0 {_TITLE})">{_inner(chart)}</g>{keys}', HEIGHT + _ROW * len(series))


def interval_file(title: str, rows: Sequence[Interval]) -> str:
    """A whole SVG document: differences with their intervals, in points, below each other about a line at zero."""
    chart, _, _ = interval_chart(title, rows, zero=True).partition("<details")
    height = int(ElementTree.fromstring(chart).get("viewBox", "").split()[3])
    return _file(title, f'<g transform="translate(0 {_TITLE})">{_inner(chart)}</g>', height)


def _file(title: str, inside: str, below: int) -> str:
    """The document around what is drawn, which is `below` high under the title."""
    height = _TITLE + below + 6
    return (
        f'<svg class="fig" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-label="{escape(title)}"><style>{_light(FIGURE_CSS)}'
        ".head{font-weight:600;font-size:13px}</style>"
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text class="head" x="12" y="18">{escape(title)}</text>'
        f"{inside}</svg>\n"
    )


def bars_file(title: str, bars: Sequence[tuple[str, float]], mark: float) -> str:
    """A whole SVG document: a bar a row, its value beside it, and a line where the value is `mark`."""
    label, width, row = 330, 760, 17
    scale = (width - label - 60) / max([mark, *(value for _, value in bars)])
    height = _TITLE + row * len(bars) + 8
    drawn = "".join(
        f'<g transform="translate(0 {_TITLE + row * number})"><text x="{label - 6}" y="11" text-anchor="end">'
        f'{escape(name)}</text><rect x="{label}" y="2" width="{value * scale:.1f}" height="{row - 5}" '
        f'fill="{LIGHT[0]}"/>'
        f'<text x="{label + value * scale + 4:.1f}" y="11">{value:.2f}</text></g>'
        for number, (name, value) in enumerate(bars)
    )
    at = label + mark * scale
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}"><style>text{{font:11px system-ui,sans-serif;fill:#555}}'
        ".head{font-weight:600;font-size:13px}</style>"
        f'<rect width="{width}" height="{height}" fill="#fff"/><text class="head" x="12" y="18">{escape(title)}</text>'
        f'{drawn}<path d="M{at:.1f} {_TITLE}V{height - 6}" stroke="#555" stroke-dasharray="3 3"/></svg>\n'
    )


def mean_of_seeds(label: str, slot: int, seeds: Sequence[Mapping[int, float]]) -> Series:
    """One line: the mean at every step that all seeds have, and the seeds behind it."""
    shared = sorted(set.intersection(*(set(one) for one in seeds)))
    mean = [Point(step, sum(one[step] for one in seeds) / len(seeds)) for step in shared]
    behind: list[Point] = []
    for one in seeds:
        behind += [*(Point(step, one[step]) for step in sorted(one)), Point(shared[0], None)]
    return Series(label, mean, slot, tuple(behind))


def _light(css: str) -> str:
    """The style with light colours in place of variables, which not every viewer of SVG knows."""
    rules = css[css.index(".fig") :]
    for slot, colour in enumerate(LIGHT):
        rules = rules.replace(f"var(--s{slot})", colour)
    return re.sub(r"var\(--\w+,(#\w+)\)", r"\1", rules)


def _inner(chart: str) -> str:
    """The content of the outer element, so that it can be moved."""
    root = ElementTree.fromstring(chart)
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    return "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
