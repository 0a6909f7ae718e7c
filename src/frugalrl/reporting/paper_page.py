"""The numbers Open-RS published, each with the 95 % interval it should have been printed with.

Decisions:
- Wilson's interval with n the problems of the benchmark, as for one sample per problem: that is how the released
  checkpoints were evaluated. Where a published number is a mean over several samples (it is then often no whole
  number of n-ths), the interval is too wide for the sampling, and still right about how few the problems are.
- An average over benchmarks has no interval: the paper does not say enough to compute one.

Not covered: paired comparisons, which need the verdicts problem by problem.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from statistics import mean, stdev
from typing import Any

from frugalrl.reporting import html_page as html
from frugalrl.reporting import page_assets
from frugalrl.reporting.figures import Point, Series, chart_numbers, interval_bar, legend, line_chart
from frugalrl.reporting.run_card import plain
from frugalrl.statistics.intervals import wilson
from frugalrl.statistics.paired_tests import unpaired
from frugalrl.statistics.selection import select

_REMARK = (
    "In brackets: Wilson's 95 % interval for one sample of each of the benchmark's n problems. Published numbers that "
    "are means over several samples (28.8 % of 30 problems, say) are known a little better than their interval says."
)

_SELECTS_ON = "MATH-500"
_REPLAY = (
    f"The rule by which a run keeps a checkpoint and stops, replayed on the {_SELECTS_ON} column: a benchmark may not "
    "choose, and here it only shows what the rule does. The verdicts problem by problem were not released, so models "
    "are compared as two independent shares, which sees less than pairs would."
)


def selection_replay(paper: Mapping[str, Any]) -> list[str]:
    """What `evaluation.selection` keeps and when it stops, a sentence or two for each experiment."""
    column = paper["checkpoint_benchmarks"].index(_SELECTS_ON)
    n = _sizes(paper)[_SELECTS_ON]
    base_column = [one["name"] for one in paper["benchmarks"]].index(_SELECTS_ON)
    base = next(one["percent"][base_column] for one in paper["results"] if "(base)" in one["model"]) / 100
    sentences = []
    for experiment in paper["checkpoints"]:
        shares = {row["step"]: row["percent"][column] / 100 for row in experiment["rows"]}
        selection = select(
            base, shares, "validation", compare=lambda first, second, level: unpaired(first, second, n, level)
        )
        sentences.append(f"{experiment['experiment']}: {' '.join(selection.reasons)}")
    return sentences


def interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n, both in 0..1."""
    estimate = wilson(share, n)
    return estimate.ci_low, estimate.ci_high


def paper_page(paper: Mapping[str, Any]) -> str:
    """The whole HTML document."""
    parts = [
        html.finding(largest_of_many(paper), "unsure"),
        html.section("Results (Table 2), zero-shot pass@1", html.paragraph(_REMARK), _results(paper)),
        html.section("Released results by checkpoint", _checkpoint_charts(paper), _checkpoint_table(paper)),
        html.section(
            "What the selection rule makes of it", html.paragraph(_REPLAY), html.notes(selection_replay(paper))
        ),
        html.section("Cost", *[_costs(table) for table in paper["costs"]]),
        html.section("Source", html.paragraph(f"{paper['title']}. {paper['source']}."), _independent(paper)),
    ]
    title = "Open-RS: the published numbers, with intervals"
    return html.page(title, paper["title"], parts, page_assets.style(), page_assets.figure_scripts())


def paper_card(paper: Mapping[str, Any]) -> str:
    """The same tables in Markdown."""
    heads, rows = result_cells(paper)
    lines = [f"<!-- {html.GENERATOR} -->", "", "# Open-RS: the published numbers, with intervals", ""]
    lines += [plain(largest_of_many(paper)), "", "## Results (Table 2), zero-shot pass@1", "", _REMARK, ""]
    lines += _markdown(heads, [[f"{value} {interval}".strip() for value, interval in row] for row in rows])
    lines += ["", "## Released results by checkpoint", ""]
    heads, checkpoints = checkpoint_cells(paper)
    lines += _markdown(heads, [[f"{value} {interval}".strip() for value, interval in row] for row in checkpoints])
    lines += ["", "## What the selection rule does", "", _REPLAY, ""]
    lines += [f"- {plain(sentence)}" for sentence in selection_replay(paper)]
    for table in paper["costs"]:
        lines += ["", f"## Cost, {table['title']}", "", *_markdown(*cost_cells(table))]
    lines += ["", "## Source", "", plain(f"{paper['title']}. {paper['source']}. {paper['reevaluation']}")]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------- the cells


