"""The test for a fall of accuracy: fair bets, by enumeration, and what it claims over many looks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from frugalrl.statistics.sequential import STAKES, Evidence, after_look, allowance, shows_a_fall, start_again

chances = st.floats(0.0, 1.0)


def bet(levels, outcome, least_level):
    """The wealth of a first look, without the money that was placed (1/2)."""
    return 2 * math.exp(after_look(Evidence(), levels, [[bool(one)] for one in outcome], least_level).log_value)


@settings(max_examples=60, deadline=None)
@given(st.lists(chances, min_size=3, max_size=3), st.lists(chances, min_size=3, max_size=3))
def test_a_bet_on_all_problems_is_fair_or_worse_if_the_mean_is_not_below_the_level(truth, levels):
    """All eight outcomes of three problems, weighted by their chances, whatever the problems' own chances are."""
    shift = max(0.0, sum(levels) / 3 - sum(truth) / 3)
    levels = [level - shift for level in levels]
    expected = sum(
        math.prod(p if x else 1 - p for p, x in zip(truth, outcome, strict=True)) * bet(levels, outcome, min(levels))
        for outcome in itertools.product((0, 1), repeat=3)
    )
    assert expected <= 1 + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.lists(chances, min_size=4, max_size=4), st.lists(chances, min_size=4, max_size=4))
def test_a_bet_on_a_random_subset_is_fair_too(truth, levels):
    """All six pairs of four problems: Maclaurin's inequality, by enumeration. Levels reach down to -1."""
    shift = max(0.0, sum(levels) / 4 - sum(truth) / 4)
    levels = [level - shift for level in levels]
    total = 0.0
    for pair in itertools.combinations(range(4), 2):
        for outcome in itertools.product((0, 1), repeat=2):
            weight = math.prod(truth[i] if x else 1 - truth[i] for i, x in zip(pair, outcome, strict=True))
            total += weight * bet([levels[i] for i in pair], outcome, min(levels)) / 6
    assert total <= 1 + 1e-9


def test_the_wealth_by_hand():
    """Levels 0.5, both wrong: (1 + s/2)^2 on 1/2 placed; then both right: (1 - s/2)^2 on that and 1/6 more."""
    first = after_look(Evidence(), [0.5, 0.5], [[False], [False]])
    second = after_look(first, [0.5, 0.5], [[True], [True]])
    won = [0.5 * (1 + s / 2) ** 2 for s in STAKES]
    assert first.log_value == pytest.approx(math.log(sum(won) / 4))
    assert second.log_value == pytest.approx(
        math.log(sum((1 - s / 2) ** 2 * (w + 1 / 6) for s, w in zip(STAKES, won, strict=True)) / 4)
    )
    assert (second.looks, start_again(second)) == (2, Evidence(looks=2))
    assert start_again(second).log_value == -math.inf


def test_over_a_hundred_looks_the_error_stays_below_alpha():
    """200 runs of 100 looks at 50 coin flips with the level at the truth: at most 5 %, within the noise of 200."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        evidence = Evidence()
        for _ in range(100):
            evidence = after_look(evidence, [0.5] * 50, (rng.random((50, 1)) < 0.5).tolist())
            if shows_a_fall(evidence, 0.05):
                wrong += 1
                break
    assert wrong <= 200 * 0.05 + 2 * math.sqrt(200 * 0.05 * 0.95)


def test_a_good_past_does_not_have_to_be_won_back():
    """After 30 looks 20 points above the level, one look at a policy 40 points below it is enough."""
    evidence = Evidence()
    for _ in range(30):
        evidence = after_look(evidence, [0.5] * 100, [[index % 10 < 7] for index in range(100)])
    assert not shows_a_fall(evidence, 0.025)
    assert shows_a_fall(after_look(evidence, [0.5] * 100, [[index % 10 < 1] for index in range(100)]), 0.025)


@pytest.mark.parametrize(("mean", "problems", "samples"), [(0.5, 100, 1), (0.3, 50, 1), (0.8, 200, 1)])
def test_the_allowance_is_near_the_exact_binomial_bound_where_problems_are_alike(mean, problems, samples):
    """The chance of an evaluation more than the allowance above the truth is near its level, by the binomial."""
    correct = [[index < mean * problems] for index in range(problems)]
    for number in (1, 5):
        allowed = allowance(correct, number, 0.025)
        level = 0.025 / (number * (number + 1))
        exceeded = binom.sf(math.ceil(problems * (mean + allowed)) - 1, problems, mean)
        assert exceeded < 1.5 * level


def test_samples_that_agree_within_problems_are_less_noise():
    divided = [[True] * 4] * 50 + [[False] * 4] * 50
    coins = [[True, False, True, False]] * 100
    assert allowance(divided, 1, 0.025) < 0.2 * allowance(coins, 1, 0.025)
    assert allowance(divided, 1, 0.025) > 0
    assert allowance(coins, 10, 0.025) > allowance(coins, 1, 0.025)


def test_levels_and_problems_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        after_look(Evidence(), [0.5], [[True], [True]])
