"""What k samples on each of n problems say about accuracy. Undefined is NaN, never a made-up number.

Samples of one problem are not independent, so intervals are clustered by problem (arXiv 2411.00640): what varies is
the problems' means. `benchmarks/interval_coverage.py` simulates how often the intervals hold the truth, for these and
for the usual alternatives; its record is why these were chosen, and says where no interval can hold 95 %.

Tests of a difference and its interval are in `paired_tests`, the planning of n and k in `power`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import comb, ndtri, stdtrit

LEVEL = 0.05
"""The chance of a false claim that is accepted; an interval holds what a test at this level does not reject."""
_PRIOR_PROBLEMS = 10.0
"""Outcomes that the spread between problems must be seen on to be believed: see benchmarks/interval_coverage.py."""

Correct = Sequence[Sequence[bool]]
"""For each of n problems, whether each of its k samples is correct."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval."""

    value: float
    ci_low: float
    ci_high: float


def avg_at_k(correct: Correct) -> Estimate:
    """Accuracy averaged over samples and problems (pass@1), in 0..1, with an interval clustered by problem."""
    return score_interval(problem_means(correct))


def pass_at_k(correct: Correct, k: int | None = None) -> Estimate:
    """The chance that at least one of k samples of a problem is correct, in 0..1 (Chen et al., arXiv 2107.03374).

    From m >= k samples of a problem, c of them correct: 1 - C(m - c, k) / C(m, k), which is unbiased.
    k: all samples of each problem if None. NaN where a problem has fewer than k samples. Raises ValueError if k < 1.
    """
    if k is not None and k < 1:
        raise ValueError(f"pass@k needs k of 1 or more, not {k}")
    chances = []
    for samples in correct:
        size = len(samples) if k is None else k
        total = comb(len(samples), size, exact=True)
        missed = comb(len(samples) - sum(samples), size, exact=True)
        chances.append(1 - missed / total if total and samples else math.nan)
    return score_interval(np.array(chances, dtype=np.float64))


def majority_at_k(answers: Sequence[Sequence[tuple[str | None, bool]]]) -> Estimate:
    """Accuracy of the most frequent answer among a problem's k samples (self-consistency, arXiv 2203.11171), in 0..1.

    answers: for each problem and sample, the name of the answer and whether it is correct; equal answers have one
    name, however they were written (`evaluation.answer_groups`). Correct answers count as one; a sample without an
    answer does not vote. Of m answers with equally many votes each is taken with chance 1/m. A problem where nobody
    votes is not correct.
    """
    return score_interval(np.array([_majority_share(samples) for samples in answers], dtype=np.float64))


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number a seed, of any unit, with Student's 95 % interval.

    Undefined (NaN) with fewer than two values, and where all are equal. With three seeds the interval reaches
    4.30 / sqrt(3) = 2.5 standard deviations to each side.
    """
    given = np.array(values, dtype=np.float64)
    mean = float(given.mean()) if len(given) else math.nan
    if len(given) < 2 or given.std() == 0:
        return Estimate(mean, math.nan, math.nan)
    margin = float(stdtrit(len(given) - 1, 0.975)) * float(given.std(ddof=1)) / math.sqrt(len(given))
    return Estimate(mean, mean - margin, mean + margin)


def problem_means(correct: Correct) -> np.ndarray:
    """Each problem's share of correct samples, float64 [n]; NaN for a problem without samples."""
    return np.array(
        [sum(samples) / len(samples) if len(samples) else math.nan for samples in correct], dtype=np.float64
    )


def problem_differences(before: Correct, after: Correct) -> np.ndarray:
    """Each problem's share after minus before, float64 [n]. Raises ValueError if the problems differ in number."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} problems cannot be paired with {len(after)}")
    differences: np.ndarray = problem_means(after) - problem_means(before)
    return differences


def score_interval(means: np.ndarray, level: float = LEVEL) -> Estimate:
    """The mean of n values in 0..1 with a score interval (Wilson 1927) for the effective number of problems.

    The variance of the values over that of right-or-wrong problems with the same mean is the variance ratio: 1 for one
    sample per problem, which gives Wilson's interval itself, less where samples average noise out. The quantile goes
    from the normal one (ratio 1: the mean fixes the variance) to Student's (ratio 0).

    How much problems differ is known from few outcomes only where accuracy is near 0 or 1: the rare problem that is
    unlike the others may not have been drawn. So the ratio is moved toward 1, the widest case, with weight
    c / (c + m^2), c = 10 and m = 4 n p (1 - p), which is all of it where all problems came out the same.
    """
    n = len(means)
    if n == 0 or np.isnan(means).any():
        return Estimate(math.nan, math.nan, math.nan)
    mean = float(means.mean())
    if n == 1:
        return Estimate(mean, math.nan, math.nan)
    binary_variance = mean * (1 - mean)
    variance = float(means.var())
    seen_ratio = variance / binary_variance if variance > 1e-24 else 1.0
    disbelief = _PRIOR_PROBLEMS / (_PRIOR_PROBLEMS + (4 * n * binary_variance) ** 2)
    ratio = seen_ratio + disbelief * (1 - seen_ratio)
    # The sample variance loses a degree of freedom only as far as it is estimated and not given by the mean.
    effective_n = n / (ratio * (1 + (1 - ratio) / (n - 1)))
    upper_tail = 1 - level / 2
    quantile = ratio * float(ndtri(upper_tail)) + (1 - ratio) * float(stdtrit(n - 1, upper_tail))
    return _wilson(mean, effective_n, quantile)


def wilson(share: float, n: int, level: float = LEVEL) -> Estimate:
    """A share of n, in 0..1, with Wilson's score interval (1927)."""
    return _wilson(share, n, float(ndtri(1 - level / 2)))


def _wilson(share: float, n: float, quantile: float) -> Estimate:
    doubt = quantile**2 / n
    center = (share + doubt / 2) / (1 + doubt)
    margin = math.sqrt(doubt) / (1 + doubt) * math.sqrt(share * (1 - share) + doubt / 4)
    return Estimate(share, max(0.0, center - margin), min(1.0, center + margin))


def _majority_share(samples: Sequence[tuple[str | None, bool]]) -> float:
    if not samples:
        return math.nan
    votes: dict[tuple[bool, str], int] = {}
    for answer, is_correct in samples:
        if is_correct or answer is not None:
            name = (is_correct, "" if is_correct else str(answer))
            votes[name] = votes.get(name, 0) + 1
    if not votes:
        return 0.0
    most = max(votes.values())
    leaders = [name for name, count in votes.items() if count == most]
    return 1 / len(leaders) if (True, "") in leaders else 0.0
