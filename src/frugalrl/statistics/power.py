"""How small a difference n problems and k samples can show, and how many would be needed.

The minimum detectable effect is computed for the test that decides: comparisons are simulated, each is put to the
paired permutation test at its level, and the smallest true difference that is found in 80 % of them is sought (80 % is
what studies are planned with, Cohen 1988). Randomness is an argument.

How many problems or samples a smaller difference would take is read from the paired t-test's power (noncentral t),
scaled to agree with the simulation at the present n and k. The difference of two models on a problem varies for two
reasons: the problems differ in what training did to them (`between`, which only more problems average out), and k
samples are few (`within`, which more samples average out, too).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, ndtr, stdtrit

from frugalrl.statistics.intervals import LEVEL, Correct, problem_differences, problem_means
from frugalrl.statistics.sign_flips import tail_chances

POWER = 0.8
_MOST_PROBLEMS = 10**7
_RUNS, _FEWEST_RUNS, _DRAWS = 1000, 300, 400_000
"""Simulated comparisons: so many that their problems are about 400,000 in all."""
_MANY = 200
"""Problems that differ from which on the permutation test is Student's to the third digit."""
_MOST_SAMPLES = 1024
"""Of a problem, that are simulated: with more the answer is that of so many, a few tenths of a point too large."""
_RESOLUTION = 0.001


@dataclass(frozen=True)
class Population:
    """What is assumed of n problems: the first model's chance on each, and how the second's change differs."""

    chances: np.ndarray
    """float64 [n], in 0..1."""
    changes: np.ndarray
    """float64 [n]: the second's change on each problem less the mean change."""


def alike(accuracy: float, n: int) -> Population:
    """What to assume before anything is measured: problems alike in difficulty, changes alike on all of them.

    Problems that differ in difficulty have less sampling noise, changes that differ add some of their own.
    """
    return Population(np.full(n, accuracy), np.zeros(n))


def seen_in(base: Correct) -> Population:
    """As difficult as one evaluation shows, changes alike. With one sample of a problem, all are taken as alike."""
    means = problem_means(base)
    if len(means) < 2 or min(map(len, base)) < 2:
        return alike(float(means.mean()) if len(means) else math.nan, len(means))
    drawn = _mean([_sample_variance(samples) / len(samples) for samples in base])
    return Population(_shrunk(means, float(means.var(ddof=1)) - drawn), np.zeros(len(means)))


def seen_in_both(before: Correct, after: Correct) -> Population:
    """As difficult, and with changes as different, as two evaluations show.

    What the two have in common over problems is difficulty. With one sample of a problem, different changes cannot be
    told from noise, and are taken as alike.
    """
    first, second = problem_means(before), problem_means(after)
    if len(first) < 2:
        return alike(float(first.mean()) if len(first) else math.nan, len(first))
    both = (first + second) / 2
    shared = float(np.cov(first, second)[0, 1])
    chances = np.clip(_shrunk(both, shared) - both.mean() + first.mean(), 0.0, 1.0)
    noise = noise_of(before, after)
    differences = second - first
    is_known = min(map(len, (*before, *after))) > 1
    changes = _shrunk(differences, noise.between if is_known else 0.0) - differences.mean()
    return Population(chances, changes)


