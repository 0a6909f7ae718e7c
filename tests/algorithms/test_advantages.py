"""Group advantages: the presets against numbers worked by hand, and what holds for all rewards."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.algorithms.advantages import PRESETS, group_advantages, zero_std_fraction

rewards = st.lists(st.floats(-10, 10, allow_nan=False), min_size=2, max_size=16)


def test_a_group_of_two_right_and_two_wrong_by_hand():
    # mean 0.5; population std 0.5; sample std 1/sqrt(3) = 0.57735
    group = torch.tensor([1.0, 1.0, 0.0, 0.0])
    expected = {
        "paper": 1.0,
        "population": 0.5 / (0.5 + 1e-6),
        "trl": 0.5 / (0.5773502691896258 + 1e-4),
        "dr_grpo": 0.5,
    }
    for preset, value in expected.items():
        advantages = PRESETS[preset](group)
        assert advantages.tolist() == pytest.approx([value, value, -value, -value], rel=1e-12)


def test_population_and_sample_std_are_nine_and_a_half_percent_apart_at_group_size_six():
    group = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    ratio = PRESETS["paper"](group)[0] / PRESETS["trl"](group)[0]
    assert float(ratio) == pytest.approx((6 / 5) ** 0.5, rel=1e-3)


def test_leave_one_out_subtracts_the_mean_of_the_others():
    group = torch.tensor([3.0, 1.0, 2.0])
    advantages = group_advantages(group, center="leave_one_out", divisor="none")
    assert advantages.tolist() == pytest.approx([3 - 1.5, 1 - 2.5, 2 - 2.0])


@given(rewards, st.sampled_from(sorted(PRESETS)))
def test_advantages_sum_to_zero_in_a_group(values, preset):
    advantages = PRESETS[preset](torch.tensor(values, dtype=torch.float64))
    assert float(advantages.sum()) == pytest.approx(0.0, abs=1e-6 * (1 + float(advantages.abs().max())))


@given(st.floats(-10, 10), st.integers(2, 16), st.sampled_from(sorted(PRESETS)))
def test_equal_rewards_teach_exactly_nothing(value, size, preset):
    assert PRESETS[preset](torch.full((size,), value)).tolist() == [0.0] * size


@given(rewards, st.floats(-5, 5), st.floats(0.1, 10))
def test_normalised_advantages_do_not_change_with_shift_and_scale(values, shift, scale):
    group = torch.tensor(values, dtype=torch.float64)
    if float(group.std(correction=0)) < 1e-3:
        return
    rule = PRESETS["paper"]
    moved = rule(group * scale + shift)
    assert torch.allclose(moved, rule(group), atol=1e-6)


def test_groups_stay_apart():
    both = torch.tensor([[1.0, 0.0, 0.0], [5.0, 5.0, 5.0]])
    together = PRESETS["trl"](both)
    assert torch.equal(together[0], PRESETS["trl"](both[0]))
    assert together[1].tolist() == [0.0, 0.0, 0.0]
    assert zero_std_fraction(both) == 0.5
