"""Is a difference more than chance? The paired permutation test, and Holm's correction for asking several times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from frugalrl.statistics.intervals import Correct, Estimate, paired_difference

LEVEL = 0.05
"""The chance of a false claim that is accepted."""


@dataclass(frozen=True)
class Difference:
    """How far one model is from another, and what speaks for chance."""

    estimate: Estimate
    """avg@k of the second minus that of the first, in -1..1."""
    p_value: float
    """Two-sided, of no difference; not corrected."""


def paired(before: Correct, after: Correct) -> Difference:
    """Two evaluations of the same problems in the same order. Raises ValueError if they cannot be paired."""
    return Difference(paired_difference(before, after), permutation_p_value(before, after))


def unpaired(before: float, after: float, n: int) -> Difference:
    """Two shares of n problems of which nothing else is known, as published tables give them: the normal
    approximation for independent proportions, pooled for the test (e.g. Fleiss 1981).
    """
    difference, pooled = after - before, (before + after) / 2
    apart = math.sqrt((before * (1 - before) + after * (1 - after)) / n)
    together = math.sqrt(2 * pooled * (1 - pooled) / n)
    margin = float(ndtri(1 - LEVEL / 2)) * apart
    p_value = 2 * float(ndtr(-abs(difference) / together)) if together > 0 else 1.0
    return Difference(Estimate(difference, difference - margin, difference + margin), p_value)


def permutation_p_value(before: Correct, after: Correct) -> float:
    """Two-sided p-value of the paired sign-flip permutation test on the problems' differences; exact.

    If training changed nothing, each problem's difference could as well have the other sign. The p-value is the share
    of all 2^n assignments of signs whose mean is at least as far from 0 as the one seen. Differences are multiples of
    one fraction, so their sums are counted by convolution instead of sampled. 1.0 if no problem differs; NaN without
    problems. Raises ValueError if the problems differ in number, or one has no sample.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} problems cannot be paired with {len(after)}")
    if not before:
        return math.nan
    if not all(map(len, (*before, *after))):
        raise ValueError("a problem has no sample")
    unit = math.lcm(*{len(samples) for samples in (*before, *after)})
    steps = [
        sum(new) * (unit // len(new)) - sum(old) * (unit // len(old)) for old, new in zip(before, after, strict=True)
    ]
    common = math.gcd(*steps) or 1
    seen, sizes = abs(sum(steps)) // common, [abs(step) // common for step in steps if step]
    reach = sum(sizes)
    # chance[s + reach]: that the signed sum is s.
    chance = np.zeros(2 * reach + 1)
    chance[reach] = 1.0
    for size in sizes:
        chance = (np.roll(chance, size) + np.roll(chance, -size)) / 2
    sums = np.abs(np.arange(-reach, reach + 1))
    return min(1.0, float(chance[sums >= seen].sum()))


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
