"""How small a difference n problems and k samples can show, and how many would be needed.

The difference of two models on a problem varies for two reasons: the problems differ in what training did to them
(`between`, which only more problems average out), and k samples are few (`within`, which more samples average out,
too). Power is that of the paired t-test, by the noncentral t distribution; 80 % at the 5 % level, two-sided, is what
studies are planned with (Cohen 1988).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, stdtrit

from frugalrl.statistics.intervals import Correct, problem_differences

POWER = 0.8
_LEVEL = 0.05
_MOST_PROBLEMS = 10**7


@dataclass(frozen=True)
class Noise:
    """Where the variance of a problem's difference comes from."""

    between: float
    """Variance over problems of the true difference."""
    within: float
    """Variance of one sample around its problem's accuracy, both models' added up, averaged over problems."""

    def of_a_problem(self, k: int) -> float:
        """Variance of a problem's difference from k samples of each model."""
        return self.between + self.within / k


def noise_of(before: Correct, after: Correct) -> Noise:
    """Both variances as two evaluations of the same problems show them.

    With one sample a problem they cannot be told apart: all of it then counts as `between`, so that what is promised
    of more samples is nothing rather than too much. NaN with fewer than two problems.
    """
    differences = problem_differences(before, after)
    if len(differences) < 2:
        return Noise(math.nan, math.nan)
    total = float(differences.var(ddof=1))
    if any(len(samples) < 2 for samples in (*before, *after)):
        return Noise(total, 0.0)
    drawn = sum(_mean([_sample_variance(samples) / len(samples) for samples in side]) for side in (before, after))
    within = sum(_mean([_sample_variance(samples) for samples in side]) for side in (before, after))
    return Noise(max(0.0, total - drawn), within)


def planned_noise(accuracy: float) -> Noise:
    """What to expect before anything is measured: gains alike on all problems, problems alike in difficulty.

    Problems that differ in difficulty have less sampling noise, gains that differ add some of their own.
    """
    return Noise(0.0, 2 * accuracy * (1 - accuracy))


def noise_seen_from(base: Correct) -> Noise:
    """What to expect of a comparison with a base that is measured: as noisy again, gains alike on all problems.

    NaN where a problem has fewer than two samples.
    """
    if not base or any(len(samples) < 2 for samples in base):
        return Noise(math.nan, math.nan)
    return Noise(0.0, 2 * _mean([_sample_variance(samples) for samples in base]))


def smallest_detectable_effect(noise: Noise, n: int, k: int) -> float:
    """The true difference, in 0..1, that a comparison on n problems with k samples detects with 80 % power.

    NaN with fewer than two problems or unknown noise.
    """
    variance = noise.of_a_problem(k)
    if n < 2 or math.isnan(variance):
        return math.nan
    critical = float(stdtrit(n - 1, 1 - _LEVEL / 2))
    return float(nctdtrinc(n - 1, 1 - POWER, critical)) * math.sqrt(variance / n)


def problems_needed(noise: Noise, effect: float, k: int) -> float:
    """The fewest problems on which k samples find a true difference of this size; inf above ten million, NaN if
    the noise is unknown.
    """
    if math.isnan(noise.of_a_problem(k)):
        return math.nan
    low, high = 1, 2
    while smallest_detectable_effect(noise, high, k) > abs(effect):
        low, high = high, 2 * high
        if high > _MOST_PROBLEMS:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        if smallest_detectable_effect(noise, middle, k) > abs(effect):
            low = middle
        else:
            high = middle
    return float(high)


def samples_needed(noise: Noise, effect: float, n: int) -> float:
    """The fewest samples of each problem that find a true difference of this size on n problems.

    inf where no number of samples does (the problems differ too much in their gain), NaN if the noise is unknown.
    """
    unit = smallest_detectable_effect(Noise(1.0, 0.0), n, 1)
    allowed = (effect / unit) ** 2 - noise.between
    if math.isnan(allowed) or math.isnan(noise.within):
        return math.nan
    return max(1.0, math.ceil(noise.within / allowed)) if allowed > 0 else math.inf


def _sample_variance(samples: Sequence[bool]) -> float:
    """Of one sample, unbiased."""
    return float(np.var(np.asarray(samples, dtype=np.float64), ddof=1))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
