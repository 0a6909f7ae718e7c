"""Estimates against scipy, brute force and by hand, and what their intervals hold in simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from frugalrl.statistics.intervals import (
    avg_at_k,
    difference_interval,
    majority_at_k,
    paired_difference,
    pass_at_k,
    score_interval,
)

RNG = np.random.default_rng(0)


def samples(problems=60, k=4):
    chance = RNG.beta(0.5, 0.5, size=problems)
    return (RNG.random((problems, k)) < chance[:, None]).tolist()


# ---------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(("right", "n"), [(0, 16), (1, 30), (14, 30), (499, 500), (16, 16)])
def test_one_sample_a_problem_has_wilsons_interval(right, n):
    wilson = stats.binomtest(right, n).proportion_ci(method="wilson")
    estimate = avg_at_k([[number < right] for number in range(n)])
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_many_samples_of_many_problems_have_students_interval_over_problem_means():
    correct = samples(problems=2000, k=16)
    means = np.mean(correct, axis=1)
    low, high = stats.t.interval(0.95, len(means) - 1, loc=means.mean(), scale=stats.sem(means))
    estimate = avg_at_k(correct)
    assert (estimate.value, estimate.ci_low, estimate.ci_high) == pytest.approx((means.mean(), low, high), abs=2e-4)


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


@pytest.mark.parametrize("right", [0, 16])
def test_all_alike_still_leaves_room_for_doubt(right):
    estimate = avg_at_k([[n < right] * 3 for n in range(16)])
    wilson = stats.binomtest(right, 16).proportion_ci(method="wilson")
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_equal_results_leave_as_much_doubt_as_problems_that_may_differ_unseen():
    same = paired_difference([[True]] * 30, [[True]] * 30)
    bound = stats.binomtest(0, 30).proportion_ci(method="wilson").high
    assert (same.value, same.ci_low, same.ci_high) == pytest.approx((0.0, -bound, bound))


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=40))
def test_intervals_hold_their_value_and_stay_within_what_is_possible(correct):
    estimate = avg_at_k(correct)
    assert 0 <= estimate.ci_low <= estimate.value + 1e-12
    assert estimate.value - 1e-12 <= estimate.ci_high <= 1


@pytest.mark.parametrize("n", [30, 500])
@pytest.mark.parametrize("k", [4, 16])
@pytest.mark.parametrize("difficulty", [(1.0, 1.0), (0.3, 0.3), (0.3, 1.2), (2.0, 1.0), (50.0, 50.0)])
def test_intervals_hold_the_truth_in_95_percent_of_simulated_evaluations(n, k, difficulty):
    """8,000 runs know the share to 0.25 points; benchmarks/coverage.py has more runs and the extreme truths."""
    rng = np.random.default_rng(20)
    a, b = difficulty
    chance = rng.beta(a, b, size=(8000, n))
    better = chance + 0.2 * rng.random(chance.shape) * (1 - chance)
    first, second = rng.binomial(k, chance) / k, rng.binomial(k, better) / k
    truth, gain = a / (a + b), 0.1 * b / (a + b)
    held = np.mean([one.ci_low <= truth <= one.ci_high for one in map(score_interval, first)])
    held_gain = np.mean([one.ci_low <= gain <= one.ci_high for one in map(difference_interval, second - first)])
    assert held == pytest.approx(0.95, abs=0.01)
    assert held_gain == pytest.approx(0.95, abs=0.01)


# ------------------------------------------------------------------------------------------ pass@k, majority@k


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.integers(1, 7))
def test_pass_at_k_is_the_share_of_all_ways_to_draw_k_samples(problem, k):
    if k > len(problem):
        assert math.isnan(pass_at_k([problem], k).value)
        return
    draws = [any(drawn) for drawn in itertools.combinations(problem, k)]
    assert pass_at_k([problem], k).value == pytest.approx(np.mean(draws))


def test_pass_at_k_averages_over_problems():
    assert pass_at_k([[True, False], [False, False], [True, True]]).value == pytest.approx(2 / 3)
    assert pass_at_k([[True, False], [False, False], [True, True]], k=1).value == pytest.approx(1 / 2)


def test_the_published_example_of_pass_at_k():
    """Chen et al., section 2.1, as their reference code computes it: 1 - prod(1 - k / arange(n - c + 1, n + 1))."""
    n, c, k = 200, 7, 10
    reference = 1 - np.prod(1 - k / np.arange(n - c + 1, n + 1))
    assert pass_at_k([[number < c for number in range(n)]], k).value == pytest.approx(reference)


def test_pass_at_0_is_refused():
    with pytest.raises(ValueError, match="needs k of 1 or more, not 0"):
        pass_at_k([[True]], 0)


@pytest.mark.parametrize(
    ("answers", "share"),
    [
        ([("7", True), ("7", True), ("5", False)], 1.0),
        ([("5", False), ("5", False), ("7", True)], 0.0),
        ([("1/2", True), ("0.5", True), ("3", False)], 1.0),  # the right answer in two spellings
        ([("7", True), ("5", False)], 0.5),  # a tie of two
        ([("7", True), ("5", False), ("3", False)], 1 / 3),
        ([(None, False), (None, False), ("7", True)], 1.0),  # no answer, no vote
        ([(None, False), (None, False)], 0.0),
    ],
)
def test_the_majority_is_counted_by_answers(answers, share):
    assert majority_at_k([answers]).value == pytest.approx(share)
    assert majority_at_k([answers, [("1", True)]]).value == pytest.approx((share + 1) / 2)


# --------------------------------------------------------------------------------------------------- undefined


def test_undefined_is_nan():
    for empty in (avg_at_k([]), pass_at_k([]), majority_at_k([]), paired_difference([], [])):
        assert all(map(math.isnan, (empty.value, empty.ci_low, empty.ci_high)))
    one = avg_at_k([[True, False]])
    assert (one.value, math.isnan(one.ci_low), math.isnan(one.ci_high)) == (0.5, True, True)
    without_samples = avg_at_k([[True], []])
    assert all(map(math.isnan, (without_samples.value, without_samples.ci_low, without_samples.ci_high)))


def test_different_problems_cannot_be_paired():
    with pytest.raises(ValueError, match="2 problems cannot be paired with 1"):
        paired_difference([[True], [False]], [[True]])
