"""The page of scored completions: rows of `frugalrl score` in, HTML out."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from frugalrl.data.columns import conversation
from frugalrl.reporting import html_page as html
from frugalrl.reporting import page_assets
from frugalrl.reporting.bar_figures import Bars, bar_chart, length_bins
from frugalrl.reporting.evaluation_samples import Language, tags_of
from frugalrl.reporting.figures import shares_bar
from frugalrl.reporting.mathml import mathml
from frugalrl.reporting.sample_browser import Samples, ShownProblem, ShownSample, sample_browser
from frugalrl.reporting.sample_links import to_samples
from frugalrl.text.reasoning import prefills_think

MOST_ROWS = 20_000
"""On a page; the file holds them all."""
_PROBLEM, _GOLD = ("problem", "question", "prompt"), ("gold", "answer")
_COMPLETION = ("completion", "prediction", "response", "output", "generation")
_CHARS_PER_TOKEN = 3.5
_KINDS = {"correct": "good", "incorrect": "bad", "unknown": "cut"}
_MOST_VALUES = 12
"""Of a reward, for a figure."""


def score_page(
    name: str, rows: Iterable[Mapping[str, Any]], rewards: Sequence[str], summary: str, language: Language
) -> str:
    """The whole document. rewards: names of their columns. summary: what was printed, in the end."""
    problems: dict[tuple[str, str], int] = {}
    shown_problems: list[ShownProblem] = []
    shown: list[ShownSample] = []
    numbers: dict[int, int] = {}
    for row in rows:
        if len(shown) == MOST_ROWS:
            break
        problem = _problem(row)
        key = problem.text, problem.gold
        at = problems.setdefault(key, len(problems))
        if at == len(shown_problems):
            shown_problems.append(problem)
        numbers[at] = numbers.get(at, -1) + 1
        shown.append(_sample(row, at, numbers[at], rewards, language))
    shown.sort(key=lambda one: (one.problem, one.number))
    samples = Samples((name,), "file", tuple(shown_problems), tuple(shown))
    parts = [_opening(shown, rewards), _figures(shown, rewards)] if shown else [html.paragraph("No row.")]
    parts.append(sample_browser(samples, mathml) if shown else "")
    parts.append(html.section("What was printed", html.preformatted(summary)))
    lead = f"{len(shown):,} completions with verdicts and rewards."
    return html.page(f"Scores of {name}", lead, parts, page_assets.style(), page_assets.scripts())


def _opening(shown: Sequence[ShownSample], rewards: Sequence[str]) -> str:
    """How many are correct, what the rewards are on average, and the reasons."""
    counts = Counter(one.verdict for one in shown)
    right = counts["correct"]
    boxes = [("correct", f"{100 * right / len(shown):.1f} %", f"{right:,} of {len(shown):,} completions")]
    for name in rewards:
        values = [value for one in shown if (value := one.terms.get(name)) is not None]
        known = [value for value in values if math.isfinite(value)]
        mean = f"{sum(known) / len(known):.4g}" if known else "–"
        boxes.append((f"{name}, mean", mean, f"{len(known):,} of {len(shown):,} have a value"))
    reasons = Counter((one.verdict, one.reason) for one in shown)
    order = sorted(reasons, key=lambda pair: (-counts[pair[0]], pair[0], -reasons[pair], pair[1]))
    rows = [
        [
            f'<span class="verdict {escape(verdict)}">{escape(verdict)}</span>',
            html.cell(reason),
            to_samples(reasons[verdict, reason], verdict=verdict, reason=reason),
            f"{100 * reasons[verdict, reason] / len(shown):.1f} %",
            shares_bar([(reasons[verdict, reason] / len(shown), _KINDS.get(verdict, "cut"))]),
        ]
        for verdict, reason in order
    ]
    remark = "A count opens its completions in the list of samples."
    table = html.html_table(["verdict", "reason", "completions", "share", ""], rows, remark)
    return html.section("How good is it?", html.cards(boxes), table)


def _figures(shown: Sequence[ShownSample], rewards: Sequence[str]) -> str:
    """How long they are by verdict, and how each reward that takes several values is spread."""
    edges, labels = length_bins([one.tokens for one in shown])
    rows = []
    for verdict, kind in _KINDS.items():
        counts = [0] * len(labels)
        for one in shown:
            if one.verdict == verdict:
                counts[min(len(labels) - 1, one.tokens // (edges[1] - edges[0]))] += 1
        if any(counts):
            rows.append(Bars(verdict, counts, kind=kind))
    chart = bar_chart("Length of completions", labels, rows, "tokens")
    figures = [html.figure("Length of completions", "completions by tokens", chart)]
    for slot, name in enumerate(rewards):
        values = Counter(
            f"{value:.4g}" for one in shown if (value := one.terms.get(name)) is not None and math.isfinite(value)
        )
        if 1 < len(values) <= _MOST_VALUES:
            names = sorted(values, key=float)
            bars = [Bars(name, [values[one] for one in names], slot)]
            figures.append(
                html.figure(f"Reward {name}", "completions by value", bar_chart(f"Reward {name}", names, bars, name))
            )
    return html.section("Figures", html.charts(figures))


def _problem(row: Mapping[str, Any]) -> ShownProblem:
    gold = next((row[name] for name in _GOLD if name in row), "")
    golds = " or ".join(map(str, gold)) if isinstance(gold, list) else str(gold)
    text = next((str(row[name]) for name in _PROBLEM if row.get(name)), golds)
    prompt = row["prompt"] if isinstance(row.get("prompt"), str) else ""
    return ShownProblem(str(row.get("id", "")), str(row.get("source", "")), text, golds, prompt, tags_of(row))


def _sample(
    row: Mapping[str, Any], problem: int, number: int, rewards: Sequence[str], language: Language
) -> ShownSample:
    value = next((row[name] for name in _COMPLETION if name in row), "")
    messages = conversation(value)
    text = str(value if messages is None else messages[-1]["content"])
    terms = {name: row[name] for name in rewards if isinstance(row.get(name), int | float)}
    ids, tokens = row.get("completion_ids"), row.get("tokens")
    length = len(ids) if isinstance(ids, list) else tokens if isinstance(tokens, int) else len(text) / _CHARS_PER_TOKEN
    return ShownSample(
        problem=problem,
        source=0,
        number=number,
        verdict=str(row["verdict"]),
        reason=str(row["reason"]),
        tokens=round(length),
        truncated=row.get("finish_reason") == "length" or row.get("truncated") is True,
        answer=row["extracted"] if isinstance(row.get("extracted"), str) else None,
        text=text,
        reasoning_open=row.get("reasoning_open") is True or prefills_think(str(row.get("prompt") or "")),
        language=language(text),
        reward=float(sum(terms.values())) if terms else None,
        terms=terms,
    )
