"""The result of a curation, as the record behind its report. Pure: rows and decisions in, numbers out."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.config.curation_schema import CurationSpec, Difficulty, PoolSettings, StepBase
from frugalrl.curation.records import Decision, PoolRow
from frugalrl.curation.sampling_facts import SamplingFacts
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
    reading: tuple[str, ...] = ()
    """What had to be changed in the pools to read them."""
    sampling: tuple[SamplingFacts, ...] = ()
    """What each step took from each solver."""


class Tally:
    """Counts and examples of a step, taken from its decisions as they pass. Examples are drawn by the seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.counts: Counter[tuple[str, bool]] = Counter()
        self.bands: Counter[str] = Counter()
        """Rows by the band they were given, dropped ones included; for difficulty steps."""
        self._drawn: dict[str, list[tuple[bytes, Decision]]] = {}

    def add(self, decision: Decision) -> None:
        """The next decision."""
        self.counts[decision.reason, decision.kept] += 1
        if decision.reason != OTHER_POOL:
            self.bands[str(decision.detail.get("band", decision.changes.get("band", "unknown")))] += 1
        if not decision.kept:
            drawn = self._drawn.setdefault(decision.reason, [])
            drawn.append((drawing_order(self._seed, "examples", decision.id), decision))
            if len(drawn) > EXAMPLES_PER_REASON:
                drawn.remove(max(drawn, key=lambda one: one[0]))

    @property
    def dropped(self) -> int:
        return sum(count for (_, kept), count in self.counts.items() if not kept)

    def examples(self) -> dict[str, list[Decision]]:
        """Dropped rows by reason, the most frequent reason first."""
        ordered = sorted(self._drawn, key=lambda reason: (-self.counts[reason, False], reason))
        return {
            reason: [decision for _, decision in sorted(self._drawn[reason], key=lambda one: one[0])]
            for reason in ordered
        }


def step_summary(
    name: str, step: StepBase, before: int, tally: Tally, notes: Sequence[str], find: Callable[[str], PoolRow | None]
) -> StepSummary:
    """Numbers and examples of a step. before: all rows. find: a row by its id, as it was before the step."""
    ordered = sorted(tally.counts.items(), key=lambda item: (-item[1], item[0]))
    return StepSummary(
        name=name,
        kind=str(step.step),  # type: ignore[attr-defined]  # every kind has `step`
        before=before,
        after=before - tally.dropped,
        reasons=tuple((reason, kept, count) for (reason, kept), count in ordered if reason != OTHER_POOL),
        examples={
            reason: tuple(_example(decision, find) for decision in found) for reason, found in tally.examples().items()
        },
        skipped=step.skip,
        pools=step.pools,
        expected=step.expected,
        note=step.note,
        notes=tuple(notes),
    )


OTHER_POOL = "other_pool"
"""The reason of rows that a step confined to some pools does not look at."""


class Composition:
    """What a set is made of, counted row by row."""

    def __init__(self) -> None:
        self.words: Counter[int] = Counter()
        """Problems by bin of `LENGTH_EDGES`."""
        self.sources: Counter[str] = Counter()
        self.bands: Counter[str] = Counter()

    def add(self, row: PoolRow) -> None:
        """The next row."""
        self.words[_bin(len(row.problem.split()))] += 1
        self.sources[row.source] += 1
        self.bands[band_name(row)] += 1


def curation_report(
    spec: CurationSpec,
    pool_sizes: Sequence[int],
    pool: Composition,
    final: Composition,
    steps: Sequence[StepSummary],
    band_counts: Mapping[str, int],
    splits: Mapping[str, int],
    reading: Sequence[str] = (),
    sampling: Sequence[SamplingFacts] = (),
) -> CurationReport:
    """Put together. band_counts: rows by band at the difficulty steps."""
    return CurationReport(
        name=spec.name,
        description=spec.description,
        seed=spec.seed,
        pools=tuple(zip(spec.pools, pool_sizes, strict=True)),
        steps=tuple(steps),
        splits=splits,
        lengths=_lengths(pool, final),
        sources=_sources(pool, final),
        bands=_bands(spec, band_counts, final),
        reading=tuple(reading),
        sampling=tuple(sampling),
    )


def _example(decision: Decision, find: Callable[[str], PoolRow | None]) -> Example:
    row = find(decision.id)
    match = decision.detail.get("match")
    partner = find(match["id"]) if isinstance(match, Mapping) else None
    if row is None:
        raise ValueError(f"a step decided about the row {decision.id}, which there is not")
    return Example(decision.id, row.problem, row.answer, decision.detail, partner.problem if partner else "")


def _lengths(pool: Composition, final: Composition) -> Shares:
    ends = [*LENGTH_EDGES[1:], None]
    labels = tuple(
        f"{low}+" if high is None else f"{low}-{high - 1}" for low, high in zip(LENGTH_EDGES, ends, strict=True)
    )
    before, after = (tuple(one.words[at] for at in range(len(LENGTH_EDGES))) for one in (pool, final))
    return Shares(labels, before, after)


def _bin(words: int) -> int:
    return bisect_right(LENGTH_EDGES, words) - 1


def _sources(pool: Composition, final: Composition) -> Shares:
    before, after = pool.sources, final.sources
    labels = tuple(sorted(before, key=lambda name: (-before[name], name)))
    return Shares(labels, tuple(before[name] for name in labels), tuple(after[name] for name in labels))


def _bands(spec: CurationSpec, counted: Mapping[str, int], final: Composition) -> Shares:
    after = final.bands
    named = [band.name for step in spec.steps if isinstance(step, Difficulty) for band in step.bands]
    known = [
        name for name in dict.fromkeys([*named, *sorted(counted), *sorted(after)]) if counted.get(name, after[name])
    ]
    if not counted:
        return Shares((), (), ())
    return Shares(tuple(known), tuple(counted.get(name, 0) for name in known), tuple(after[name] for name in known))
