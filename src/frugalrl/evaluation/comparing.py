"""Two models on the same problems: the paired difference, and whether it can be told.

Decisions:
- One rule: better and worse are said where the permutation test is below its level, 5 % corrected by Holm's procedure
  for all benchmarks of the comparison; the interval is of the same level, so that it holds 0 just where the verdict is
  inconclusive.
- Problems are paired by id. An unknown verdict counts as not correct in an accuracy; the interval and the test of the
  difference allow for any answer to it.
- Two evaluations are of one thing if problems, golds, policies and prompt are the same; others are refused (another
  prompt may be asked for). Every other setting that differs is listed: it may be part of the difference.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from frugalrl.errors import DataError
from frugalrl.evaluation.answer_groups import votes
from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.scores import are_copies
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k, majority_at_k, pass_at_k
from frugalrl.statistics.paired_tests import Bounds, Difference, Verdict, holm, holm_levels, paired_within
from frugalrl.statistics.power import (
    minimum_detectable_effect,
    noise_of,
    problems_needed,
    samples_needed,
    seen_in_both,
    students_effect,
)

PROMPT = "prompt_hash"


@dataclass(frozen=True)
class Measured:
    """One model on one benchmark."""

    benchmark: str
    samples: Mapping[str, Sequence[SampleRecord]]
    """By problem id; each problem has at least one."""
    data_hash: str
    """Of problems, golds and policies: what has the same hash is the same benchmark."""
    model_hash: str
    """Of the weights."""
    conditions: Mapping[str, str]
    """How it was asked, judged and computed, by the name of each setting that the results file stores."""
    problems: Mapping[str, ProblemRecord] = field(default_factory=dict)
    """By id, where the file holds them."""
    file: str = ""
    """The results file."""


@dataclass(frozen=True)
class Side:
    """One model's numbers on the problems that are compared."""

    accuracy: Estimate
    k: int
    """Samples of a problem: the fewest of any."""
    are_copies: bool
    """Whether each problem's samples are k times the same text, as greedy sampling gives them."""
    pass_at_k: float
    majority_at_k: float
    truncated_fraction: float
    unknown: int
    """Samples without a verdict."""
    samples: int
    mean_tokens: float


