"""Length rewards: numbers one can check by eye, TRL's documented example, and the released formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.rewards.length import cosine_reward, group_length_rewards, soft_overlong_reward


@pytest.mark.parametrize(
    ("correct", "length", "reward"),
    [
        (True, 0, 1.0),
        (True, 50, 0.75),
        (True, 100, 0.5),
        (True, 150, 0.5),
        (True, 200, 0.5),
        (False, 0, -0.5),
        (False, 50, -0.25),
        (False, 100, 0.0),
        (False, 10_000, 0.0),
    ],
)
def test_cosine_goes_from_its_value_at_zero_to_its_value_at_the_bound_and_stays(correct, length, reward):
    assert cosine_reward(correct, length, 100) == pytest.approx(reward)


def test_cosine_has_both_directions_of_the_wrong_bounds():
    short_is_worst = [cosine_reward(False, n, 100, wrong_at_zero=-1.0, wrong_at_max=-0.5) for n in (0, 100)]
    long_is_worst = [cosine_reward(False, n, 100, wrong_at_zero=0.0, wrong_at_max=-0.5) for n in (0, 100)]
    assert short_is_worst == [-1.0, -0.5]
    assert long_is_worst == [0.0, -0.5]


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_longer_right_answer_never_earns_more(a, b):
    shorter, longer = sorted((a, b))
    assert cosine_reward(True, longer, 200) <= cosine_reward(True, shorter, 200)


def test_kimi_length_pays_the_shortest_half_and_takes_half_from_the_longest():
    assert group_length_rewards([True, True, True], [100, 150, 200]) == [0.5, 0.0, -0.5]


def test_kimi_length_never_pays_a_wrong_answer():
    assert group_length_rewards([False, True, False], [100, 150, 200]) == [0.0, 0.0, -0.5]


def test_kimi_length_is_silent_when_all_are_equally_long_or_there_is_none():
    assert group_length_rewards([True, False], [70, 70]) == [0.0, 0.0]
    assert group_length_rewards([], []) == []


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1000)), min_size=2, max_size=16))
def test_kimi_length_does_not_change_when_every_completion_grows_by_the_same(rows):
    correct, lengths = [right for right, _ in rows], [length for _, length in rows]
    grown = group_length_rewards(correct, [length + 500 for length in lengths])
    assert grown == group_length_rewards(correct, lengths)


def test_soft_overlong_is_trls_documented_example():
    assert soft_overlong_reward(90, max_length_tokens=100, cache_tokens=20) == -0.5


@pytest.mark.parametrize(
    ("length", "reward"), [(0, 0.0), (16_384, 0.0), (18_432, -0.5), (20_480, -1.0), (20_481, -1.0)]
)
def test_soft_overlong_with_dapos_own_bounds(length, reward):
    assert soft_overlong_reward(length, max_length_tokens=20_480, cache_tokens=4_096) == reward


@pytest.mark.parametrize(("bound", "cache"), [(100, 0), (100, 101), (100, -5)])
def test_soft_overlong_refuses_a_cache_that_is_empty_or_larger_than_the_bound(bound, cache):
    with pytest.raises(ValueError, match="cache_tokens"):
        soft_overlong_reward(10, bound, cache)


def test_cosine_refuses_a_bound_that_is_not_positive():
    with pytest.raises(ValueError, match="max_length_tokens"):
        cosine_reward(True, 1, 0)


def test_no_length_reward_is_ever_nan():
    assert not any(map(math.isnan, group_length_rewards([True] * 3, [1, 2, 1_000_000])))
