"""The page of one or several models on benchmarks: results in, HTML out.

The verdict comes first: each benchmark's accuracy with its interval, and what stands in the way of reading it (cut
answers, unknown verdicts, too few problems). Then tables and figures, then every sample.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape

from frugalrl.evaluation.records import SampleRecord
from frugalrl.evaluation.results import Results
from frugalrl.evaluation.scores import BenchmarkScore, Part, score_of
from frugalrl.reporting import html_page as html
from frugalrl.reporting import page_assets
from frugalrl.reporting.bar_figures import Bars, Interval, bar_chart, interval_chart, length_bins
from frugalrl.reporting.console import percent
from frugalrl.reporting.evaluation_samples import Evaluated, Language, problem_of, samples_of
from frugalrl.reporting.figures import interval_bar, legend, legend_key
from frugalrl.reporting.mathml import mathml
from frugalrl.reporting.published import Own, published_section
from frugalrl.reporting.sample_browser import sample_browser

_MUCH_TRUNCATED = 0.1


def evaluation_page(
    models: Sequence[Evaluated],
    language: Language,
    remarks: Sequence[str] = (),
    opening: str = "",
    extra: str = "",
    is_followed: bool = False,
) -> str:
    """The whole document.

    remarks: sentences below the accuracies. opening: a section that stands in place of them, such as the verdicts of a
    comparison. extra: a section between that and the table. is_followed: see `html_page.page`.
    """
    scores = {(model.name, one.header.benchmark): score_of_results(one) for model in models for one in model.results}
    names = list(dict.fromkeys(one.header.benchmark for model in models for one in model.results))
    title = f"{', '.join(model.name for model in models)}: {', '.join(names)}"
    if opening:
        title = f"{models[0].name} and {', '.join(model.name for model in models[1:])}"
    total = sum(len(one.samples) for model in models for one in model.results)
    lead = f"{total:,} judged samples. In brackets: 95 % intervals, clustered by problem."
    parts = [
        opening or _verdicts(scores, remarks),
        extra,
        _table(scores, names),
        _figures(models, scores, names),
        published_section([_beside(model.name, one, scores) for model in models for one in model.results]),
        sample_browser(samples_of(models, language), mathml),
        _made_with(models),
    ]
    return html.page(title, lead, parts, page_assets.style(), page_assets.scripts(is_followed), is_followed)


def _beside(model: str, results: Results, scores: "Scores") -> Own:
    score = scores[model, results.header.benchmark]
    return Own(model, results.header, score.samples, score.accuracy, score.problems)


def score_of_results(results: Results) -> BenchmarkScore:
    """The score of a file's samples; k is the fewest of any problem.

    Of each problem the first k that are there count: a server's replies come in any order, and a cut file has gaps.
    """
    samples: dict[str, list[SampleRecord]] = {}
    for one in sorted(results.samples, key=lambda one: one.sample):
        samples.setdefault(one.problem_id, []).append(one)
    problems = [problem_of(results, name).as_problem() for name in samples]
    there = [replace(one, sample=number) for own in samples.values() for number, one in enumerate(own)]
    return score_of(problems, there, min(map(len, samples.values())), results.header.max_completion_tokens)


# ------------------------------------------------------------------------------------------------- the parts

Scores = Mapping[tuple[str, str], BenchmarkScore]


def _verdicts(scores: Scores, remarks: Sequence[str]) -> str:
    models = list(dict.fromkeys(model for model, _ in scores))
    cards = []
    for benchmark in dict.fromkeys(benchmark for _, benchmark in scores):
        own = [(model, score) for (model, name), score in scores.items() if name == benchmark]
        cards.append(_card(benchmark, [(models.index(model), model, score) for model, score in own], len(models) > 1))
    key = legend(models) if len(models) > 1 else ""
    shape = "cards broad" if len(models) > 1 else "cards"
    return html.section("How good is it?", key, f'<div class="{shape}">{"".join(cards)}</div>', html.notes(remarks))


def _card(benchmark: str, own: Sequence[tuple[int, str, BenchmarkScore]], several: bool) -> str:
    """A benchmark at a glance: each model's accuracy, its interval, and how small a gain could be detected."""
    lines, is_unsure = [], False
    for slot, model, score in own:
        value = score.accuracy
        who = f'<span class="who">{legend_key(slot)}<b>{escape(model)}</b></span>' if several else ""
        number, interval = _accuracy(score)
        bar = interval_bar(value.value, value.ci_low, value.ci_high, slot) if math.isfinite(value.ci_low) else ""
        lines.append(f'<p class="score">{who}<b>{number}</b><span class="ci">{interval}</span>{bar}</p>')
        is_unsure = is_unsure or score.smallest_effect > 1 or score.truncated_fraction > _MUCH_TRUNCATED
    about = dict.fromkeys(f"{score.problems:,} problems × {score.samples}" for _, _, score in own)
    effects = [score.smallest_effect for _, _, score in own if score.smallest_effect <= 1]
    said = f"; a gain of {100 * max(effects):.1f} points would be detected" if effects else "; too few to show a gain"
    kind = (" unsure" if is_unsure else "") + (" of-all" if len(own) > 1 else "")
    body = f'{"".join(lines)}<p class="about">{", ".join(about)}{said}</p>'
    return f'<article class="card{kind}"><h3>{escape(benchmark)}</h3>{body}</article>'