@dataclass(frozen=True)
class Span:
    """Between what the difference would lie, in -1..1, if some samples might as well have been correct."""

    low: float
    """All of the first model's correct, none of the second's."""
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two models on one benchmark, the second against the first."""

    benchmark: str
    n: int
    first: Side
    second: Side
    difference: Difference
    """Its level is that of the benchmark's step in Holm's procedure."""
    adjusted_p_value: float
    if_unknown: Span
    """With unknown verdicts either way."""
    if_truncated: Span
    """With truncated samples that are not correct either way."""
    minimum_detectable_effect: float
    """What these n and k detect with 80 % power, in 0..1; inf for nothing, NaN with one problem."""
    problems_needed: float
    """To detect a difference as small as the one seen, at this k; inf for none."""
    samples_needed: float
    """The same on these problems; inf where no number of samples would do."""
    same_weights: bool
    unlike: tuple[str, ...]
    """Each stored setting that differs, with both values."""
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        return self.difference.verdict


def compare(
    first: Mapping[str, Measured], second: Mapping[str, Measured], allow_other_prompt: bool = False
) -> list[Comparison]:
    """All benchmarks that both were measured on, in the first one's order.

    Raises DataError if there is none, or where problems or prompts are not the same.
    """
    return compare_many(first, [second], allow_other_prompt)[0]


def compare_many(
    first: Mapping[str, Measured],
    others: Sequence[Mapping[str, Measured]],
    allow_other_prompt: bool = False,
    looks: int = 1,
) -> list[list[Comparison]]:
    """Each of the other models against the first, corrected for all models and benchmarks together.

    looks: so many times the same question is going to be asked as samples come in; each look gets its share of the
    5 %, so that all of them together keep it. Raises DataError as `compare` does.
    """
    cells = []
    for at, second in enumerate(others):
        shared = [name for name in first if name in second]
        if not shared:
            raise DataError(
                f"Nothing was measured on both: {_listed(first)} against {_listed(second)}. "
                "Evaluate both models on the same benchmark."
            )
        cells += [(at, name, _common(first[name], second[name], allow_other_prompt)) for name in shared]
    bounds = [(_bounds(a), _bounds(b)) for _, _, (a, b) in cells]
    p_values = [min(1.0, looks * paired_within(a, b).p_value) for a, b in bounds]
    levels = [level / looks for level in holm_levels(p_values)]
    found: list[list[Comparison]] = [[] for _ in others]
    for (at, name, pair), (a, b), level, adjusted in zip(cells, bounds, levels, holm(p_values), strict=True):
        found[at].append(_comparison(first[name], others[at][name], pair, paired_within(a, b, level), adjusted))
    return found


_Samples = list[Sequence[SampleRecord]]


def _common(first: Measured, second: Measured, allow_other_prompt: bool) -> tuple[_Samples, _Samples]:
    """The samples of the problems that both hold, paired."""
    if first.data_hash != second.data_hash:
        raise DataError(
            f"{first.benchmark} was measured on other problems or golds ({first.data_hash} and {second.data_hash}). "
            "Evaluate both models on the same data."
        )
    prompts = first.conditions.get(PROMPT), second.conditions.get(PROMPT)
    if prompts[0] != prompts[1] and not allow_other_prompt:
        raise DataError(
            f"{first.benchmark} was asked with another prompt or chat template ({prompts[0]} and {prompts[1]}), which "
            "can move an accuracy by more than training does. Evaluate both models with one prompt, or compare models "
            "with their prompts by --other-prompt."
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
    correct = [
        _correct([own[:1] for own in one] if side.are_copies else one) for one, side in zip(pair, sides, strict=True)
    ]
    k = min(min(map(len, one)) for one in correct)
    seen, level, n = difference.estimate.value, difference.level, len(a)
    rng = np.random.default_rng(0)
    effect = minimum_detectable_effect(seen_in_both(*correct), k, rng, level, -1 if seen < 0 else 1)
    noise = noise_of(*correct)
    # Student's formula promises too much of few problems: by as much as it does here, it is corrected elsewhere.
    formula = students_effect(noise, n, k, level)
    scale = max(1.0, effect / formula) if math.isfinite(effect) and formula > 0 else 1.0
    return Comparison(
        benchmark=first.benchmark,
        n=n,
        first=sides[0],
        second=sides[1],
        difference=difference,
        adjusted_p_value=adjusted,
        if_unknown=_span(a, b, lambda one: one.verdict == "unknown"),
        if_truncated=_span(a, b, lambda one: one.is_truncated and not one.is_correct),
        minimum_detectable_effect=effect if n > 1 else math.nan,
        problems_needed=problems_needed(noise, seen / scale, k, level) if seen else math.inf,
        samples_needed=samples_needed(noise, seen / scale, n, level) if seen and n > 1 else math.inf,
        same_weights=first.model_hash == second.model_hash,
        unlike=tuple(_unlike(first, second)),
        notes=tuple(_notes(first, second, n, sides)),
    )


def _side(samples: _Samples) -> Side:
    correct, k = _correct(samples), min(map(len, samples))
    flat = [sample for own in samples for sample in own]
    return Side(
        accuracy=avg_at_k(correct),
        k=k,
        are_copies=are_copies(samples),
        pass_at_k=pass_at_k(correct, k).value,
        majority_at_k=majority_at_k([votes(own[:k]) for own in samples]).value,
        truncated_fraction=sum(one.is_truncated for one in flat) / len(flat),
        unknown=sum(one.verdict == "unknown" for one in flat),
        samples=len(flat),
        mean_tokens=sum(one.tokens for one in flat) / len(flat),
    )


def _correct(samples: _Samples) -> Correct:
    return [[one.is_correct for one in own] for own in samples]


def _bounds(samples: _Samples) -> Bounds:
    return _correct(samples), [[one.verdict != "incorrect" for one in own] for own in samples]


def _span(first: _Samples, second: _Samples, is_open: Callable[[SampleRecord], bool]) -> Span:
    """What the difference might be if the open samples of either side had been correct."""
    ends = []
    for a_open, b_open in ((True, False), (False, True)):
        a, b = (
            float(np.mean([np.mean([one.is_correct or (counts and is_open(one)) for one in own]) for own in side]))
            for side, counts in ((first, a_open), (second, b_open))
        )
        ends.append(b - a)
    return Span(*ends)


def _unlike(first: Measured, second: Measured) -> list[str]:
    """Settings that only one of the two has are settings that differ."""
    names = [*first.conditions, *(name for name in second.conditions if name not in first.conditions)]
    pairs = [
        (name, first.conditions.get(name, "not known"), second.conditions.get(name, "not known")) for name in names
    ]
    return [f"{name} {one} / {other}" for name, one, other in pairs if one != other]


def _notes(first: Measured, second: Measured, n: int, sides: tuple[Side, Side]) -> list[str]:
    notes = []
    if n < max(len(first.samples), len(second.samples)):
        notes.append(f"only the {n} problems that both hold ({len(first.samples)} and {len(second.samples)})")
    if sides[0].k != sides[1].k:
        notes.append(f"k is {sides[0].k} and {sides[1].k}")
    copied = [name for name, side in zip("AB", sides, strict=True) if side.are_copies]
    if copied:
        notes.append(f"the samples of a problem are copies of one another in {' and '.join(copied)}: they count as one")
    return notes


def _listed(measured: Mapping[str, Measured]) -> str:
    return ", ".join(measured) or "nothing"