def minimum_detectable_effect(
    population: Population, k: int, rng: np.random.Generator, level: float = LEVEL, direction: int = 1
) -> float:
    """The smallest true difference, in 0..1, that the permutation test at `level` finds with 80 % power.

    direction: 1 for a gain, -1 for a loss. inf where even the largest one possible is found less often: fewer than six
    problems, or no room above the first model's accuracy. NaN without problems.
    """
    n = len(population.chances)
    if n == 0 or np.isnan(population.chances).any():
        return math.nan
    seed = int(rng.integers(2**63))
    runs = min(_RUNS, max(_FEWEST_RUNS, _DRAWS // n))

    def found(shift: float) -> float:
        return _power(population.chances, _moved(population, shift), k, runs, level, np.random.default_rng(seed))

    low, high = 0.0, float(direction)
    if 2.0 ** (1 - n) >= level or found(high) < POWER:
        return math.inf
    while abs(high - low) > _RESOLUTION:
        middle = (low + high) / 2
        if found(middle) < POWER:
            low = middle
        else:
            high = middle
    return abs(float(np.mean(_moved(population, high) - population.chances)))


def power_of(population: Population, gain: float, k: int, rng: np.random.Generator, level: float = LEVEL) -> float:
    """The share of comparisons with k samples of each problem that find a true difference of `gain`, in -1..1.

    NaN where there is no room for it.
    """
    n = len(population.chances)

    def mean_change(shift: float) -> float:
        return float(np.mean(_moved(population, shift) - population.chances))

    low, high = -1.0 - float(np.ptp(population.changes)), 1.0 + float(np.ptp(population.changes))
    if not mean_change(low) <= gain <= mean_change(high):
        return math.nan
    while high - low > _RESOLUTION / 100:
        middle = (low + high) / 2
        low, high = (middle, high) if mean_change(middle) < gain else (low, middle)
    runs = min(_RUNS, max(_FEWEST_RUNS, _DRAWS // max(n, 1)))
    return _power(population.chances, _moved(population, high), k, runs, level, rng)


def _moved(population: Population, shift: float) -> np.ndarray:
    moved: np.ndarray = np.clip(population.chances + population.changes + shift, 0.0, 1.0)
    return moved


def _power(before: np.ndarray, after: np.ndarray, k: int, runs: int, level: float, rng: np.random.Generator) -> float:
    """The share of simulated comparisons that find a difference."""
    shape, k = (runs, len(before)), min(k, _MOST_SAMPLES)
    steps = rng.binomial(k, after, shape) - rng.binomial(k, before, shape)
    sums, sizes = steps.sum(axis=1), np.abs(steps)
    if np.count_nonzero(sizes) / runs >= _MANY:
        # Half a step each way: a sum is a whole number of steps of size 1, or of size 2 where all differ by 1.
        spread = np.sqrt((sizes.astype(np.float64) ** 2).sum(axis=1))
        p_values = 2 * ndtr(-np.maximum(np.abs(sums) - (1.0 if k == 1 else 0.5), 0.0) / np.maximum(spread, 1e-9))
        return float(np.mean(p_values < level))
    # Hoeffding's bound on the p-value (1963): far sums need no counting.
    is_far = sums.astype(np.float64) ** 2 > 2 * math.log(2 / level) * (sizes.astype(np.float64) ** 2).sum(axis=1)
    near = sizes[~is_far]
    if not len(near):
        return 1.0
    largest = max(1, int(near.max()))
    counts = np.stack([(near == size).sum(axis=1) for size in range(1, largest + 1)], axis=1)
    found = np.count_nonzero(tail_chances(counts, sums[~is_far]) < level)
    return float((np.count_nonzero(is_far) + found) / runs)


# ------------------------------------------------------------------------------------------- what would be needed


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

    With one sample of a problem they cannot be told apart: all of it then counts as `between`, so that what is
    promised of more samples is nothing rather than too much. NaN with fewer than two problems.
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


def students_effect(noise: Noise, n: int, k: int, level: float = LEVEL) -> float:
    """The true difference, in 0..1, that Student's paired test finds with 80 % power.

    NaN with fewer than two problems or unknown noise.
    """
    variance = noise.of_a_problem(k)
    if n < 2 or math.isnan(variance):
        return math.nan
    critical = float(stdtrit(n - 1, 1 - level / 2))
    return float(nctdtrinc(n - 1, 1 - POWER, critical)) * math.sqrt(variance / n)


def problems_needed(noise: Noise, effect: float, k: int, level: float = LEVEL) -> float:
    """The fewest problems on which k samples find a true difference of this size; inf above ten million, NaN if
    the noise is unknown.
    """
    if math.isnan(noise.of_a_problem(k)):
        return math.nan
    low, high = 1, 2
    while students_effect(noise, high, k, level) > abs(effect):
        low, high = high, 2 * high
        if high > _MOST_PROBLEMS:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        if students_effect(noise, middle, k, level) > abs(effect):
            low = middle
        else:
            high = middle
    return float(high)


def samples_needed(noise: Noise, effect: float, n: int, level: float = LEVEL) -> float:
    """The fewest samples of each problem that find a true difference of this size on n problems.

    inf where no number of samples does (the problems differ too much in their gain), NaN if the noise is unknown.
    """
    unit = students_effect(Noise(1.0, 0.0), n, 1, level)
    allowed = (effect / unit) ** 2 - noise.between
    if math.isnan(allowed) or math.isnan(noise.within):
        return math.nan
    return max(1.0, math.ceil(noise.within / allowed)) if allowed > 0 else math.inf


def _shrunk(values: np.ndarray, variance: float) -> np.ndarray:
    """The values drawn together to a smaller variance, about their mean."""
    total = float(values.var(ddof=1))
    factor = math.sqrt(min(1.0, max(0.0, variance) / total)) if total > 1e-24 else 0.0
    drawn: np.ndarray = values.mean() + factor * (values - values.mean())
    return drawn


def _sample_variance(samples: Sequence[bool]) -> float:
    """Of one sample, unbiased."""
    return float(np.var(np.asarray(samples, dtype=np.float64), ddof=1))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