def _table(scores: Scores, benchmarks: Sequence[str]) -> str:
    several = len({model for model, _ in scores}) > 1
    heads = ["benchmark", *(["model"] if several else []), "avg@k", "problems", "k", "pass@k", "majority@k"]
    rows = [
        [
            escape(benchmark),
            *([html.cell(model)] if several else []),
            html.cell(*_accuracy(score)),
            f"{score.problems:,}",
            str(score.samples),
            percent(score.pass_at_k),
            percent(score.majority_at_k),
            f"{100 * score.truncated_fraction:.1f} %",
            f"{score.unknown:,}",
            f"{score.mean_tokens:,.0f}",
        ]
        for (model, benchmark), score in sorted(scores.items(), key=lambda item: benchmarks.index(item[0][1]))
    ]
    remark = "Accuracy is the mean over all samples; an unknown verdict counts as wrong."
    return html.section("All numbers", html.html_table([*heads, "truncated", "unknown", "tokens"], rows, remark))


def _accuracy(score: BenchmarkScore) -> tuple[str, str]:
    value = score.accuracy
    return f"{100 * value.value:.1f} %", f"[{100 * value.ci_low:.1f}, {100 * value.ci_high:.1f}]"


def _figures(models: Sequence[Evaluated], scores: Scores, benchmarks: Sequence[str]) -> str:
    several = len(models) > 1
    slots = {model.name: slot for slot, model in enumerate(models)}
    rows = [
        Interval(benchmark, *_ends(score), slots[model], model if several else "")
        for (model, benchmark), score in sorted(scores.items(), key=lambda item: benchmarks.index(item[0][1]))
    ]
    key = legend([model.name for model in models]) if several else ""
    accuracy = html.figure("Accuracy", "95 % intervals", interval_chart("Accuracy by benchmark", rows))
    parts = [key, html.charts([accuracy])] if len(benchmarks) > 1 else [key]
    for benchmark in benchmarks:
        own = [(model, score) for (model, name), score in scores.items() if name == benchmark]
        columns = dict.fromkeys(part.column for _, score in own for part in score.parts)
        found = [(model.name, one) for model in models for one in model.results if one.header.benchmark == benchmark]
        figures = [_by_column(benchmark, column, own, slots) for column in columns]
        figures += [_solved(benchmark, found, slots)]
        figures += [_lengths(f"{benchmark}, {name}" if several else benchmark, one) for name, one in found]
        parts.append(f"<h3>{escape(benchmark)}</h3>{html.charts(figures)}")
    return html.section("Figures", *parts)


