"""Samples as a part of a page that filters, searches and shows them: records in, markup out.

Decisions:
- An index with all but the texts is unpacked when the page opens; texts lie in chunks of their own and are unpacked
  when a sample is opened or a word is searched. All of it is gzip in base64: the page stays one file.
- Formulas are converted when the page is made, each distinct one once, the most frequent first and up to a number;
  the others are shown as they were written.

What the browser does with it is in `assets/page/browser.js`.
"""

import base64
import gzip
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frugalrl.reporting import html_page as html
from frugalrl.types import VerdictLabel

Formula = Callable[[str], str | None]
"""From LaTeX to MathML; None for what cannot be converted."""
MOST_FORMULAS = 12_000
"""Distinct ones: about five seconds of conversion."""
_CHUNK_CHARS = 1_500_000
_FORMULA = re.compile(
    r"\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$([^$\n]+?)\$"
    r"|(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})"
)
"""As in browser.js: between dollars or brackets, or a box that stands alone."""
_LONGEST_FORMULA = 1_500


@dataclass(frozen=True)
class ShownProblem:
    """A problem as the page shows it."""

    id: str
    benchmark: str
    text: str
    gold: str
    prompt: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Level, subject and the like: each is a filter."""


@dataclass(frozen=True)
class ShownSample:
    """A completion as the page shows it."""

    problem: int
    """Index of its problem."""
    source: int
    """Index of its model, step or whatever the page compares."""
    number: int
    verdict: VerdictLabel | str
    reason: str
    tokens: int
    truncated: bool
    answer: str | None
    text: str
    reasoning_open: bool = False
    """Whether the prompt had opened ``<think>``."""
    language: str = ""
    reward: float | None = None
    terms: Mapping[str, float | None] = field(default_factory=dict)
    """Rewards by name."""
    title: str = ""
    """Of a problem that was kept or dropped: what `text` and `answer` are of, the problem that it was matched with."""
    note: str = ""
    """More evidence, a line each."""


@dataclass(frozen=True)
class Samples:
    """All that a page shows of samples. source_word: what the sources are: ``model``, ``step``."""

    sources: tuple[str, ...]
    source_word: str
    problems: tuple[ShownProblem, ...]
    samples: tuple[ShownSample, ...]
    heading: str = "Every sample"
    remark: str = ""
    """Under the heading."""
    is_judged: bool = True
    """Whether these are completions with verdicts; else problems that were kept or dropped."""
    group_word: str = "benchmark"
    """What a problem's `benchmark` is."""
    number_word: str = "reward"
    """What a sample's `reward` is."""


def sample_browser(shown: Samples, formula: Formula) -> str:
    """The markup: an empty frame for the script, and the data."""
    chunks = _chunks(shown.samples)
    tables = _tables(shown, chunks, formula)
    parts = [_packed("samples-index", _index(shown, chunks, tables[0]))]
    for number, chunk in enumerate(chunks):
        own = {"t": [shown.samples[at].text for at in chunk], "m": tables[number + 1]}
        parts.append(_packed(f"samples-text-{number}", own))
    parts.append(_packed("samples-prompts", [problem.prompt for problem in shown.problems]))
    remark = html.paragraph(shown.remark) if shown.remark else ""
    return html.section(shown.heading, remark, '<div id="samples"></div>', *parts)


def formulas_in(text: str) -> Iterable[str]:
    """The LaTeX between dollars and brackets, trimmed."""
    for found in _FORMULA.findall(text):
        inner = next(part for part in found if part) if any(found) else ""
        if 0 < len(inner) <= _LONGEST_FORMULA:
            yield inner.strip()


def _index(shown: Samples, chunks: Sequence[Sequence[int]], table: Mapping[str, str]) -> dict[str, Any]:
    place = {at: (number, offset) for number, chunk in enumerate(chunks) for offset, at in enumerate(chunk)}
    columns: dict[str, list[Any]] = {
        "p": [one.problem for one in shown.samples],
        "s": [one.source for one in shown.samples],
        "n": [one.number for one in shown.samples],
        "v": [one.verdict for one in shown.samples],
        "r": [one.reason for one in shown.samples],
        "k": [one.tokens for one in shown.samples],
        "c": [int(one.truncated) for one in shown.samples],
        "a": [one.answer for one in shown.samples],
        "l": [one.language for one in shown.samples],
        "w": [_shown_number(one.reward) for one in shown.samples],
        "q": [int(one.reasoning_open) for one in shown.samples],
        "h": [place[at][0] for at in range(len(shown.samples))],
        "o": [place[at][1] for at in range(len(shown.samples))],
    }
    if not shown.is_judged:
        columns |= {"m": [one.title for one in shown.samples], "e": [one.note for one in shown.samples]}
    if any(one.terms for one in shown.samples):
        columns["f"] = [{name: _shown_number(value) for name, value in one.terms.items()} for one in shown.samples]
    tags = list(dict.fromkeys(name for problem in shown.problems for name in problem.tags))
    problems = [
        {"i": one.id, "b": one.benchmark, "x": one.text, "g": one.gold, "t": dict(one.tags)} for one in shown.problems
    ]
    return {
        "sources": list(shown.sources),
        "sourceWord": shown.source_word,
        "groupWord": shown.group_word,
        "numberWord": shown.number_word,
        "rowWord": "samples" if shown.is_judged else "problems",
        "judged": shown.is_judged,
        "tags": tags,
        "problems": problems,
        "samples": columns,
        "maths": dict(table),
        "chunks": len(chunks),
    }


def _shown_number(value: float | None) -> float | str | None:
    """JSON knows neither NaN nor infinity: they are shown as words."""
    return value if value is None or math.isfinite(value) else str(value)


def _chunks(samples: Sequence[ShownSample]) -> list[list[int]]:
    """Indices of samples, cut where their texts fill a chunk."""
    chunks: list[list[int]] = [[]]
    chars = 0
    for at, one in enumerate(samples):
        if chunks[-1] and chars + len(one.text) > _CHUNK_CHARS:
            chunks.append([])
            chars = 0
        chunks[-1].append(at)
        chars += len(one.text)
    return chunks


def _tables(shown: Samples, chunks: Sequence[Sequence[int]], formula: Formula) -> list[dict[str, str]]:
    """Formulas as MathML: those of problems, golds and answers, then those that only a chunk's texts hold."""
    own = dict.fromkeys(tex for problem in shown.problems for tex in (*formulas_in(problem.text), problem.gold.strip()))
    own |= dict.fromkeys(
        one.answer.strip() for one in shown.samples if one.answer and len(one.answer) <= _LONGEST_FORMULA
    )
    in_chunks = [Counter(tex for at in chunk for tex in formulas_in(shown.samples[at].text)) for chunk in chunks]
    often = Counter[str]()
    for counts in in_chunks:
        often.update(counts)
    wanted = [*own, *(tex for tex, _ in often.most_common() if tex not in own)][:MOST_FORMULAS]
    done = {tex: made for tex in wanted if tex and (made := formula(tex)) is not None}
    common = {tex: made for tex, made in done.items() if tex in own}
    return [common, *({tex: done[tex] for tex in counts if tex in done and tex not in own} for counts in in_chunks)]


def _packed(name: str, value: object) -> str:
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
    text = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")
    return f'<script type="application/json+gzip" id="{name}">{text}</script>\n'
