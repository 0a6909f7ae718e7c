"""Two models on the same problems: the paired difference, and whether it can be told.

Decisions:
- Better and worse are said where the permutation test stays below 5 % after Holm's correction for all benchmarks of
  the comparison; otherwise "inconclusive", with what would be needed.
- Problems are paired by id. An unknown verdict counts as not correct.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from frugalrl.errors import DataError
from frugalrl.evaluation.records import SampleRecord
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k, majority_at_k, pass_at_k
from frugalrl.statistics.paired_tests import LEVEL, Difference, holm, paired
from frugalrl.statistics.power import noise_of, problems_needed, samples_needed, smallest_detectable_effect

Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class Measured:
    """One model on one benchmark."""

    benchmark: str
    samples: Mapping[str, Sequence[SampleRecord]]
    """By problem id; each problem has at least one."""
    data_hash: str
    """Of problems, golds and policies: what has the same hash is the same benchmark."""
    conditions: Mapping[str, str]
    """How it was asked and judged, by the name of each setting in the results file's header."""


@dataclass(frozen=True)
class Side:
    """One model's numbers on the problems that are compared."""

    accuracy: Estimate
    k: int
    """Samples of a problem: the fewest of any."""
    pass_at_k: float
    majority_at_k: float
    truncated_fraction: float
    unknown: int
    """Samples without a verdict, which count as not correct."""
    mean_tokens: float


@dataclass(frozen=True)
class Comparison:
    """Two models on one benchmark, the second against the first."""

    benchmark: str
    n: int
    first: Side
    second: Side
    difference: Difference
    adjusted_p_value: float
    verdict: Verdict
    smallest_effect: float
    """What these n and k detect with 80 % power, in 0..1; NaN with one problem."""
    problems_needed: float
    """To find a difference as small as the one seen, at this k; inf for none."""
    samples_needed: float
    """The same on these problems; inf where no number of samples would do."""
    notes: tuple[str, ...]


def compare(first: Mapping[str, Measured], second: Mapping[str, Measured]) -> list[Comparison]:
    """All benchmarks that both were measured on, in the first one's order.

    Raises DataError if there is none, or where the problems are not the same.
    """
    shared = [name for name in first if name in second]
    if not shared:
        raise DataError(
            f"Nothing was measured on both: {_listed(first)} against {_listed(second)}. "
            "Evaluate both models on the same benchmark."
        )
    pairs = {name: _common(first[name], second[name]) for name in shared}
    differences = [paired(_correct(a), _correct(b)) for a, b in pairs.values()]
    adjusted = holm([one.p_value for one in differences])
    return [
        _comparison(first[name], second[name], pairs[name], difference, p_value)
        for name, difference, p_value in zip(shared, differences, adjusted, strict=True)
    ]


_Samples = list[Sequence[SampleRecord]]


def _common(first: Measured, second: Measured) -> tuple[_Samples, _Samples]:
    """The samples of the problems that both hold, paired."""
    if first.data_hash != second.data_hash:
        raise DataError(
            f"{first.benchmark} was measured on other problems or golds ({first.data_hash} and {second.data_hash}). "
            "Evaluate both models on the same data."
        )
    shared = [name for name in first.samples if name in second.samples]
    if not shared:
        raise DataError(
            f"{first.benchmark}: the two hold {len(first.samples)} and {len(second.samples)} problems, "
            f"{len(shared)} of them in both. Evaluate both models on the same problems."
        )
    return [first.samples[name] for name in shared], [second.samples[name] for name in shared]


def _comparison(
    first: Measured, second: Measured, pair: tuple[_Samples, _Samples], difference: Difference, adjusted: float
) -> Comparison:
    a, b = pair
    sides = _side(a), _side(b)
    k = min(side.k for side in sides)
    noise = noise_of(_correct(a), _correct(b))
    seen = difference.estimate.value
    return Comparison(
        benchmark=first.benchmark,
        n=len(a),
        first=sides[0],
        second=sides[1],
        difference=difference,
        adjusted_p_value=adjusted,
        verdict="inconclusive" if not adjusted < LEVEL else "better" if seen > 0 else "worse",
        smallest_effect=smallest_detectable_effect(noise, len(a), k),
        problems_needed=problems_needed(noise, seen, k) if seen else math.inf,
        samples_needed=samples_needed(noise, seen, len(a)) if seen and len(a) > 1 else math.inf,
        notes=tuple(_notes(first, second, len(a), sides)),
    )


def _side(samples: _Samples) -> Side:
    correct, k = _correct(samples), min(map(len, samples))
    flat = [sample for own in samples for sample in own]
    return Side(
        accuracy=avg_at_k(correct),
        k=k,
        pass_at_k=pass_at_k(correct, k).value,
        majority_at_k=majority_at_k([[(one.extracted, one.is_correct) for one in own[:k]] for own in samples]).value,
        truncated_fraction=sum(one.is_truncated for one in flat) / len(flat),
        unknown=sum(one.verdict == "unknown" for one in flat),
        mean_tokens=sum(one.tokens for one in flat) / len(flat),
    )


def _correct(samples: _Samples) -> Correct:
    return [[one.is_correct for one in own] for own in samples]


def _notes(first: Measured, second: Measured, n: int, sides: tuple[Side, Side]) -> list[str]:
    notes = []
    if n < max(len(first.samples), len(second.samples)):
        notes.append(f"only the {n} problems that both hold ({len(first.samples)} and {len(second.samples)})")
    if sides[0].k != sides[1].k:
        notes.append(f"k is {sides[0].k} and {sides[1].k}")
    notes += [
        f"{name} is {first.conditions[name]} and {second.conditions[name]}"
        for name in first.conditions
        if name in second.conditions and first.conditions[name] != second.conditions[name]
    ]
    return notes


def _listed(measured: Mapping[str, Measured]) -> str:
    return ", ".join(measured) or "nothing"
