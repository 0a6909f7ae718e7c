"""The report card of a curation, as one HTML page and as Markdown: a record in, text out.

Decisions: both say the same. What must not be overlooked comes first: skipped steps, replaced solvers, short quotas. A
published count is shown next to ours with a note on why they differ.
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from frugalrl.curation.summary import CurationReport, Example, Shares, StepSummary
from frugalrl.reporting import html_page as html
from frugalrl.reporting import page_assets
from frugalrl.reporting.bar_figures import numbers
from frugalrl.reporting.bars import bar_legend, funnel_bars, grouped_bars
from frugalrl.reporting.mathml import mathml
from frugalrl.reporting.run_card import plain
from frugalrl.reporting.sample_browser import Samples, sample_browser

_MOST_SOURCES = 25
_MOST_REASONS = 8
_MOST_CHARS = 1200
_SERIES = ("pool", "final set")


def curation_page(report: CurationReport, samples: Samples | None = None) -> str:
    """The whole HTML document. samples: problems to be filtered and read, each beside what it was matched with."""
    parts = [html.finding(sentence, "unsure") for sentence in warnings(report)]
    heads, rows = funnel_cells(report)
    shown = 4 if any(row[3] for row in rows) else 3  # published counts if there are any; reasons stand with examples
    cells = [[html.cell(value) for value in row[:shown]] for row in rows]
    steps = funnel(report)
    chart = funnel_bars("Funnel", steps) + numbers(
        ["step", "problems left"], [[name, str(count)] for name, count in steps]
    )
    left = html.figure("Problems left after each step", "", chart)
    table = html.html_table(heads[:shown], cells)
    parts.append(html.section("Funnel", _sizes(report), html.beside(left, table), html.notes(differences(report))))
    if report.sampling:
        heads, rows = sampling_cells(report)
        table = html.html_table(heads, [[html.cell(value) for value in row] for row in rows])
        parts.append(html.section("What was sampled", table))
    parts.append(html.section("What the set is made of", *_made_of(report)))
    parts.append(html.section("Dropped, with examples", *[_step_html(step) for step in report.steps if step.examples]))
    if samples is not None:
        parts.append(sample_browser(samples, mathml))
    scripts = page_assets.scripts()
    return html.page(f"Report card: {report.name}", lead(report), parts, page_assets.style(), scripts)


def curation_card(report: CurationReport) -> str:
    """The same in Markdown."""
    lines = [f"<!-- {html.GENERATOR} -->", "", f"# Report card: {plain(report.name)}", "", plain(lead(report)), ""]
    lines += [f"> {plain(sentence)}\n" for sentence in warnings(report)]
    lines += ["## Funnel", "", *_markdown(*funnel_cells(report)), ""]
    lines += [f"- {plain(sentence)}" for sentence in differences(report)]
    if report.sampling:
        lines += ["", "## What was sampled", "", *_markdown(*sampling_cells(report))]
    lines += ["", "## What the set is made of", ""]
    for name, shares in _distributions(report):
        lines += [f"### {name}", "", *_markdown(*share_cells(name, shares)), ""]
    lines += ["## Dropped, with examples", ""]
    for step in report.steps:
        if step.examples:
            lines += [f"### {plain(step.name)}", "", *_step_markdown(step)]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------- sentences


def lead(report: CurationReport) -> str:
    """One sentence: from how many problems to how many, and the seed."""
    total = sum(size for _, size in report.pools)
    kept = ", ".join(f"{name} {count:,}" for name, count in report.splits.items() if count)
    description = f"{report.description} " if report.description else ""
    return f"{description}From {total:,} problems to {sum(report.splits.values()):,} ({kept}); seed {report.seed}."


def warnings(report: CurationReport) -> list[str]:
    """What must not be overlooked."""
    skipped = [f"Step {step.name} was SKIPPED: {step.skipped}" for step in report.steps if step.skipped is not None]
    return skipped + list(report.reading) + [f"{step.name}: {note}" for step in report.steps for note in step.notes]


def funnel(report: CurationReport) -> list[tuple[str, int]]:
    """What is left after each step, the pools first."""
    total = sum(size for _, size in report.pools)
    named = [(step.name + (" (skipped)" if step.skipped is not None else ""), step.after) for step in report.steps]
    return [("pools", total), *named]


def differences(report: CurationReport) -> list[str]:
    """The notes of pools and steps on why our numbers are not the published ones."""
    pools = [f"{pool.name}: {pool.note}" for pool, _ in report.pools if pool.note]
    return pools + [f"{step.name}: {step.note}" for step in report.steps if step.note]


def funnel_cells(report: CurationReport) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the funnel; published numbers where the spec has them."""
    rows = [[f"pool {pool.name}", "", f"{size:,}", _published(pool.expected), ""] for pool, size in report.pools]
    for step in report.steps:
        dropped = "skipped" if step.skipped is not None else f"{step.before - step.after:,}"
        where = f" (only {', '.join(step.pools)})" if step.pools else ""
        reasons = ", ".join(f"{reason} {count:,}" for reason, kept, count in step.reasons if not kept)
        rows.append([step.name + where, dropped, f"{step.after:,}", _published(step.expected), reasons])
    return ["step", "dropped", "left", "published", "reasons"], rows


