"""What a comparison does not say in one number: which problems changed, where, whether a loss can be ruled out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frugalrl.evaluation.comparing import Measured
from frugalrl.evaluation.records import SampleRecord
from frugalrl.evaluation.scores import GROUPED_BY
from frugalrl.statistics.intervals import Estimate
from frugalrl.statistics.paired_tests import Bounds, paired_within

_ONE_SIDED = 0.1
"""The level of the two-sided interval whose lower end is a one-sided bound at 5 %."""
_MOST_VALUES = 12


@dataclass(frozen=True)
class Changed:
    """A problem whose share of correct samples is another one with the second model."""

    problem_id: str
    first: float
    second: float


@dataclass(frozen=True)
class PartDifference:
    """The difference on the problems with one value in a column; 95 %, not corrected: it decides nothing."""

    column: str
    value: str
    problems: int
    difference: Estimate


@dataclass(frozen=True)
class NoWorse:
    """Whether the second model can be worse by more than a margin."""

    margin: float
    """In 0..1."""
    low: float
    """One-sided 95 % bound of the difference."""
    high: float

    @property
    def is_no_worse(self) -> bool:
        """A loss of more than the margin is ruled out."""
        return self.low > -self.margin

    @property
    def is_equivalent(self) -> bool:
        """A gain of more than the margin is ruled out, too."""
        return self.is_no_worse and self.high < self.margin


@dataclass(frozen=True)
class Detail:
    """Of one benchmark, the second model against the first."""

    benchmark: str
    better: tuple[Changed, ...]
    """The largest change first."""
    worse: tuple[Changed, ...]
    same: int
    parts: tuple[PartDifference, ...]
    no_worse: NoWorse | None


def detail(first: Measured, second: Measured, margin: float | None) -> Detail:
    """Over the problems that both hold; at least one. margin: of the question "no worse than", in 0..1."""
    shared = [name for name in first.samples if name in second.samples]
    pairs = [Changed(name, _share(first.samples[name]), _share(second.samples[name])) for name in shared]
    changed = sorted(pairs, key=lambda one: one.first - one.second)
    return Detail(
        benchmark=first.benchmark,
        better=tuple(one for one in changed if one.second > one.first),
        worse=tuple(one for one in reversed(changed) if one.second < one.first),
        same=sum(one.second == one.first for one in changed),
        parts=tuple(_parts(first, second, shared)),
        no_worse=None if margin is None else _no_worse(first, second, shared, margin),
    )


def _share(samples: Sequence[SampleRecord]) -> float:
    return sum(one.is_correct for one in samples) / len(samples)


def _no_worse(first: Measured, second: Measured, shared: Sequence[str], margin: float) -> NoWorse:
    interval = paired_within(_bounds(first, shared), _bounds(second, shared), _ONE_SIDED).estimate
    return NoWorse(margin, interval.ci_low, interval.ci_high)


def _parts(first: Measured, second: Measured, shared: Sequence[str]) -> list[PartDifference]:
    known = {**second.problems, **first.problems}
    found = []
    for column in GROUPED_BY:
        members: dict[str, list[str]] = {}
        for name in shared:
            columns: Mapping[str, object] = known[name].columns if name in known else {}
            value = columns.get(column)
            if isinstance(value, str | int) and not isinstance(value, bool):
                members.setdefault(str(value), []).append(name)
        if 1 < len(members) <= _MOST_VALUES:
            for value, names in sorted(members.items()):
                if len(names) > 1:
                    estimate = paired_within(_bounds(first, names), _bounds(second, names)).estimate
                    found.append(PartDifference(column, value, len(names), estimate))
    return found


def _bounds(measured: Measured, names: Sequence[str]) -> Bounds:
    samples = [measured.samples[name] for name in names]
    sure = [[one.is_correct for one in own] for own in samples]
    return sure, [[one.verdict != "incorrect" for one in own] for own in samples]
