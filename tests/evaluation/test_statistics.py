"""Estimates against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from frugalrl.evaluation.statistics import avg_at_k, paired_difference, pass_at_k

RNG = np.random.default_rng(0)


def samples(problems=60, k=4):
    chance = RNG.beta(0.5, 0.5, size=problems)
    return (RNG.random((problems, k)) < chance[:, None]).tolist()


def test_avg_at_k_is_scipys_interval_over_problem_means():
    correct = samples()
    means = np.mean(correct, axis=1)
    low, high = stats.t.interval(0.95, len(means) - 1, loc=means.mean(), scale=stats.sem(means))
    estimate = avg_at_k(correct)
    assert (estimate.value, estimate.ci_low, estimate.ci_high) == pytest.approx((means.mean(), low, high))


def test_the_paired_difference_is_scipys_paired_t_interval():
    before, after = samples(), samples()
    result = stats.ttest_rel(np.mean(after, axis=1), np.mean(before, axis=1)).confidence_interval(0.95)
    difference = paired_difference(before, after)
    assert (difference.ci_low, difference.ci_high) == pytest.approx((result.low, result.high))


def test_clustering_widens_the_interval_when_samples_of_a_problem_agree():
    agree = [[True] * 8] * 15 + [[False] * 8] * 15
    naive = 1.96 * math.sqrt(0.25 / (30 * 8))
    estimate = avg_at_k(agree)
    assert (estimate.ci_high - estimate.ci_low) / 2 > 2.5 * naive


def test_pass_at_k_counts_problems_with_any_correct_sample():
    assert pass_at_k([[True, False], [False, False], [True, True]]) == pytest.approx(2 / 3)


def test_undefined_is_nan():
    assert math.isnan(avg_at_k([]).value)
    assert math.isnan(pass_at_k([]))
    one = avg_at_k([[True, False]])
    assert (one.value, math.isnan(one.ci_low)) == (0.5, True)


@pytest.mark.parametrize("right", [0, 16])
def test_all_alike_still_leaves_room_for_doubt(right):
    estimate = avg_at_k([[n < right] * 3 for n in range(16)])
    wilson = stats.binomtest(right, 16).proportion_ci(method="wilson")
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    same = paired_difference([[True]] * 9, [[True]] * 9)
    assert (same.value, math.isnan(same.ci_low)) == (0.0, True)


def test_different_problems_cannot_be_paired():
    with pytest.raises(ValueError, match="2 problems cannot be paired with 1"):
        paired_difference([[True], [False]], [[True]])


def test_intervals_stay_within_what_is_possible():
    estimate = avg_at_k([[True]] * 9 + [[False]])
    assert estimate.ci_high <= 1.0
