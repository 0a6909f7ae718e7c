"""What n and k can show, by simulation and against itself."""

import math

import numpy as np
import pytest
from scipy import stats

from frugalrl.statistics.paired_tests import permutation_p_value
from frugalrl.statistics.power import (
    Noise,
    Population,
    alike,
    minimum_detectable_effect,
    noise_of,
    problems_needed,
    samples_needed,
    seen_in,
    seen_in_both,
    students_effect,
)

RNG = np.random.default_rng(0)


def detected(chances, gain, k, runs=300, seed=7):
    """The share of comparisons that the exact test finds a difference in, simulated apart from the package."""
    rng = np.random.default_rng(seed)
    better = np.clip(chances + gain, 0, 1)
    found = 0
    for _ in range(runs):
        before, after = ((rng.random((len(chances), k)) < one[:, None]).tolist() for one in (chances, better))
        found += permutation_p_value(before, after) < 0.05
    return found / runs


@pytest.mark.parametrize(
    ("accuracy", "n", "k"),
    [(0.5, 30, 1), (0.5, 30, 16), (0.03, 30, 16), (0.2, 15, 4), (0.1, 10, 8), (0.0, 12, 2), (0.5, 120, 2)],
)
def test_the_minimum_detectable_effect_is_found_in_80_percent_of_comparisons_by_the_test_that_decides(accuracy, n, k):
    """By Student's formula it was 37 to 73 % on small sets. 300 comparisons know a share to 2.3 points."""
    effect = minimum_detectable_effect(alike(accuracy, n), k, np.random.default_rng(1))
    assert 0.72 <= detected(np.full(n, accuracy), effect, k) <= 0.95
    assert detected(np.full(n, accuracy), 0.7 * effect, k) < 0.75


def test_problems_of_different_difficulty_are_allowed_for():
    chances = np.repeat([0.0, 0.1, 0.5, 0.9], 10)
    rng = np.random.default_rng(3)
    effect = minimum_detectable_effect(Population(chances, np.zeros(40)), 4, rng)
    shift = next(one for one in np.linspace(0, 1, 1001) if np.mean(np.clip(chances + one, 0, 1) - chances) >= effect)
    assert detected(chances, shift, 4) == pytest.approx(0.8, abs=0.08)


def test_a_stricter_level_detects_less():
    rng = np.random.default_rng
    assert minimum_detectable_effect(alike(0.3, 40), 4, rng(1), 0.01) > minimum_detectable_effect(
        alike(0.3, 40), 4, rng(1)
    )


@pytest.mark.parametrize(("accuracy", "n", "direction"), [(0.5, 5, 1), (0.95, 30, 1), (0.05, 30, -1), (1.0, 500, 1)])
def test_where_nothing_is_detected_nothing_is_promised(accuracy, n, direction):
    """Five problems never reach p < 0.05, and 30 solved to 95 % leave no room."""
    assert minimum_detectable_effect(alike(accuracy, n), 1, RNG, direction=direction) == math.inf


def test_where_all_samples_agree_the_effect_is_not_zero():
    for base in ([[False] * 4] * 30, [[False] * 4] * 15 + [[True] * 4] * 15):
        assert 0.01 < minimum_detectable_effect(seen_in(base), 4, np.random.default_rng(0)) < 0.5
        assert 0.01 < minimum_detectable_effect(seen_in_both(base, base), 4, np.random.default_rng(0)) < 0.5


def test_the_seed_decides_the_digits():
    effects = {minimum_detectable_effect(alike(0.4, 50), 2, np.random.default_rng(8)) for _ in range(3)}
    assert len(effects) == 1


def test_what_two_evaluations_show_is_found_again():
    """Chances of variance 0.04 and changes of variance 0.01, from eight samples of 3,000 problems."""
    rng = np.random.default_rng(2)
    chance = rng.choice([0.2, 0.6], 3000)
    better = chance + rng.choice([0.0, 0.2], 3000)
    before, after = ((rng.random((3000, 8)) < one[:, None]).tolist() for one in (chance, better))
    seen = seen_in_both(before, after)
    assert (seen.chances.mean(), seen.chances.std()) == pytest.approx((0.4, 0.2), abs=0.01)
    assert (seen.changes.mean(), seen.changes.std()) == pytest.approx((0.0, 0.1), abs=0.01)
    assert seen_in(before).chances.std() == pytest.approx(0.2, abs=0.01)
    single = [own[:1] for own in before], [own[:1] for own in after]
    assert seen_in_both(*single).chances.std() == pytest.approx(0.2, abs=0.03)
    assert not seen_in_both(*single).changes.any()


@pytest.mark.parametrize(("n", "k"), [(30, 1), (500, 2)])
def test_students_effect_is_found_in_80_percent_of_students_tests(n, k):
    noise = Noise(between=0.02, within=0.3)
    effect = students_effect(noise, n, k)
    rng = np.random.default_rng(1)
    differences = rng.normal(effect, math.sqrt(noise.of_a_problem(k)), size=(8000, n))
    found = np.mean(stats.ttest_1samp(differences, 0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.015)


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
    assert students_effect(noise, n, 4) <= 0.03 < students_effect(noise, n - 1, 4)
    k = int(samples_needed(noise, 0.03, n=300))
    assert students_effect(noise, 300, k) <= 0.03 < students_effect(noise, 300, k - 1)


def test_no_number_of_samples_makes_up_for_problems_that_gain_differently():
    assert samples_needed(Noise(between=0.04, within=0.3), 0.05, n=50) == math.inf
    assert problems_needed(Noise(0.04, 0.3), 0.0, k=4) == math.inf


def test_aime_with_one_sample_sees_nothing_below_36_points():
    """30 problems: 2.8 standard errors of sqrt(2 x 0.25 / 30) are 36.1 points by the normal rule."""
    assert minimum_detectable_effect(alike(0.5, 30), 1, np.random.default_rng(0)) == pytest.approx(0.366, abs=0.01)
    assert minimum_detectable_effect(alike(0.5, 500), 4, np.random.default_rng(0)) == pytest.approx(0.0447, abs=0.003)


def test_undefined_is_nan():
    assert math.isnan(students_effect(Noise(0.1, 0.1), 1, 4))
    assert math.isnan(minimum_detectable_effect(alike(math.nan, 0), 4, RNG))
    unknown = noise_of([[True]], [[False]])
    assert all(map(math.isnan, (unknown.between, problems_needed(unknown, 0.1, 1), samples_needed(unknown, 0.1, 5))))


def test_many_samples_of_a_problem_are_simulated_without_a_table_of_them():
    """100,000 samples of 20 problems, which asked for terabytes; and a bound from above is that of 1,024."""
    many, enough = (minimum_detectable_effect(alike(0.5, 20), k, np.random.default_rng(0)) for k in (100_000, 1024))
    assert many == enough < minimum_detectable_effect(alike(0.5, 20), 256, np.random.default_rng(0))
