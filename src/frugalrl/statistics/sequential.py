"""Has accuracy fallen? A test that stays valid however often it is asked, and whoever chooses when.

The policy is compared with a reference by the same problems. Before a look, level c_i is fixed for each problem: what
the reference scored there, less an allowance. At the look, fresh samples x of the policy are drawn. For a stake s,

    E = product over problems and samples of (1 + s (c_i - x))

has a mean of at most 1 as long as the policy's mean accuracy is not below the mean level: 1 + y <= exp(y) for all
problems, and by Maclaurin's inequality also for a random subset of them with one sample each. So E is a bet against the
policy at fair odds. The wealth M_t = E_t (M_{t-1} + w_t), with w_t = 1 / (t (t + 1)) placed anew at each look so that
an old good record does not have to be won back (an e-detector, Shin, Ramdas and Rinaldo, arXiv 2203.03532, with weights
that sum to 1), then reaches 1 / alpha with a chance of at most alpha over all looks of a run together (Ville 1939).
Bounded bets: Waudby-Smith and Ramdas, arXiv 2010.09686. Wealth is averaged over four stakes: small ones, small falls.

The reference is the best of several evaluations, so it is lucky. `allowance` is how lucky it can have been: its upper
error at a level that is spent over all evaluations, so that it holds for whichever of them turns out the best.

Decision: problems' difficulty is no noise here. Both sides answer the same problems, and the claim is about these.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from frugalrl.statistics.intervals import Correct, problem_means

STAKES = (0.1, 0.2, 0.4, 0.8)
"""Shares of the wealth: the best one is about the fall over the variance of a sample (0.2 for a fall of 5 points)."""


@dataclass(frozen=True)
class Evidence:
    """What has been won by betting that accuracy fell."""

    looks: int = 0
    log_wealth: tuple[float, ...] = ()
    """By stake; empty before the first bet."""

    @property
    def log_value(self) -> float:
        """The logarithm of the mean wealth; minus infinity before the first bet."""
        if not self.log_wealth:
            return -math.inf
        return float(np.logaddexp.reduce(self.log_wealth)) - math.log(len(self.log_wealth))


def after_look(evidence: Evidence, levels: Sequence[float], correct: Correct, least_level: float = 0.0) -> Evidence:
    """The evidence after fresh samples of a policy.

    levels: c_i of each problem, fixed before. least_level: no level of any problem is below it, whether that problem is
    asked or not; stakes are divided by what can then be lost at most, so that no wealth becomes negative and the same
    is bet on every subset. Raises ValueError if levels and problems differ in number, or a level is below.
    """
    if min(levels, default=least_level) < least_level - 1e-9:
        raise ValueError(f"a level is {min(levels)}, below the least, {least_level}")
    gains = np.array([level - float(sample) for level, own in zip(levels, correct, strict=True) for sample in own])
    largest_loss = max(1.0, 1.0 - least_level)
    looks = evidence.looks + 1
    before = evidence.log_wealth or (-math.inf,) * len(STAKES)
    new_bet = -math.log(looks * (looks + 1))
    wealth = tuple(
        float(np.logaddexp(old, new_bet) + np.log1p(stake / largest_loss * gains).sum())
        for stake, old in zip(STAKES, before, strict=True)
    )
    return Evidence(looks, wealth)


def start_again(evidence: Evidence) -> Evidence:
    """Nothing won. The looks still count, so that all that follows shares the same total of alpha."""
    return Evidence(evidence.looks)


def shows_a_fall(evidence: Evidence, alpha: float) -> bool:
    """Whether the wealth has reached 1 / alpha."""
    return evidence.log_value >= math.log(1 / alpha)


def allowance(correct: Correct, number: int, alpha: float) -> float:
    """How far an evaluation's accuracy may lie above the truth by luck, as a share; one-sided.

    number: this evaluation is the run's number-th, from 1. Its own level is alpha / (number (number + 1)), which sums
    to alpha. The variance is that of samples within problems, with one problem of a fair coin added, so that an
    evaluation without any variance is not taken for exact. Problems of one sample: that of their common mean.
    """
    means = problem_means(correct)
    counts = np.array([len(samples) for samples in correct], dtype=np.float64)
    common = float(means.mean()) * (1 - float(means.mean()))
    within = np.where(counts > 1, means * (1 - means) * counts / np.maximum(counts - 1, 1), common)
    variance = (float((within / counts).sum()) + 0.25 / float(counts.mean())) / (len(means) + 1)
    return float(ndtri(1 - alpha / (number * (number + 1)))) * math.sqrt(variance / len(means))
