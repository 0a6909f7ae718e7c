"""Published results beside a user's own, with a warning where the protocols differ.

The numbers are in `assets/published/results.json`, each with the paper it was read from.
"""

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from frugalrl.evaluation.benchmarks import BENCHMARKS
from frugalrl.evaluation.results import ResultsHeader
from frugalrl.reporting import html_page as html
from frugalrl.reporting.bar_figures import Interval, interval_chart
from frugalrl.reporting.console import estimate
from frugalrl.reporting.figures import legend
from frugalrl.statistics.intervals import Estimate


@dataclass(frozen=True)
class Protocol:
    """How a paper measured; None: not stated in what was read."""

    paper: str
    title: str
    what: str
    k: int | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None


@dataclass(frozen=True)
class Published:
    """A model on a benchmark, in percent."""

    model: str
    benchmark: str
    mean: float
    sd: float | None
    """Over seeds."""
    protocol: Protocol


@functools.cache
def published() -> tuple[Published, ...]:
    """The whole record."""
    text = (resources.files("frugalrl") / "assets" / "published" / "results.json").read_text(encoding="utf-8")
    data = json.loads(text)
    papers = {name: Protocol(name, **values) for name, values in data["papers"].items()}
    return tuple(
        Published(row["model"], row["benchmark"], row["mean"], row["sd"], papers[row["paper"]])
        for row in data["results"]
    )


@dataclass(frozen=True)
class HowAsked:
    """What of an evaluation's header is held against a paper's protocol."""

    benchmark: str
    temperature: float
    top_p: float
    max_completion_tokens: int


def differences(header: ResultsHeader | HowAsked, k: int, protocol: Protocol) -> list[str]:
    """What differs between an evaluation and a paper's protocol, or is not known of it."""
    pairs = (
        ("k", k, protocol.k),
        ("temperature", header.temperature, protocol.temperature),
        ("top_p", header.top_p, protocol.top_p),
        ("max_tokens", header.max_completion_tokens, protocol.max_tokens),
    )
    unlike = [f"{name} {theirs}, here {ours}" for name, ours, theirs in pairs if theirs is not None and theirs != ours]
    unknown = [name for name, _, theirs in pairs if theirs is None]
    return [*unlike, *([f"{', '.join(unknown)} not known"] if unknown else [])]


@dataclass(frozen=True)
class Own:
    """A model of the user's on a benchmark."""

    model: str
    header: ResultsHeader | HowAsked
    k: int
    accuracy: Estimate
    problems: int | None = None
    """That were asked; None: not counted."""


def published_section(measured: Sequence[Own]) -> str:
    """Published numbers on the benchmarks that were measured, in one figure each with the user's; empty for none."""
    names = dict.fromkeys(one.header.benchmark for one in measured)
    own = {name: [one for one in measured if one.header.benchmark == name] for name in names}
    figures = [_beside(name, ours) for name, ours in own.items() if _papers(name)]
    if not figures:
        return ""
    said = list(dict.fromkeys(line for name, ours in own.items() for line in _protocols(name, ours)))
    warning = "Protocols differ, so a difference between these numbers need not be one between models."
    unlike = any(
        differences(one.header, one.k, paper) or _part(one.header.benchmark, one)
        for one in measured
        for paper in _papers(one.header.benchmark)
    )
    return html.section(
        "Beside published numbers",
        html.finding(warning, "unsure") if unlike else "",
        html.notes(said),
        html.charts(figures),
    )


def _papers(benchmark: str) -> list[Protocol]:
    """Those that measured a benchmark."""
    return list(dict.fromkeys(one.protocol for one in published() if one.benchmark == benchmark))


def _protocols(benchmark: str, ours: Sequence[Own]) -> list[str]:
    """A sentence for each paper: how it measured, and how that differs."""
    lines = []
    for paper in _papers(benchmark):
        unlike = dict.fromkeys(difference for one in ours for difference in differences(one.header, one.k, paper))
        unlike |= dict.fromkeys(part for one in ours for part in _part(benchmark, one))
        differing = f" For {benchmark}: {'; '.join(unlike)}." if unlike else ""
        lines.append(f"arXiv {paper.paper}: {paper.what}.{differing}")
    return lines


def _part(benchmark: str, one: Own) -> list[str]:
    """Where only part of a benchmark was asked."""
    size = BENCHMARKS[benchmark].size
    return [f"{size} problems, here {one.problems}"] if one.problems is not None and one.problems < size else []


def _beside(benchmark: str, ours: Sequence[Own]) -> str:
    """One point a number, the highest first, with its spread over seeds or the interval of the user's own."""
    papers = _papers(benchmark)
    rows = [
        Interval(
            one.model,
            one.mean / 100,
            (one.mean - one.sd) / 100 if one.sd is not None else math.nan,
            (one.mean + one.sd) / 100 if one.sd is not None else math.nan,
            1 + papers.index(one.protocol),
            f"arXiv {one.protocol.paper}",
        )
        for one in published()
        if one.benchmark == benchmark
    ]
    rows += [
        Interval(one.model, one.accuracy.value, one.accuracy.ci_low, one.accuracy.ci_high, 0, "this page")
        for one in ours
    ]
    best = {row.label: max(one.value for one in rows if one.label == row.label) for row in rows}
    rows.sort(key=lambda one: (-best[one.label], one.label, -one.value))
    key = legend(["this page: 95 % interval", *(f"arXiv {paper.paper}: sd over seeds if known" for paper in papers)])
    chart = interval_chart(f"{benchmark}, published numbers", rows)
    return html.figure(benchmark, f"{_said(ours)}", key + chart)


def _said(ours: Sequence[Own]) -> str:
    return "this page: " + ", ".join(f"{one.model} {estimate(one.accuracy)}, k = {one.k}" for one in ours)
