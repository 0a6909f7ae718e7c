"""The problems that the page of a curation shows one by one: what became of each, beside what it was matched with.

Of each reason for dropping, and of the set itself, so many are drawn by the seed: a page of every problem of a large
pool would not open. The ledger names them all.
"""

import heapq
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.curation.ledger import read_part
from frugalrl.curation.records import Decision, PoolRow
from frugalrl.curation.selection_steps import drawing_order
from frugalrl.reporting.sample_browser import Samples, ShownProblem, ShownSample

MOST_OF_A_REASON, MOST_KEPT = 150, 500
_MOST_SOURCES = 40
_MOST_CHARS = 6_000
_NUMBERS = ("pass_rate", "similarity", "share", "tokens", "correct", "samples")
Find = Callable[[str], PoolRow | None]


@dataclass(frozen=True)
class _Fate:
    """What became of a problem."""

    step: str
    decision: Decision

    @property
    def label(self) -> str:
        return "kept" if self.decision.kept else "dropped"


def page_rows(parts: Sequence[Path], find: Find, seed: int) -> Samples:
    """The problems to show, by step and reason. parts: of the ledger, in order; the last one holds the splits."""
    drawn: dict[tuple[str, str, bool], list[tuple[int, int, _Fate]]] = {}
    for number, part in enumerate(parts):
        step = part.stem.partition("-")[2]
        for decision in read_part(part):
            if decision.kept and part != parts[-1]:
                continue
            key = f"{number:02d}{step}", decision.reason, decision.kept
            order = -int.from_bytes(drawing_order(seed, "page", decision.id), "big")
            own = drawn.setdefault(key, [])
            heapq.heappush(own, (order, len(own), _Fate(step, decision)))
            if len(own) > (MOST_KEPT if decision.kept else MOST_OF_A_REASON):
                heapq.heappop(own)
    fates = [fate for key in sorted(drawn) for _, _, fate in sorted(drawn[key], key=lambda one: -one[0])]
    rows = {fate.decision.id: find(fate.decision.id) for fate in fates}
    sources = {row.source for row in rows.values() if row is not None}
    shown = [(fate, row) for fate in fates if (row := rows[fate.decision.id]) is not None]
    return Samples(
        sources=("problem",),
        source_word="problem",
        problems=tuple(_problem(fate, row, len(sources) <= _MOST_SOURCES) for fate, row in shown),
        samples=tuple(_sample(at, fate, row, find) for at, (fate, row) in enumerate(shown)),
        heading="Problem by problem",
        remark=f"Up to {MOST_OF_A_REASON} of each reason for dropping and {MOST_KEPT} of each split, drawn by the "
        "seed; the ledger names them all.",
        is_judged=False,
        group_word="step",
        number_word="pass rate",
    )


def _problem(fate: _Fate, row: PoolRow, with_source: bool) -> ShownProblem:
    band = row.columns.get("band", fate.decision.detail.get("band"))
    tags = {"pool": row.pool, **({"source": row.source} if with_source and row.source != row.pool else {})}
    tags |= {"band": str(band)} if band is not None else {}
    return ShownProblem(row.id, fate.step, row.problem[:_MOST_CHARS], row.answer, tags=tags)


def _sample(at: int, fate: _Fate, row: PoolRow, find: Find) -> ShownSample:
    detail = fate.decision.detail
    title, text, answer = _partner(detail, find)
    rate = row.columns.get("pass_rate", detail.get("pass_rate"))
    numbers = {**_numbers(detail), **_numbers(detail.get("match"))}
    return ShownSample(
        problem=at,
        source=0,
        number=0,
        verdict=fate.label,
        reason=fate.decision.reason,
        tokens=len(row.problem.split()),
        truncated=False,
        answer=answer,
        text=text[:_MOST_CHARS],
        reward=float(rate) if isinstance(rate, int | float) else None,
        terms=numbers,
        title=title,
        note="\n".join(f"{name}: {_words(value)}" for name, value in detail.items() if _is_told(name, value)),
    )


def _partner(detail: Mapping[str, Any], find: Find) -> tuple[str, str, str | None]:
    """What a problem was matched with: a title, its text and, where it is known, its gold."""
    match = detail.get("match")
    if isinstance(match, Mapping):
        other = find(str(match.get("id")))
        text, answer = (other.problem, other.answer) if other is not None else ("", None)
        return f"{match.get('id')}, {match.get('kind')}", text, answer
    if "row_text" in detail:
        return f"{detail.get('benchmark')} {detail.get('row_id')}, {detail.get('kind')}", str(detail["row_text"]), None
    return "", "", None


def _numbers(values: object) -> dict[str, float | None]:
    found = values if isinstance(values, Mapping) else {}
    return {name: float(found[name]) for name in _NUMBERS if isinstance(found.get(name), int | float)}


def _is_told(name: str, value: object) -> bool:
    """What is not shown in another place already."""
    return name not in ("match", "row_text", "row_id", "benchmark", "kind", *_NUMBERS) and value not in ("", None)


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
