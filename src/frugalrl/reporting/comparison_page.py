"""The page of models compared with the first: verdicts, what changed, every sample side by side. Values in, HTML out.

The verdict comes first: where each model is better or worse, then a card for each benchmark, then the sentences with
all that might explain a difference. Counts of problems that changed open those problems in the list of samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

from frugalrl.evaluation.changes import Detail
from frugalrl.evaluation.comparing import Comparison, Side
from frugalrl.reporting import html_page as html
from frugalrl.reporting.bar_figures import Interval, interval_chart
from frugalrl.reporting.comparison_text import sentence, unlike_lines
from frugalrl.reporting.console import difference
from frugalrl.reporting.detail_text import no_worse
from frugalrl.reporting.figures import interval_bar, legend, legend_key, shares_bar
from frugalrl.reporting.sample_links import to_samples
from frugalrl.statistics.wording import p_value

_KINDS = {"better": "good", "worse": "bad", "inconclusive": "unsure"}
_COLOURS = {"better": "good", "same": "cut", "worse": "bad"}
_NOT_CORRECTED = "difference in points; intervals of parts are not corrected: they explain, they decide nothing"


@dataclass(frozen=True)
class Against:
    """One model against the first, by benchmark."""

    name: str
    comparisons: Sequence[Comparison]
    details: Sequence[Detail]
    """In the same order."""


def short_names(names: Sequence[str]) -> list[str]:
    """Paths by their last parts, as many as tell them apart; other names as they are."""
    for depth in range(1, max(len(PurePath(name).parts) for name in names) + 1):
        found = ["/".join(PurePath(name).parts[-depth:]) for name in names]
        if len(set(found)) == len(names):
            return found
    return list(names)


def opening(first: str, others: Sequence[Against]) -> str:
    """The first section: where each is better or worse, and a card for each benchmark."""
    heads = "".join(html.finding(_headline(one, len(others) > 1), _kind(one.comparisons)) for one in others)
    unlike = [f"{one.name}: {line}" for one in others for line in unlike_lines(one.comparisons)]
    names = dict.fromkeys(comparison.benchmark for one in others for comparison in one.comparisons)
    cards = "".join(_card(name, first, others) for name in names)
    words = [
        (f"A: {first}, B: {one.name}. {sentence(comparison)}", _KINDS[comparison.verdict])
        for one in others
        for comparison in one.comparisons
    ]
    said = "".join(html.finding(text, kind) for text, kind in words)
    return html.section(
        "Is it better?",
        f'<div class="findings">{heads}</div>',
        "".join(html.finding(line, "unsure") for line in unlike),
        legend([f"{first} (the first)", *(one.name for one in others)]),
        f'<div class="cards broad">{cards}</div>',
        html.folded("In words: what might explain it, and what it would take", f'<div class="findings">{said}</div>'),
    )


def changes(first: str, others: Sequence[Against]) -> str:
    """Which problems changed, and the difference by level, subject and the like."""
    names = dict.fromkeys(comparison.benchmark for one in others for comparison in one.comparisons)
    figures = [_parts_figure(name, first, others) for name in names]
    answers = [
        f"{one.name}, {found.benchmark}: {no_worse(found.no_worse)}"
        for one in others
        for found in one.details
        if found.no_worse
    ]
    key = legend(["", *(one.name for one in others)][1:], first_slot=1) if len(others) > 1 else ""
    return html.section("What changed", html.notes(answers), _changed_table(others), key, html.charts(figures))


def _headline(one: Against, several: bool) -> str:
    found = {
        verdict: [own.benchmark for own in one.comparisons if own.verdict == verdict]
        for verdict in ("better", "worse", "inconclusive")
    }
    said = [f"{verdict} on {_listed(names)}" for verdict, names in found.items() if names]
    text = "; ".join(said)
    return f"{one.name}: {text}." if several else f"{one.name} is {text}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _kind(comparisons: Sequence[Comparison]) -> str:
    seen = {one.verdict for one in comparisons}
    if "better" in seen and "worse" not in seen:
        return "good"
    return "bad" if "worse" in seen and "better" not in seen else "unsure"


def _card(benchmark: str, first: str, others: Sequence[Against]) -> str:
    own = [(at, one.name, found) for at, one in enumerate(others) for found in one.comparisons]
    own = [row for row in own if row[2].benchmark == benchmark]
    lines = [_score(0, first, own[0][2].first, "")]
    for at, name, found in own:
        mark = f'<span class="badge {_KINDS[found.verdict]}">{found.verdict}</span>'
        gain = f"{difference(found.difference.estimate)}, {p_value(found.adjusted_p_value)}"
        lines.append(_score(at + 1, name, found.second, mark, gain))
    counts = dict.fromkeys(f"{found.n:,} problems × {min(found.first.k, found.second.k)}" for _, _, found in own)
    many = " of-all" if len(own) > 1 else ""
    head = f'<h3>{escape(benchmark)} <span class="about">{", ".join(counts)}</span></h3>'
    return f'<article class="card {_kind([found for _, _, found in own])}{many}">{head}{"".join(lines)}</article>'


def _score(slot: int, name: str, side: Side, badge: str, gain: str = "") -> str:
    value = side.accuracy
    below = f'<span class="gain">{escape(gain)}</span>' if gain else ""
    return (
        f'<p class="score"><span class="who">{legend_key(slot)}<b>{escape(name)}</b>{badge}</span>'
        f'<b>{100 * value.value:.1f} %</b><span class="ci">[{100 * value.ci_low:.1f}, {100 * value.ci_high:.1f}]</span>'
        f"{interval_bar(value.value, value.ci_low, value.ci_high, slot)}{below}</p>"
    )


def _changed_table(others: Sequence[Against]) -> str:
    several = len(others) > 1
    order = list(dict.fromkeys(found.benchmark for one in others for found in one.details))
    rows = []
    for found, name in sorted(
        ((found, one.name) for one in others for found in one.details), key=lambda row: order.index(row[0].benchmark)
    ):
        counts = {"better": len(found.better), "same": found.same, "worse": len(found.worse)}
        total = sum(counts.values()) or 1
        cells = [
            to_samples(count, benchmark=found.benchmark, change=f"{word}: {name}" if several else word)
            for word, count in counts.items()
        ]
        bar = shares_bar([(count / total, _COLOURS[word]) for word, count in counts.items()])
        rows.append([escape(found.benchmark), *([escape(name)] if several else []), *cells, bar])
    heads = ["benchmark", *(["model"] if several else []), "problems better", "the same", "worse", ""]
    return html.html_table(heads, rows, "A count opens its problems in the list of samples.")


def _parts_figure(benchmark: str, first: str, others: Sequence[Against]) -> str:
    several = len(others) > 1
    rows = []
    for at, one in enumerate(others):
        for cell, detail in zip(one.comparisons, one.details, strict=True):
            if cell.benchmark == benchmark:
                values = [(f"all ({cell.n})", cell.difference.estimate)]
                values += [
                    (f"{part.column.lower()} {part.value} ({part.problems})", part.difference) for part in detail.parts
                ]
                name = one.name if several else ""
                rows += [Interval(label, v.value, v.ci_low, v.ci_high, at + 1, name) for label, v in values]
    order = list(dict.fromkeys(row.label for row in rows))
    rows.sort(key=lambda row: order.index(row.label))
    title = f"{benchmark}: difference from {first}"
    return html.figure(title, _NOT_CORRECTED, interval_chart(title, rows, zero=True))