def _by_column(benchmark: str, column: str, own: Sequence[tuple[str, BenchmarkScore]], slots: Mapping[str, int]) -> str:
    """Accuracy by level, subject or the like."""
    several = len(slots) > 1
    parts = [(model, part) for model, score in own for part in score.parts if part.column == column]
    rows = [
        Interval(f"{value} ({part.problems})", *_ends(part), slots[model], model if several else "")
        for value in dict.fromkeys(part.value for _, part in parts)
        for model, part in parts
        if part.value == value
    ]
    title = f"{benchmark} by {column.lower()}"
    chart = interval_chart(title, rows)
    return html.figure(f"By {column.lower()}", "95 % intervals; problems in brackets", chart)


def _ends(score: BenchmarkScore | Part) -> tuple[float, float, float]:
    return score.accuracy.value, score.accuracy.ci_low, score.accuracy.ci_high


def _lengths(name: str, results: Results) -> str:
    edges, labels = length_bins([one.tokens for one in results.samples])
    rows = []
    for kind, label, test in _KINDS:
        counts = [0] * len(labels)
        for one in results.samples:
            if test(one):
                counts[min(len(labels) - 1, one.tokens // (edges[1] - edges[0]))] += 1
        if any(counts):
            rows.append(Bars(label, counts, kind=kind))
    title = f"Length of answers, {name}"
    whose = name.removeprefix(results.header.benchmark).removeprefix(", ")
    heading = f"Length of answers, {whose}" if whose else "Length of answers"
    return html.figure(heading, "samples by tokens", bar_chart(title, labels, rows, "tokens"))


_KINDS: tuple[tuple[str, str, Callable[[SampleRecord], bool]], ...] = (
    ("good", "correct", lambda one: one.is_correct),
    ("bad", "not correct", lambda one: not one.is_correct and not one.is_truncated),
    ("cut", "truncated, not correct", lambda one: not one.is_correct and one.is_truncated),
)
"""Kind of bar, name and what belongs to it."""


def _solved(benchmark: str, found: Sequence[tuple[str, Results]], slots: Mapping[str, int]) -> str:
    """How many problems are never, sometimes, always solved: a bar for each model."""
    shares = []
    for name, results in found:
        right: dict[str, list[bool]] = {}
        for one in results.samples:
            right.setdefault(one.problem_id, []).append(one.is_correct)
        shares.append((name, list(right.values())))
    k = min(len(own) for _, problems in shares for own in problems)
    bins = min(k, 10)
    rows = []
    for name, problems in shares:
        counts = [0] * (bins + 1)
        for own in problems:
            counts[round(bins * sum(own) / len(own))] += 1
        rows.append(Bars(name if len(found) > 1 else "problems", counts, slots[name]))
    labels = [f"{100 * at / bins:.0f} %" for at in range(bins + 1)]
    title = f"How hard the problems of {benchmark} are"
    chart = bar_chart(title, labels, rows, "share of samples that are correct", beside=True)
    return html.figure("How hard the problems are", f"problems by solved share, k = {k}", chart)


def _made_with(models: Sequence[Evaluated]) -> str:
    parts = []
    for model in models:
        for one in model.results:
            rows = [[escape(name), html.cell(str(value))] for name, value in vars(one.header).items()]
            sessions = [(name, value) for line in one.sessions for name, value in line.items()]
            rows += [[escape(f"session: {name}"), html.cell(str(value))] for name, value in sessions]
            rows += [["judged again", html.cell(str(dict(line)))] for line in one.regrades]
            name = f"{model.name}, {one.header.benchmark}" if len(models) > 1 else one.header.benchmark
            parts.append(html.folded(escape(name), html.html_table(["setting", "value"], rows)))
    return html.section("What it was measured with", *parts)
