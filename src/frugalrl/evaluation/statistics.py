"""What k samples on each of n problems say about accuracy. Undefined is NaN, never a made-up number.

Samples of one problem are not independent, so intervals are clustered by problem (arXiv 2411.00640): the
standard error is that of the problems' means. 95 % by Student's t with n - 1 degrees of freedom.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

Correct = Sequence[Sequence[bool]]
"""For each of n problems, whether each of its k samples is correct; the same k for all."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval."""

    value: float
    ci_low: float
    ci_high: float


def avg_at_k(correct: Correct) -> Estimate:
    """Accuracy averaged over samples and problems (pass@1), in 0..1, with an interval clustered by problem.

    Where every problem came out the same (all right, all wrong) the spread says nothing; the interval is then
    Wilson's, with each problem counted once.
    """
    means = _problem_means(correct)
    if len(means) > 1 and means.std() == 0:
        return wilson(float(means[0]), len(means))
    return _mean_with_interval(means, low=0.0, high=1.0)


def paired_difference(before: Correct, after: Correct) -> Estimate:
    """avg@k of `after` minus that of `before` on the same problems in the same order, in -1..1.

    Pairing takes out how hard each problem is. Without any difference between differences the interval is
    undefined (NaN). Raises ValueError if the problems differ in number.
    """
    first, second = _problem_means(before), _problem_means(after)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} problems cannot be paired with {len(second)}")
    return _mean_with_interval(second - first, low=-1.0, high=1.0)


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number a seed, of any unit, with Student's 95 % interval (NaN with fewer than two values).

    With three seeds the interval reaches 4.30 / sqrt(3) = 2.5 standard deviations to each side.
    """
    return _mean_with_interval(np.array(values, dtype=np.float64), low=-math.inf, high=math.inf)


def pass_at_k(correct: Correct) -> float:
    """The share of problems with at least one correct sample among all k."""
    return float(np.mean([any(samples) for samples in correct])) if len(correct) else math.nan


def _problem_means(correct: Correct) -> np.ndarray:
    return np.array([np.mean(samples) if len(samples) else math.nan for samples in correct], dtype=np.float64)


def _mean_with_interval(values: np.ndarray, low: float, high: float) -> Estimate:
    n = len(values)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, math.nan, math.nan)
    if values.std() == 0:
        return Estimate(mean, math.nan, math.nan)
    margin = float(stdtrit(n - 1, 0.975)) * float(values.std(ddof=1)) / math.sqrt(n)
    return Estimate(mean, max(low, mean - margin), min(high, mean + margin))


def wilson(share: float, n: int) -> Estimate:
    """A share of n, in 0..1, with Wilson's score interval (1927)."""
    z = float(ndtri(0.975))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Estimate(share, max(0.0, centre - margin), min(1.0, centre + margin))
