"""How many problems and samples a question needs, before anything is measured: is B better than A by so many points?

Power is computed as everywhere here: comparisons are simulated and put to the paired permutation test that decides.

What is assumed: problems are alike in difficulty, which overstates the noise of sampling (it is largest where all have
the same chance), and the gain differs from problem to problem by a stated standard deviation. The second is what only
more problems average out: with gains alike, samples without end would make up for any number of problems.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from frugalrl.statistics.intervals import LEVEL
from frugalrl.statistics.power import POWER, Noise, Population, power_of, problems_needed, samples_needed

_MOST_PROBLEMS, MOST_SAMPLES = 200_000, 64
_CLOSE = 1.03
"""Numbers of problems are sought to three per cent."""


@dataclass(frozen=True)
class Question:
    """What is to be found out. All in 0..1."""

    accuracy: float
    """Of the first model."""
    gain: float
    """What the second's accuracy is above it, or below if negative."""
    spread: float = 0.1
    """Standard deviation of the gain over problems."""
    level: float = LEVEL
    """Of the test: less if several comparisons or looks share the 5 %."""


def asked(question: Question, n: int) -> Population:
    """The n problems that are assumed: changes at the quantiles of a normal distribution."""
    changes = question.spread * ndtri((np.arange(n) + 0.5) / n)
    return Population(np.full(n, question.accuracy), changes)


def power(question: Question, n: int, k: int, seed: int = 0) -> float:
    """The share of comparisons with k samples of each of n problems that find the gain."""
    rng = np.random.default_rng((seed, n, k))
    return power_of(asked(question, n), question.gain, k, rng, question.level)


def problems_for(question: Question, k: int, seed: int = 0) -> float:
    """The fewest problems (to three per cent) on which k samples of each find the gain with 80 % power; inf for more
    than 200,000.
    """
    guess = problems_needed(_noise(question), question.gain, k, question.level)
    if guess > _MOST_PROBLEMS:
        return math.inf
    low, high = 1, max(6, int(guess))
    while power(question, high, k, seed) < POWER:
        low, high = high, 1 + high * 5 // 4
        if high > _MOST_PROBLEMS:
            return math.inf
    low = max(low, high // 2) if power(question, high // 2, k, seed) < POWER else low
    return _fewest(low, high, lambda n: power(question, n, k, seed) >= POWER, _CLOSE)


def samples_for(question: Question, n: int, seed: int = 0) -> float:
    """The fewest samples of each of n problems that find the gain with 80 % power; inf where 64 do not."""
    if power(question, n, MOST_SAMPLES, seed) < POWER:
        return math.inf
    guess = samples_needed(_noise(question), question.gain, n, question.level)
    low, high = 0, int(min(guess, MOST_SAMPLES))
    while power(question, n, high, seed) < POWER:
        low, high = high, min(MOST_SAMPLES, high + 1 + high // 8)
    return _fewest(low, high, lambda k: power(question, n, k, seed) >= POWER)


def _fewest(low: int, high: int, does: Callable[[int], bool], close: float = 1.0) -> float:
    """The smallest number that does, above `low` and up to `high`; to a factor of `close`."""
    while high > low + 1 and high > low * close:
        middle = (low + high) // 2
        low, high = (low, middle) if does(middle) else (middle, high)
    return float(high)


def _noise(question: Question) -> Noise:
    """As Student's formula wants it: where the search begins."""
    ends = [question.accuracy, min(1.0, max(0.0, question.accuracy + question.gain))]
    return Noise(question.spread**2, sum(end * (1 - end) for end in ends))
