"""Our loss, gradient and advantages are TRL's, by TRL's own trainer on the same rollouts.

`benchmarks/trl_parity.py` says how the two are run; this holds the differences to what fp32 leaves: about 1e-6 of
a gradient. Part of it comes from padding, on the left there and on the right here: a token then has another
position, whose rotary angles round differently.
"""

import dataclasses
import functools

import pytest
import torch
from benchmarks.trl_parity import (
    ADVANTAGE_PAIRS,
    ADVANTAGE_REWARDS,
    CASES,
    OPTION_CASES,
    Case,
    Comparison,
    compare,
)
from benchmarks.trl_parity import compare_advantages as largest_advantage_difference

from frugalrl.algorithms.advantages import PRESETS

pytest.importorskip("trl", reason="TRL is not installed: it is never a dependency, only the other side of this test")

LOSS_TOLERANCE = 1e-6
GRADIENT_TOLERANCE = 4e-6

comparison_of = functools.cache(compare)


@pytest.fixture(params=CASES, ids=str)
def case(request) -> Case:
    return request.param


@pytest.fixture
def comparison(case) -> Comparison:
    return comparison_of(case)


def test_loss_is_trls(comparison):
    assert max(step.loss_difference for step in comparison.steps) < LOSS_TOLERANCE


def test_gradient_is_trls_in_every_parameter(comparison):
    assert min(step.gradient_norm for step in comparison.steps) > 0.1
    assert max(step.gradient_difference for step in comparison.steps) < GRADIENT_TOLERANCE
    assert max(step.gradient_difference_worst_tensor for step in comparison.steps) < GRADIENT_TOLERANCE


def test_advantages_are_trls(comparison):
    assert comparison.advantage_difference < 1e-6


def test_both_sides_of_the_clip_are_seen(comparison):
    on_policy, off_policy = comparison.steps
    assert on_policy.clipped_frac == 0
    assert 0.1 < off_policy.clipped_frac < 0.9


@pytest.mark.parametrize("case", [case for case in CASES if case.cuts == 1], ids=str)
def test_clipped_share_and_kl_are_reported_as_trl_reports_them(case):
    # Over several micro-batches TRL reports means of their means, which are other numbers.
    for step in comparison_of(case).steps:
        assert step.clipped_frac == pytest.approx(step.clipped_frac_trl, abs=1e-6)
        if case.kl_coef and case.kl_estimator == "k3":
            assert step.kl == pytest.approx(step.kl_trl, rel=1e-5)
            assert step.kl > 0.01


@pytest.mark.parametrize("case", OPTION_CASES, ids=str)
def test_surrogates_masks_and_the_entropy_bonus_are_trls(case):
    on_policy, off_policy = comparison_of(case).steps
    for step in (on_policy, off_policy):
        assert step.loss_difference < LOSS_TOLERANCE
        assert step.gradient_difference < GRADIENT_TOLERANCE
        assert step.gradient_norm > 0.1
    assert on_policy.clipped_frac == 0
    assert (off_policy.clipped_frac > 0.1) is (case.surrogate != "sapo")


@pytest.mark.parametrize("case", OPTION_CASES, ids=str)
def test_an_option_is_told_apart_from_its_absence(case):
    plain = dataclasses.replace(case, surrogate="ppo", delta=None, off_policy_mask=None, entropy_coef=0.0)
    without = compare(case, plain)
    assert without.steps[1].gradient_difference > 1e-3


@pytest.mark.parametrize(("loss_type", "aggregation"), [("bnpo", "token"), ("dapo", "sequence")])
def test_a_pair_that_does_not_mean_the_same_is_told_apart(loss_type, aggregation):
    # bnpo's mean over eight micro-batches of one is not the token mean: the dependence on the cut that ours lacks.
    steps = compare(Case(loss_type, aggregation, cuts=8)).steps
    assert min(step.gradient_difference for step in steps) > 0.05


@pytest.mark.parametrize(("scale_rewards", "preset"), ADVANTAGE_PAIRS)
def test_presets_are_trls_scalings(scale_rewards, preset):
    assert largest_advantage_difference(ADVANTAGE_REWARDS, 6, scale_rewards, preset) < 1e-6


def test_a_constant_group_is_exactly_zero_here_and_rounding_noise_at_most_in_trl():
    # The fp32 mean of seven times 0.7 is not quite 0.7, and TRL divides what is left by a deviation of 0 + 1e-4.
    rewards = torch.full((7,), 0.7)
    assert PRESETS["trl"](rewards).tolist() == [0.0] * 7
    assert largest_advantage_difference(rewards.tolist(), 7, "group", "trl") < 1e-3


@pytest.fixture(autouse=True)
def _one_thread():
    """The tensors are tiny: a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