def sampling_cells(report: CurationReport) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of what was taken from solvers and judges, cached samples included."""
    heads = ["step", "solver", "problems", "samples", "cut off", "empty", "no verdict", "no full answer", "refused"]
    heads += ["failed", "prompt tokens", "completion tokens"]
    rows = []
    for one in report.sampling:
        counts = one.counts
        share = f" ({100 * counts.truncated / counts.samples:.1f} %)" if counts.samples else ""
        numbers = [counts.empty, counts.unknown, one.no_full_answer, one.refused, one.failed]
        at_least = "at least " if counts.uncounted else ""
        tokens = [f"{at_least}{number:,}" for number in (counts.prompt_tokens, counts.completion_tokens)]
        first = [one.step, one.solver, f"{one.problems:,}", f"{counts.samples:,}", f"{counts.truncated:,}{share}"]
        rows.append([*first, *(f"{number:,}" for number in numbers), *tokens])
    return heads, rows


def share_cells(name: str, shares: Shares) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a distribution: counts with percent."""
    rows = [
        [label, _count_and_share(before, sum(shares.pool)), _count_and_share(after, sum(shares.final))]
        for label, before, after in zip(shares.labels, shares.pool, shares.final, strict=True)
    ]
    if len(rows) > _MOST_SOURCES:
        rest = slice(_MOST_SOURCES - 1, None)
        before, after = sum(shares.pool[rest]), sum(shares.final[rest])
        last = [f"{len(rows) - _MOST_SOURCES + 1} more", _count_and_share(before, sum(shares.pool))]
        rows = [*rows[: _MOST_SOURCES - 1], [*last, _count_and_share(after, sum(shares.final))]]
    return [name, *_SERIES], rows


def _published(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _count_and_share(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / total:.1f} %)" if total else f"{count:,}"


def _distributions(report: CurationReport) -> list[tuple[str, Shares]]:
    named = [("difficulty band", report.bands), ("words of the problem", report.lengths), ("source", report.sources)]
    return [(name, shares) for name, shares in named if shares.labels]


# ------------------------------------------------------------------------------------------------------ HTML


def _sizes(report: CurationReport) -> str:
    """From how many to how many, as cards."""
    total, left = sum(size for _, size in report.pools), sum(report.splits.values())
    share = f"{100 * left / total:.1f} % of {total:,} problems" if total else ""
    splits = [(name, f"{count:,}", "problems") for name, count in report.splits.items() if count]
    return html.cards([("kept", f"{left:,}", share), *splits])


def _made_of(report: CurationReport) -> list[str]:
    """Each distribution as a figure beside its table."""
    parts = [bar_legend(_SERIES)]
    for name, shares in _distributions(report):
        heads, rows = share_cells(name, shares)
        table = html.html_table(heads, [[html.cell(value) for value in row] for row in rows])
        parts.append(table if name == "source" else html.beside(_chart(name, shares, shares is report.lengths), table))
    return parts


def _chart(name: str, shares: Shares, is_length: bool) -> str:
    labels = [label.partition("-")[0] for label in shares.labels] if is_length else shares.labels
    series = [(_SERIES[0], _fractions(shares.pool)), (_SERIES[1], _fractions(shares.final))]
    chart = grouped_bars(name, labels, series, f"{name}, from" if is_length else name)
    columns = zip(shares.labels, *(values for _, values in series), strict=True)
    table = numbers(
        [name, *(f"{one}, percent" for one in _SERIES)],
        [[label, *(f"{100 * v:.2f}" for v in row)] for label, *row in columns],
    )
    return html.figure(name.capitalize(), "share of problems", chart + table)


def _fractions(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _step_html(step: StepSummary) -> str:
    parts = []
    counts = {reason: count for reason, kept, count in step.reasons if not kept}
    for reason, examples in list(step.examples.items())[:_MOST_REASONS]:
        texts = [html.preformatted(example_text(one), _MOST_CHARS * 2) for one in examples]
        parts.append(html.folded(f"{escape(reason)}: {counts[reason]:,}", *texts))
    return f"<h3>{escape(step.name)}</h3>" + "".join(parts) + html.notes(_more_reasons(step))


def _more_reasons(step: StepSummary) -> list[str]:
    left = len(step.examples) - _MOST_REASONS
    return [f"{left} more reasons are in the ledger."] if left > 0 else []


# -------------------------------------------------------------------------------------------------- Markdown


def _step_markdown(step: StepSummary) -> list[str]:
    lines = []
    counts = {reason: count for reason, kept, count in step.reasons if not kept}
    for reason, examples in list(step.examples.items())[:_MOST_REASONS]:
        lines += [f"**{plain(reason)}: {counts[reason]:,}**", ""]
        for one in examples:
            text = example_text(one)
            fence = "```"
            while fence in text:
                fence += "`"
            lines += [f"{fence}text", text, fence, ""]
    return lines + _more_reasons(step)


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]


def example_text(example: Example) -> str:
    """A dropped problem with its evidence, as plain text."""
    lines = [f"{example.id}: {_cut(example.problem)}"]
    if example.answer:
        lines.append(f"answer: {_cut(example.answer)}")
    if example.other:
        lines.append(f"matched with: {_cut(example.other)}")
    lines += [f"{name}: {_cut(_shown(value))}" for name, value in _told(example.detail).items()]
    return "\n".join(lines)


def _told(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if name != "answer"}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 3] + "..."
