"""The surrogate and its KL term against a ten-line reference, and what must hold for all inputs."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.algorithms.losses import LossRule, kl_estimate, token_losses

logprob = st.floats(-20, -1e-3)


def reference_loss(policy, old, ref, advantage, rule):
    """GRPO's token objective as the paper writes it, in plain Python (arXiv 2402.03300, eq. 3 and 4)."""
    ratio = math.exp(policy - old)
    clipped = min(max(ratio, 1 - rule.clip_low), 1 + rule.clip_high)
    objective = min(ratio * advantage, clipped * advantage)
    kl = math.exp(ref - policy) - (ref - policy) - 1
    return -(objective - rule.kl_coef * kl)


@given(logprob, st.floats(-2, 2), st.floats(-2, 2), st.floats(-3, 3), st.floats(0, 0.9), st.floats(0, 0.9))
def test_a_token_costs_what_the_papers_formula_says(policy, to_old, to_ref, advantage, low, high):
    rule = LossRule(clip_low=low, clip_high=high, kl_coef=0.04)
    values = [torch.tensor([value], dtype=torch.float64) for value in (policy, policy + to_old, policy + to_ref)]
    losses = token_losses(*values, torch.tensor([advantage], dtype=torch.float64), rule)
    expected = reference_loss(policy, policy + to_old, policy + to_ref, advantage, rule)
    assert float(losses.total) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_at_ratio_one_the_gradient_is_the_policy_gradient():
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    tokens, advantages = torch.tensor([0, 3, 6, 2, 2]), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0], dtype=torch.float64)
    logprobs = torch.log_softmax(logits, -1).gather(-1, tokens[:, None]).squeeze(-1)
    total = token_losses(logprobs, logprobs.detach(), None, advantages, LossRule()).total.sum()
    (gradient,) = torch.autograd.grad(total, logits, retain_graph=True)
    (policy_gradient,) = torch.autograd.grad(-(logprobs * advantages).sum(), logits)
    assert torch.allclose(gradient, policy_gradient, atol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "advantage", "has_gradient"),
    [(1.5, 1.0, False), (1.5, -1.0, True), (0.5, 1.0, True), (0.5, -1.0, False), (1.25, 1.0, True)],
)
def test_the_clip_stops_only_moves_that_went_far_enough_already(ratio, advantage, has_gradient):
    policy = torch.tensor([math.log(ratio)], requires_grad=True)
    rule = LossRule(clip_low=0.2, clip_high=0.28)
    losses = token_losses(policy, torch.zeros(1), None, torch.tensor([advantage]), rule)
    losses.total.sum().backward()
    assert bool(policy.grad.abs() > 0) is has_gradient
    assert bool(losses.clipped) is not has_gradient


@given(logprob, logprob)
def test_k2_and_k3_are_never_negative(policy, ref):
    pair = torch.tensor([policy]), torch.tensor([ref])
    for estimator in ("k2", "k3", "k3_unbiased"):
        assert float(kl_estimate(*pair, torch.ones(1), estimator)) >= 0


def test_estimators_agree_with_the_exact_kl_of_two_distributions():
    """Expectations over all tokens, not samples: k1 and k3 are unbiased, k2 is close for near distributions."""
    generator = torch.Generator().manual_seed(1)
    policy = torch.log_softmax(torch.randn(50, generator=generator, dtype=torch.float64), -1)
    ref = torch.log_softmax(policy + 0.05 * torch.randn(50, generator=generator, dtype=torch.float64), -1)
    exact = float(torch.nn.functional.kl_div(ref, policy, log_target=True, reduction="sum"))
    means = {
        estimator: float((policy.exp() * kl_estimate(policy, ref, torch.ones(50), estimator)).sum())
        for estimator in ("k1", "k2", "k3", "k3_unbiased")
    }
    assert means["k1"] == pytest.approx(exact, rel=1e-9)
    assert means["k3"] == pytest.approx(exact, rel=1e-9)
    assert means["k3_unbiased"] == pytest.approx(exact, rel=1e-9)
    assert means["k2"] == pytest.approx(exact, rel=0.1)


def test_the_unbiased_k3_has_the_gradient_of_the_exact_kl_and_k3_has_not():
    """Expected gradients over all tokens of the sampling policy (arXiv 2512.02556)."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(20, generator=generator, dtype=torch.float64, requires_grad=True)
    ref = torch.log_softmax(torch.randn(20, generator=generator, dtype=torch.float64), -1)
    policy = torch.log_softmax(logits, -1)
    (exact,) = torch.autograd.grad((policy.exp() * (policy - ref)).sum(), logits, retain_graph=True)
    gradients = {}
    for estimator in ("k3", "k3_unbiased"):
        ratio = torch.exp(policy - policy.detach())
        expected = (policy.detach().exp() * kl_estimate(policy, ref, ratio, estimator)).sum()
        (gradients[estimator],) = torch.autograd.grad(expected, logits, retain_graph=True)
    assert torch.allclose(gradients["k3_unbiased"], exact, atol=1e-12)
    assert not torch.allclose(gradients["k3"], exact, atol=1e-2)


def test_without_a_kl_term_the_loss_does_not_see_the_reference():
    policy, old, advantages = torch.tensor([-1.0]), torch.tensor([-1.1]), torch.tensor([0.7])
    without = token_losses(policy, old, None, advantages, LossRule(kl_coef=0.0))
    observed = token_losses(policy, old, torch.tensor([-3.0]), advantages, LossRule(kl_coef=0.0))
    assert float(without.total) == float(observed.total)
    assert float(observed.kl) > 0