def result_cells(paper: Mapping[str, Any]) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Heads and rows of Table 2; a cell is a value and its interval as text."""
    heads = ["model", *(f"{one['name']} (n\u00a0=\u00a0{one['n']})" for one in paper["benchmarks"]), "average"]
    rows = []
    for result in paper["results"]:
        pairs = zip(result["percent"], paper["benchmarks"], strict=True)
        cells = [_with_interval(value, benchmark["n"]) for value, benchmark in pairs]
        rows.append([(result["model"], ""), *cells, (_one_decimal(result["average"]), "")])
    return heads, rows


def checkpoint_cells(paper: Mapping[str, Any]) -> tuple[list[str], list[list[tuple[str, str]]]]:
    """Heads and rows of the results by checkpoint; cells as in `result_cells`."""
    sizes = _sizes(paper)
    names = paper["checkpoint_benchmarks"]
    rows = []
    for experiment in paper["checkpoints"]:
        for row in experiment["rows"]:
            cells = [_with_interval(value, sizes[name]) for value, name in zip(row["percent"], names, strict=True)]
            rows.append([(experiment["experiment"], ""), (str(row["step"]), ""), *cells])
    return ["experiment", "step", *names], rows


def cost_cells(table: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of a cost table, with the price of a GPU hour that its numbers imply."""
    rows = []
    for row in table["rows"]:
        known = row["gpus"] is not None
        hours = row["gpus"] * row["hours"] if known else None
        rows.append(
            [
                row["model"],
                f"{row['gpus']} x {row['gpu']}" if known else "–",
                f"{row['hours']} h" if known else "–",
                row["samples"] or "–",
                f"${row['usd']:,}",
                "–" if hours is None else f"${row['usd'] / hours:.2f}",
            ]
        )
    return ["model", "hardware", "time", "questions x samples", "cost", "per GPU hour"], rows


def largest_of_many(paper: Mapping[str, Any]) -> str:
    """How meaningful a headline picked from many single samples is."""
    column = paper["checkpoint_benchmarks"].index("AIME24")
    n = _sizes(paper)["AIME24"]
    rights = [round(row["percent"][column] * n / 100) for one in paper["checkpoints"] for row in one["rows"]]
    values = [100 * right / n for right in rights]
    noise = 100 * math.sqrt(mean(values) / 100 * (1 - mean(values) / 100) / n)
    return (
        f"AIME24 {max(values):.1f} % is the largest of {len(values)} released evaluations of one sample per problem, "
        f"chosen on the test set itself. Their mean is {mean(values):.1f} and their standard deviation "
        f"{stdev(values):.1f}; chance alone, with {n} problems, would give one of {noise:.1f}."
    )


def _with_interval(value: float | None, n: int) -> tuple[str, str]:
    if value is None:
        return "–", ""
    low, high = interval(value / 100, n)
    return _one_decimal(value), f"[{100 * low:.1f}, {100 * high:.1f}]"


def _one_decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _sizes(paper: Mapping[str, Any]) -> dict[str, int]:
    return {one["name"]: one["n"] for one in paper["benchmarks"]}


# -------------------------------------------------------------------------------------------------- the page


def _results(paper: Mapping[str, Any]) -> str:
    heads, rows = result_cells(paper)
    cells = []
    for result, row in zip(paper["results"], rows, strict=True):
        bars = [
            "" if value is None else interval_bar(value / 100, *interval(value / 100, benchmark["n"]))
            for value, benchmark in zip(result["percent"], paper["benchmarks"], strict=True)
        ]
        cells.append([html.cell(*cell) + bar for cell, bar in zip(row, ["", *bars, ""], strict=True)])
    return html.html_table(heads, cells, "Accuracy in percent; the bars run from 0 to 100 %.")


def _checkpoint_charts(paper: Mapping[str, Any]) -> str:
    figures = []
    sizes = _sizes(paper)
    for column, name in enumerate(paper["checkpoint_benchmarks"]):
        series = []
        for slot, experiment in enumerate(paper["checkpoints"]):
            shares = [(row["step"], row["percent"][column] / 100) for row in experiment["rows"]]
            points = [Point(step, share, *interval(share, sizes[name])) for step, share in shares]
            series.append(Series(experiment["experiment"], points, slot))
        remark = f"{sizes[name]} problems, one sample each; band and whiskers: 95 % interval"
        chart = line_chart(f"{name} by checkpoint", series, percent=True) + chart_numbers(series, percent=True)
        figures.append(html.figure(name, remark, chart))
    return legend([one["experiment"] for one in paper["checkpoints"]]) + html.charts(figures)


def _checkpoint_table(paper: Mapping[str, Any]) -> str:
    heads, rows = checkpoint_cells(paper)
    table = html.html_table(heads, [[html.cell(*cell) for cell in row] for row in rows], "Accuracy in percent.")
    return html.folded("Every checkpoint, as a table", table)


def _costs(table: Mapping[str, Any]) -> str:
    heads, rows = cost_cells(table)
    return html.html_table(heads, [[escape(one) for one in row] for row in rows], table["title"])


def _independent(paper: Mapping[str, Any]) -> str:
    return html.paragraph(paper["reevaluation"])


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]
