"""Estimates against scipy, brute force and by hand, and what their intervals hold in simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from frugalrl.statistics.intervals import avg_at_k, majority_at_k, pass_at_k, score_interval

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


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=40))
def test_intervals_hold_their_value_and_stay_within_what_is_possible(correct):
    estimate = avg_at_k(correct)
    assert 0 <= estimate.ci_low <= estimate.value + 1e-12
    assert estimate.value - 1e-12 <= estimate.ci_high <= 1


def held(difficulty, n, k, runs=4000):
    """The share of simulated evaluations whose interval holds the true mean; 4,000 runs know it to 0.35 points."""
    rng = np.random.default_rng(20)
    a, b = difficulty
    values = rng.binomial(k, rng.beta(a, b, size=(runs, n))) / k
    intervals = [score_interval(one) for one in values]
    return np.mean([one.ci_low <= a / (a + b) <= one.ci_high for one in intervals])


@pytest.mark.parametrize(("n", "k"), [(30, 4), (30, 16), (500, 4)])
@pytest.mark.parametrize("difficulty", [(1.0, 1.0), (0.3, 0.3), (0.3, 1.2), (2.0, 1.0), (50.0, 50.0)])
def test_intervals_hold_the_truth_in_95_percent_of_simulated_evaluations(n, k, difficulty):
    assert held(difficulty, n, k, runs=3000) == pytest.approx(0.95, abs=0.0125)


@pytest.mark.parametrize("k", [16, 64])
@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("difficulty", [(0.05, 1.617), (0.1, 3.233), (0.3, 9.7), (0.1, 9.9), (3.233, 0.1)])
def test_very_hard_and_very_easy_sets_are_held_too(n, k, difficulty):
    """3 % and 1 % solved, and 97 %: Student's interval and this one without its prior held 80 to 90 %."""
    assert held(difficulty, n, k, runs=2000) >= 0.94


def test_a_few_problems_unlike_all_others_are_held_though_most_evaluations_lack_them():
    """One problem of 34 at 70 %, the others at 1 %: four in ten evaluations of 30 problems have none of the kind."""
    rng = np.random.default_rng(3)
    values = rng.binomial(16, rng.choice([0.01, 0.7], p=[0.971, 0.029], size=(2000, 30))) / 16
    intervals = [score_interval(one) for one in values]
    assert np.mean([one.ci_low <= 0.971 * 0.01 + 0.029 * 0.7 <= one.ci_high for one in intervals]) >= 0.94


def test_a_stricter_level_gives_a_wider_interval():
    means = np.array([0.0, 0.25, 0.5, 1.0] * 10)
    wide, narrow = score_interval(means, level=0.01), score_interval(means)
    assert wide.ci_low < narrow.ci_low < narrow.value < narrow.ci_high < wide.ci_high


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
    for empty in (avg_at_k([]), pass_at_k([]), majority_at_k([])):
        assert all(map(math.isnan, (empty.value, empty.ci_low, empty.ci_high)))
    one = avg_at_k([[True, False]])
    assert (one.value, math.isnan(one.ci_low), math.isnan(one.ci_high)) == (0.5, True, True)
    without_samples = avg_at_k([[True], []])
    assert all(map(math.isnan, (without_samples.value, without_samples.ci_low, without_samples.ci_high)))
