"""The page of scored completions: rows of `frugalrl score` in, HTML out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from frugalrl.data.columns import conversation
from frugalrl.reporting import html_page as html
from frugalrl.reporting import page_assets
from frugalrl.reporting.evaluation_samples import Language, tags_of
from frugalrl.reporting.mathml import mathml
from frugalrl.reporting.sample_browser import Samples, ShownProblem, ShownSample, sample_browser
from frugalrl.text.reasoning import prefills_think

MOST_ROWS = 20_000
"""On a page; the file holds them all."""
_PROBLEM, _GOLD = ("problem", "question", "prompt"), ("gold", "answer")
_COMPLETION = ("completion", "prediction", "response", "output", "generation")
_CHARS_PER_TOKEN = 3.5


def score_page(
    name: str, rows: Iterable[Mapping[str, Any]], rewards: Sequence[str], summary: str, language: Language
) -> str:
    """The whole document. rewards: names of their columns. summary: what was printed."""
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
    first = html.finding(summary.splitlines()[0] if summary else "")
    parts = [html.section("What was scored", first, html.preformatted(summary))]
    parts.append(sample_browser(samples, mathml) if shown else html.paragraph("No row."))
    lead = f"{len(shown):,} completions with verdicts and rewards."
    return html.page(f"Scores of {name}", lead, parts, page_assets.style(), page_assets.scripts())


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
