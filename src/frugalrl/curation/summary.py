"""What a curation found, as the record that its report is drawn from. Pure: rows and decisions in, numbers out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.config.curation_schema import CurationSpec, Difficulty, PoolSettings, StepBase
from frugalrl.curation.records import Decision, PoolRow, StepOutcome
from frugalrl.curation.selection_steps import band_name, drawing_order

EXAMPLES_PER_REASON = 2
LENGTH_EDGES = (0, 20, 40, 60, 80, 100, 150, 200, 300)
"""Words of a problem; the last bin is open."""


@dataclass(frozen=True)
class Example:
    """A problem that a step dropped, with what showed it."""

    id: str
    problem: str
    answer: str
    detail: Mapping[str, Any]
    other: str
    """The text of the pool's row that it was matched with, if it was; else empty."""


@dataclass(frozen=True)
class StepSummary:
    """A step in numbers."""

    name: str
    kind: str
    before: int
    after: int
    """Of all rows, those of pools that the step does not touch included."""
    reasons: tuple[tuple[str, bool, int], ...]
    """Reason, whether it keeps, how many rows; the most frequent first."""
    examples: Mapping[str, tuple[Example, ...]]
    """By reason of dropping."""
    skipped: str | None
    pools: tuple[str, ...] | None
    expected: int | None
    note: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Shares:
    """A distribution over the pool and over the final set."""

    labels: tuple[str, ...]
    pool: tuple[int, ...]
    final: tuple[int, ...]


@dataclass(frozen=True)
class CurationReport:
    """Everything the report card shows."""

    name: str
    description: str
    seed: int
    pools: tuple[tuple[PoolSettings, int], ...]
    steps: tuple[StepSummary, ...]
    splits: Mapping[str, int]
    lengths: Shares
    sources: Shares
    bands: Shares
    """Final rows by band; `pool` counts the rows at the last difficulty step, dropped ones included."""


def step_summary(
    name: str,
    step: StepBase,
    rows: Sequence[PoolRow],
    covered: int,
    outcome: StepOutcome,
    texts: Mapping[str, PoolRow],
    seed: int,
) -> StepSummary:
    """Numbers and examples of a step. rows: before it; covered: how many of them it looked at."""
    counted = Counter((decision.reason, decision.kept) for decision in outcome.decisions)
    dropped = sum(count for (_, kept), count in counted.items() if not kept)
    by_reason: dict[str, list[Decision]] = {}
    for decision in outcome.decisions:
        if not decision.kept:
            by_reason.setdefault(decision.reason, []).append(decision)
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return StepSummary(
        name=name,
        kind=str(step.step),  # type: ignore[attr-defined]  # every kind has `step`
        before=len(rows),
        after=len(rows) - dropped,
        reasons=tuple((reason, kept, count) for (reason, kept), count in ordered if reason != OTHER_POOL),
        examples={
            reason: tuple(
                _example(decision, texts)
                for decision in sorted(found, key=lambda one: drawing_order(seed, "examples", one.id))[
                    :EXAMPLES_PER_REASON
                ]
            )
            for reason, found in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
        },
        skipped=step.skip,
        pools=step.pools,
        expected=step.expected,
        note=step.note,
        notes=outcome.notes,
    )


OTHER_POOL = "other_pool"
"""The reason of rows that a step confined to some pools does not look at."""


def curation_report(
    spec: CurationSpec,
    pool_sizes: Sequence[int],
    everything: Sequence[PoolRow],
    final: Sequence[PoolRow],
    steps: Sequence[StepSummary],
    band_counts: Mapping[str, int],
    splits: Mapping[str, int],
) -> CurationReport:
    """Put together. band_counts: rows by band at the last difficulty step."""
    return CurationReport(
        name=spec.name,
        description=spec.description,
        seed=spec.seed,
        pools=tuple(zip(spec.pools, pool_sizes, strict=True)),
        steps=tuple(steps),
        splits=splits,
        lengths=_lengths(everything, final),
        sources=_sources(everything, final),
        bands=_bands(spec, band_counts, final),
    )


def band_counts(outcome: StepOutcome) -> dict[str, int]:
    """Rows by band of a difficulty step, dropped ones included."""
    counted: Counter[str] = Counter()
    for decision in outcome.decisions:
        if decision.reason != OTHER_POOL:
            counted[str(decision.detail.get("band", decision.changes.get("band", "unknown")))] += 1
    return dict(counted)


def _example(decision: Decision, texts: Mapping[str, PoolRow]) -> Example:
    row = texts[decision.id]
    match = decision.detail.get("match")
    partner = texts.get(match["id"]) if isinstance(match, Mapping) else None
    return Example(decision.id, row.problem, row.answer, decision.detail, partner.problem if partner else "")


def _lengths(everything: Sequence[PoolRow], final: Sequence[PoolRow]) -> Shares:
    ends = [*LENGTH_EDGES[1:], None]
    labels = tuple(
        f"{low}+" if high is None else f"{low}-{high - 1}" for low, high in zip(LENGTH_EDGES, ends, strict=True)
    )

    def counts(rows: Sequence[PoolRow]) -> tuple[int, ...]:
        binned = Counter(_bin(len(row.problem.split())) for row in rows)
        return tuple(binned[at] for at in range(len(LENGTH_EDGES)))

    return Shares(labels, counts(everything), counts(final))


def _bin(words: int) -> int:
    return max(at for at, edge in enumerate(LENGTH_EDGES) if words >= edge)


def _sources(everything: Sequence[PoolRow], final: Sequence[PoolRow]) -> Shares:
    before, after = (Counter(row.source for row in rows) for rows in (everything, final))
    labels = tuple(sorted(before, key=lambda name: (-before[name], name)))
    return Shares(labels, tuple(before[name] for name in labels), tuple(after[name] for name in labels))


def _bands(spec: CurationSpec, counted: Mapping[str, int], final: Sequence[PoolRow]) -> Shares:
    after = Counter(band_name(row) for row in final)
    named = [band.name for step in spec.steps if isinstance(step, Difficulty) for band in step.bands]
    known = [
        name for name in dict.fromkeys([*named, *sorted(counted), *sorted(after)]) if counted.get(name, after[name])
    ]
    if not counted:
        return Shares((), (), ())
    return Shares(tuple(known), tuple(counted.get(name, 0) for name in known), tuple(after[name] for name in known))
