"""The permutation test against scipy's enumeration, Holm against a published example."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from frugalrl.statistics.paired_tests import holm, paired, permutation_p_value, unpaired


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
