"""Is a difference more than chance? The paired permutation test with its interval, and Holm's correction.

Decisions:
- The exact permutation test decides. The interval follows it: it holds 0 where the test does not reject, and does not
  where it does, so that the two never say different things.
- Elsewhere the interval is as wide as the wider of two: Student's t over the problems' differences, which is what the
  test amounts to for many problems, and the score intervals of both models put together (Zou & Donner 2008, Newcombe
  1998), which know that a rare problem with a large difference may not have been drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from frugalrl.statistics.intervals import LEVEL, Correct, Estimate, problem_means, score_interval
from frugalrl.statistics.sign_flips import sign_flip_p_value

Verdict = Literal["better", "worse", "inconclusive"]


@dataclass(frozen=True)
class Difference:
    """How far one model is from another, and what speaks for chance."""

    estimate: Estimate
    """avg@k of the second minus that of the first, in -1..1; the interval holds 0 just where p is not below `level`."""
    p_value: float
    """Two-sided, of no difference; not corrected."""
    level: float = LEVEL
    """Of test and interval: 0.05 for a 95 % interval, less where several questions are asked."""

    @property
    def verdict(self) -> Verdict:
        """Of the second against the first."""
        return verdict_of(self.estimate.value, self.p_value, self.level)


def verdict_of(difference: float, p_value: float, level: float = LEVEL) -> Verdict:
    """The one rule: inconclusive unless the p-value is below the level, and then as the difference's sign says."""
    if not p_value < level:
        return "inconclusive"
    return "better" if difference > 0 else "worse"


def paired(before: Correct, after: Correct, level: float = LEVEL) -> Difference:
    """Two evaluations of the same problems in the same order, `after` minus `before`.

    The interval is undefined (NaN) with one problem. Raises ValueError if the problems differ in number, or one has no
    sample.
    """
    differences = _differences(before, after)
    p_value = sign_flip_p_value(differences)
    estimate = _interval(problem_means(before), problem_means(after), level)
    return Difference(_agreeing(estimate, np.array(differences, dtype=np.float64), p_value, level), p_value, level)


Bounds = tuple[Correct, Correct]
"""What is known to be correct, and what would be if every unknown verdict were a right answer."""


def paired_within(before: Bounds, after: Bounds, level: float = LEVEL) -> Difference:
    """The same where verdicts are unknown: what holds whatever they are (Manski 1990).

    The difference is that of what is known to be correct. The interval spans those of all extremes, and the p-value is
    the largest of theirs, or 1 where they lie on both sides of 0.
    """
    counted = paired(before[0], after[0], level)
    if before[0] == before[1] and after[0] == after[1]:
        return counted
    extremes = (paired(before[1], after[0], level), counted, paired(before[0], after[1], level))
    estimates = [one.estimate for one in extremes]
    is_one_sided = min(one.value for one in estimates) > 0 or max(one.value for one in estimates) < 0
    low, high = min(one.ci_low for one in estimates), max(one.ci_high for one in estimates)
    p_value = max(one.p_value for one in extremes) if is_one_sided else 1.0
    return Difference(Estimate(counted.estimate.value, low, high), p_value, level)


def permutation_p_value(before: Correct, after: Correct) -> float:
    """Two-sided p-value of the paired sign-flip permutation test on the problems' differences; exact.

    1.0 if no problem differs; NaN without problems. Raises as `paired` does.
    """
    return sign_flip_p_value(_differences(before, after))


def unpaired(before: float, after: float, n: int, level: float = LEVEL) -> Difference:
    """Two shares of n problems of which nothing else is known, as published tables give them: the normal
    approximation for independent proportions, pooled (e.g. Fleiss 1981), for test and interval.
    """
    difference, pooled = after - before, (before + after) / 2
    together = math.sqrt(2 * pooled * (1 - pooled) / n)
    margin = float(ndtri(1 - level / 2)) * together
    p_value = 2 * float(ndtr(-abs(difference) / together)) if together > 0 else 1.0
    return Difference(Estimate(difference, difference - margin, difference + margin), p_value, level)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979): the chance of any false claim among all stays below 5 %
    if those below 0.05 are claimed. A NaN stays NaN and counts as no question asked.
    """
    asked = sorted((value, index) for index, value in enumerate(p_values) if not math.isnan(value))
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, (value, index) in enumerate(asked):
        highest = max(highest, min(1.0, (len(asked) - rank) * value))
        adjusted[index] = highest
    return adjusted


def holm_levels(p_values: Sequence[float], level: float = LEVEL) -> list[float]:
    """The level at which Holm's procedure tests each, in the order given: an uncorrected p-value is below its level
    just where the adjusted one is below `level`. Once one is not, all larger ones are tested as that one was.
    """
    asked = sorted((value, index) for index, value in enumerate(p_values) if not math.isnan(value))
    levels, rank = [level] * len(p_values), 0
    for value, index in asked:
        levels[index] = level / (len(asked) - rank)
        if value < levels[index]:
            rank += 1
    return levels


def _differences(before: Correct, after: Correct) -> list[Fraction]:
    if len(before) != len(after):
        raise ValueError(f"{len(before)} problems cannot be paired with {len(after)}")
    if not all(map(len, (*before, *after))):
        raise ValueError("a problem has no sample")
    return [Fraction(sum(new), len(new)) - Fraction(sum(old), len(old)) for old, new in zip(before, after, strict=True)]


def _interval(before: np.ndarray, after: np.ndarray, level: float) -> Estimate:
    """The wider of Student's interval and the score intervals put together, to each side."""
    n = len(before)
    if n < 2:
        return Estimate(float((after - before).mean()) if n else math.nan, math.nan, math.nan)
    differences = after - before
    mean = float(differences.mean())
    margin = float(stdtrit(n - 1, 1 - level / 2)) * float(differences.std(ddof=1)) / math.sqrt(n)
    first, second = score_interval(before, level), score_interval(after, level)
    spread = float(before.std() * after.std())
    correlation = float(np.mean((before - before.mean()) * (after - after.mean()))) / spread if spread > 1e-12 else 0.0
    down = _together(second.value - second.ci_low, first.ci_high - first.value, correlation)
    up = _together(second.ci_high - second.value, first.value - first.ci_low, correlation)
    return Estimate(mean, max(-1.0, mean - max(margin, down)), min(1.0, mean + max(margin, up)))


def _together(one: float, other: float, correlation: float) -> float:
    """How far a difference of two correlated estimates may be off if each is off by so much."""
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))


def _agreeing(estimate: Estimate, differences: np.ndarray, p_value: float, level: float) -> Estimate:
    """The interval with 0 in it just where the test does not reject 0."""
    value, low, high = estimate.value, estimate.ci_low, estimate.ci_high
    if math.isnan(low):
        return estimate
    if not p_value < level:
        return Estimate(value, min(low, 0.0), max(high, 0.0))
    near = low if value > 0 else -high
    if near <= 0:
        student = float(stdtrit(len(differences) - 1, 1 - level / 2)) * float(differences.std(ddof=1))
        near = abs(value) - student / math.sqrt(len(differences))
    if near <= 0:
        near = _smallest_not_rejected(differences if value > 0 else -differences, level)
    return Estimate(value, near, high) if value > 0 else Estimate(value, low, -near)


def _smallest_not_rejected(differences: np.ndarray, level: float) -> float:
    """The smallest shift above 0 that the test does not reject, where it rejects 0 and the mean is above it."""
    low, high = 0.0, float(differences.mean())
    for _ in range(20):
        middle = (low + high) / 2
        if sign_flip_p_value(differences - middle) < level:
            low = middle
        else:
            high = middle
    return high
