"""The permutation test against scipy's enumeration, Holm against a published example."""

import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from frugalrl.statistics.intervals import LEVEL
from frugalrl.statistics.paired_tests import (
    holm,
    holm_levels,
    paired,
    paired_within,
    permutation_p_value,
    unpaired,
)
from frugalrl.statistics.sign_flips import sign_flip_p_value, tail_chances


def problems(k):
    return st.lists(st.lists(st.booleans(), min_size=k, max_size=k), min_size=9, max_size=9)


@settings(max_examples=30, deadline=None)
@given(problems(3), problems(2))
def test_the_p_value_is_that_of_all_sign_flips(before, after):
    """scipy goes through all 2^9 assignments; sixths are given it as whole numbers, so that equal sums are equal."""
    result = stats.permutation_test(
        (3.0 * np.sum(after, axis=1), 2.0 * np.sum(before, axis=1)),
        lambda x, y, axis: np.sum(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert permutation_p_value(before, after) == pytest.approx(result.pvalue)


def test_one_sample_a_problem_is_the_sign_test():
    """Of ten problems that differ nine went up: both tails of Binomial(10, 1/2), which is McNemar's exact test."""
    before = [[False]] * 9 + [[True]] + [[True]] * 40
    after = [[True]] * 9 + [[False]] + [[True]] * 40
    assert permutation_p_value(before, after) == pytest.approx(stats.binomtest(9, 10).pvalue)


def test_many_problems_agree_with_students_test():
    rng = np.random.default_rng(3)
    chance = rng.random((400, 1))
    before, after = (rng.random((400, 4)) < chance), (rng.random((400, 4)) < chance + 0.03)
    student = stats.ttest_rel(after.mean(axis=1), before.mean(axis=1)).pvalue
    assert permutation_p_value(before.tolist(), after.tolist()) == pytest.approx(student, abs=0.01)


def test_no_difference_and_no_problem():
    assert permutation_p_value([[True], [False]], [[True], [False]]) == 1.0
    assert math.isnan(permutation_p_value([], []))


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match="2 problems cannot be paired with 1"):
        permutation_p_value([[True], [True]], [[True]])
    with pytest.raises(ValueError, match="has no sample"):
        permutation_p_value([[True]], [[]])


def test_holm_by_hand():
    """0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not fall below the one before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_an_undefined_p_value_asks_nothing():
    adjusted = holm([0.02, math.nan, 0.03])
    assert (adjusted[0], adjusted[2]) == pytest.approx((0.04, 0.04))
    assert math.isnan(adjusted[1])


def test_holm_keeps_false_claims_below_5_percent():
    uniform = np.random.default_rng(0).random((4000, 8))
    claimed = np.mean([min(holm(row)) < 0.05 for row in uniform.tolist()])
    assert claimed == pytest.approx(0.05, abs=0.01)


def test_published_shares_are_compared_as_two_proportions():
    """82.8 % and 85.6 % of 500: a chi-squared test without continuity correction of the same table."""
    found = unpaired(0.828, 0.856, 500)
    table = [[414, 86], [428, 72]]
    assert found.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert 100 * found.estimate.ci_low == pytest.approx(-1.7, abs=0.05)


def test_a_difference_has_both_its_interval_and_its_p_value():
    found = paired([[False], [False], [True]], [[True], [True], [True]])
    assert found.estimate.value == pytest.approx(2 / 3)
    assert found.p_value == pytest.approx(0.5)


# ------------------------------------------------------------------------------------------- one decision


def contradicts(found):
    holds_zero = found.estimate.ci_low <= 0 <= found.estimate.ci_high
    return (found.p_value < found.level) == holds_zero or (found.verdict == "inconclusive") != holds_zero


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 24).flatmap(
        lambda n: st.tuples(*2 * [st.lists(st.lists(st.booleans(), min_size=1, max_size=5), min_size=n, max_size=n)])
    ),
    st.sampled_from([0.05, 0.025, 0.01]),
)
def test_verdict_p_value_and_interval_say_the_same(sides, level):
    found = paired(*sides, level)
    assert not contradicts(found)
    assert found.estimate.ci_low <= found.estimate.value + 1e-12
    assert found.estimate.value <= found.estimate.ci_high + 1e-12


@pytest.mark.parametrize("n", [6, 10, 20, 40])
def test_a_gain_that_students_interval_would_not_show_has_an_interval_above_zero(n):
    """Five small gains and one of a whole problem: the test rejects, Student's interval would hold 0."""
    before = [[False] * 10] * n
    after = [[True] + [False] * 9] * 5 + [[True] * 10] + [[False] * 10] * (n - 6)
    found = paired(before, after)
    student = stats.ttest_1samp(np.mean(after, axis=1), 0).confidence_interval(0.95)
    assert student.low < 0 < found.estimate.ci_low < found.estimate.value
    assert (found.p_value, found.verdict) == (pytest.approx(2 / 2**6), "better")


def test_five_problems_decide_nothing_whatever_they_show():
    found = paired([[False] * 8] * 5, [[True] * 8] * 5)
    assert (found.p_value, found.verdict) == (pytest.approx(2 / 2**5), "inconclusive")
    assert found.estimate.ci_low <= 0


def test_the_interval_of_many_problems_is_students():
    rng = np.random.default_rng(3)
    chance = rng.uniform(0.2, 0.8, (2000, 1))
    before, after = (rng.random((2000, 4)) < chance), (rng.random((2000, 4)) < chance + 0.02)
    result = stats.ttest_rel(after.mean(axis=1), before.mean(axis=1)).confidence_interval(0.95)
    found = paired(before.tolist(), after.tolist()).estimate
    assert (found.ci_low, found.ci_high) == pytest.approx((result.low, result.high), abs=0.003)


def test_equal_results_leave_doubt():
    same = paired([[True]] * 30, [[True]] * 30).estimate
    bound = stats.binomtest(0, 30).proportion_ci(method="wilson").high
    assert (same.value, same.ci_low, same.ci_high) == pytest.approx((0.0, -bound, bound))


def test_rare_large_changes_are_held():
    """One problem in twenty is turned over, the others stay: Student's interval alone held 80 %."""
    rng = np.random.default_rng(5)
    held = []
    for _ in range(300):
        chance = rng.beta(0.3, 9.7, 30)
        other = np.where(rng.random(30) < 0.05, 1 - chance, chance)
        sides = [(rng.random((30, 4)) < one[:, None]).tolist() for one in (chance, other)]
        estimate = paired(*sides).estimate
        held.append(estimate.ci_low <= 0.05 * (1 - 2 * 0.03) <= estimate.ci_high)
    assert np.mean(held) >= 0.94


def test_unknown_verdicts_are_allowed_for_whatever_they_are():
    wrong, right = [[False]] * 20, [[True]] * 20
    counted = paired_within((right, right), (wrong, wrong))
    assert (counted.verdict, counted.p_value) == ("worse", pytest.approx(2 / 2**20))
    unknown = paired_within((right, right), (wrong, right))
    assert (unknown.estimate.value, unknown.p_value, unknown.verdict) == (-1.0, 1.0, "inconclusive")
    assert unknown.estimate.ci_high > 0
    few = paired_within((right, right), (wrong, [[True]] * 2 + [[False]] * 18))
    assert (few.verdict, few.p_value) == ("worse", pytest.approx(2 / 2**18))
    assert few.estimate.ci_high > counted.estimate.ci_high


def test_holms_levels_decide_as_the_adjusted_p_values_do():
    rng = np.random.default_rng(1)
    for values in rng.beta(0.3, 2.0, (500, 6)).tolist():
        claimed = [value < level for value, level in zip(values, holm_levels(values), strict=True)]
        assert claimed == [value < LEVEL for value in holm(values)]
    assert holm_levels([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.05 / 3, 0.025, 0.025, 0.0125])


# ------------------------------------------------------------------------------------------- sums of signs


def uneven(n, rng, chance):
    return [(rng.random(rng.integers(1, 65)) < chance).tolist() for _ in range(n)]


def test_uneven_sample_counts_take_bounded_time_and_are_never_too_sure():
    """1 to 64 samples of each of 400 problems: their least common multiple has 28 digits."""
    rng = np.random.default_rng(2)
    before, after = uneven(400, rng, 0.5), uneven(400, rng, 0.54)
    began = time.process_time()
    p_value = permutation_p_value(before, after)
    assert time.process_time() - began < 5
    differences = np.array([np.mean(b) - np.mean(a) for a, b in zip(before, after, strict=True)])
    sampled = np.mean(np.abs(rng.choice([-1, 1], (20_000, 400)) @ differences) >= abs(differences.sum()))
    assert p_value == pytest.approx(sampled, abs=0.006)
    assert p_value > stats.ttest_1samp(differences, 0).pvalue - 0.003


@settings(max_examples=30, deadline=None)
@given(st.lists(st.fractions(-1, 1, max_denominator=50), min_size=2, max_size=10))
def test_few_problems_are_gone_through_whatever_their_fractions(differences):
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(differences))).reshape(len(differences), -1).T
    lowest = math.lcm(*{one.denominator for one in differences})
    whole = [int(one * lowest) for one in differences]
    expected = np.mean([abs(sum(map(int.__mul__, row, whole))) >= abs(sum(whole)) for row in signs.tolist()])
    assert sign_flip_p_value(differences) == pytest.approx(expected)


def test_the_grid_agrees_with_the_exact_count():
    rng = np.random.default_rng(4)
    steps = rng.integers(-4, 6, 300)
    exact = sign_flip_p_value([Fraction(int(one), 8) for one in steps])
    assert exact <= sign_flip_p_value(steps / 8) + 1e-12 <= exact + 0.01


def test_simulated_comparisons_have_the_same_p_values():
    rng = np.random.default_rng(6)
    steps = rng.binomial(3, 0.6, (40, 25)) - rng.binomial(3, 0.45, (40, 25))
    counts = np.stack([(np.abs(steps) == size).sum(axis=1) for size in (1, 2, 3)], axis=1)
    found = tail_chances(counts, steps.sum(axis=1))
    assert found == pytest.approx([sign_flip_p_value([Fraction(int(one), 3) for one in row]) for row in steps])
