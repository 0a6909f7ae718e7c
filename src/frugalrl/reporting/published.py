"""Published results beside a user's own, with a warning where the protocols differ.

The numbers are in `assets/published/results.json`, each with the paper it was read from.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources

from frugalrl.evaluation.results import ResultsHeader
from frugalrl.reporting import html_page as html


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


def differences(header: ResultsHeader, k: int, protocol: Protocol) -> list[str]:
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


def published_section(measured: Sequence[tuple[ResultsHeader, int, str]]) -> str:
    """Published numbers on the benchmarks that were measured: header, k, and the accuracy as text. Empty for none."""
    parts = []
    for header, k, accuracy in measured:
        rows = [one for one in published() if one.benchmark == header.benchmark]
        if not rows:
            continue
        cells = [
            [escape(one.model), _value(one), html.cell(f"arXiv {one.protocol.paper}"), html.cell(one.protocol.what)]
            for one in sorted(rows, key=lambda one: -one.mean)
        ]
        ours = [f"<b>{escape(header.model)}</b>", f"<b>{escape(accuracy)}</b>", "this page", f"k = {k}"]
        said = [
            f"arXiv {paper.paper}: {'; '.join(differences(header, k, paper))}."
            for paper in dict.fromkeys(one.protocol for one in rows)
            if differences(header, k, paper)
        ]
        table = html.html_table(["model", header.benchmark, "from", "how"], [ours, *cells])
        warning = "Protocols differ, so a difference between these numbers need not be one between models: "
        parts.append(table + (html.finding(warning + " ".join(said), "unsure") if said else ""))
    return html.section("Beside published numbers", *parts) if parts else ""


def _value(one: Published) -> str:
    return html.cell(f"{one.mean:.1f}" + (f" ± {one.sd:g}" if one.sd is not None else ""))
