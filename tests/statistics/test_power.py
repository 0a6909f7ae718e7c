"""What n and k can show, by simulation and against itself."""

import math

import numpy as np
import pytest
from scipy import stats

from frugalrl.statistics.power import (
    Noise,
    noise_of,
    noise_seen_from,
    planned_noise,
    problems_needed,
    samples_needed,
    smallest_detectable_effect,
)


@pytest.mark.parametrize(("n", "k"), [(30, 1), (50, 4), (500, 2)])
def test_the_smallest_effect_is_found_in_four_of_five_simulated_comparisons(n, k):
    noise = Noise(between=0.02, within=0.3)
    effect = smallest_detectable_effect(noise, n, k)
    rng = np.random.default_rng(1)
    differences = rng.normal(effect, math.sqrt(noise.of_a_problem(k)), size=(20_000, n))
    found = np.mean(stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.01)


def test_both_variances_are_found_again():
    """2,000 problems whose gain has variance 0.01, samples of variance p(1 - p) in both models."""
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.2, 0.6, size=2000)
    better = chance + rng.choice([0.0, 0.2], size=2000)
    before, after = (rng.random((2000, 8)) < one[:, None] for one in (chance, better))
    noise = noise_of(before.tolist(), after.tolist())
    assert noise.between == pytest.approx(0.01, abs=0.002)
    assert noise.within == pytest.approx(np.mean(chance * (1 - chance) + better * (1 - better)), abs=0.01)


def test_one_sample_a_problem_promises_nothing_of_more():
    noise = noise_of([[True], [False], [True]], [[False], [True], [True]])
    assert noise == Noise(between=pytest.approx(1.0), within=0.0)
    assert samples_needed(noise, 0.1, 3) == math.inf


def test_what_is_needed_finds_the_effect_and_one_less_does_not():
    noise = Noise(between=0.01, within=0.4)
    n = int(problems_needed(noise, 0.03, k=4))
    assert smallest_detectable_effect(noise, n, 4) <= 0.03 < smallest_detectable_effect(noise, n - 1, 4)
    k = int(samples_needed(noise, 0.03, n=300))
    assert smallest_detectable_effect(noise, 300, k) <= 0.03 < smallest_detectable_effect(noise, 300, k - 1)


def test_no_number_of_samples_makes_up_for_problems_that_gain_differently():
    assert samples_needed(Noise(between=0.04, within=0.3), 0.05, n=50) == math.inf
    assert problems_needed(Noise(0.04, 0.3), 0.0, k=4) == math.inf


def test_aime_with_one_sample_sees_nothing_below_37_points():
    """30 problems: 2.8 standard errors of sqrt(2 x 0.25 / 30) are 36.1 points by the normal rule, more by Student's."""
    assert smallest_detectable_effect(planned_noise(0.5), 30, 1) == pytest.approx(0.374, abs=0.001)
    assert smallest_detectable_effect(planned_noise(0.5), 500, 4) == pytest.approx(0.0444, abs=0.0001)


def test_a_measured_base_tells_what_to_expect():
    assert noise_seen_from([[True, False], [True, True]]).within == pytest.approx(2 * 0.25)
    assert math.isnan(noise_seen_from([[True], [False]]).within)


def test_undefined_is_nan():
    assert math.isnan(smallest_detectable_effect(Noise(0.1, 0.1), 1, 4))
    unknown = noise_of([[True]], [[False]])
    assert all(map(math.isnan, (unknown.between, problems_needed(unknown, 0.1, 1), samples_needed(unknown, 0.1, 5))))
