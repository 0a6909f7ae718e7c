"""Group advantages: the presets against numbers worked by hand, and what holds for all rewards."""

from functools import partial

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


close_rewards = st.lists(st.floats(-10, 10, allow_nan=False, width=32), min_size=2, max_size=12)
RULES = {**PRESETS, "rloo": partial(group_advantages, center="leave_one_out", divisor="none")}


@given(close_rewards, st.sampled_from(sorted(RULES)), st.randoms())
def test_the_order_of_a_group_does_not_matter(values, name, random):
    order = list(range(len(values)))
    random.shuffle(order)
    rule, group = RULES[name], torch.tensor(values, dtype=torch.float64)
    straight, shuffled = rule(group), rule(group[order])
    assert torch.allclose(shuffled, straight[order], rtol=1e-9, atol=1e-9)


@given(close_rewards, st.floats(-5, 5), st.floats(0.1, 10))
def test_without_a_divisor_advantages_scale_with_the_rewards(values, shift, scale):
    group = torch.tensor(values, dtype=torch.float64)
    for name in ("dr_grpo", "rloo"):
        moved = RULES[name](group * scale + shift)
        assert torch.allclose(moved, scale * RULES[name](group), atol=1e-6)


@given(
    st.lists(st.lists(st.integers(0, 12), min_size=4, max_size=4), min_size=1, max_size=5), st.sampled_from([*RULES])
)
def test_a_group_does_not_see_the_others(quarters, name):
    batch, rule = torch.tensor(quarters, dtype=torch.float64) / 4, RULES[name]
    assert torch.allclose(rule(batch), torch.stack([rule(row) for row in batch]), rtol=1e-12, atol=1e-12)


@given(st.lists(st.floats(-1e300, 1e300, allow_subnormal=True), min_size=2, max_size=8), st.sampled_from(sorted(RULES)))
def test_a_better_reward_never_has_a_smaller_advantage_and_none_is_nan(values, name):
    """Rewards far apart overflow a variance; those too close have one of 0. Neither may make a NaN."""
    group = torch.tensor(values, dtype=torch.float64)
    if not group.sum().isfinite() or float(group.abs().max()) > 1e150:
        return
    advantages = RULES[name](group)
    assert bool(advantages.isfinite().all())
    ordered = advantages[group.argsort(stable=True)]
    assert bool((ordered.diff() >= -1e-9 * (1 + ordered.abs().max())).all())
