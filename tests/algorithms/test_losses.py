"""The surrogate and its KL term against a ten-line reference, and what must hold for all inputs."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.algorithms.losses import LossInputs, LossRule, TokenLosses, cispo, gspo, kl_estimate, ppo, sapo
from frugalrl.algorithms.losses import token_losses as losses_of_inputs
from frugalrl.algorithms.off_policy import Mismatch, mismatch_weights, off_policy_rows_kept, row_means
from frugalrl.config.algorithm_schema import LossSettings
from frugalrl.training.rules import loss_rule

logprob = st.floats(-20, -1e-3)
SURROGATES = {"ppo": ppo, "gspo": gspo, "cispo": cispo, "sapo": sapo}


def token_losses(policy, old, ref, advantages, rule, rows=None, rollout=None) -> TokenLosses:
    """Each token a completion of its own, unless `rows` says otherwise."""
    rows = torch.arange(len(policy)) if rows is None else rows
    return losses_of_inputs(LossInputs(policy, old, advantages, rows, ref, rollout), rule)


def reference_loss(policy, old, ref, advantage, low, high, kl_coef):
    """GRPO's token objective as the paper writes it, in plain Python (arXiv 2402.03300, eq. 3 and 4)."""
    ratio = math.exp(policy - old)
    clipped = min(max(ratio, 1 - low), 1 + high)
    objective = min(ratio * advantage, clipped * advantage)
    kl = math.exp(ref - policy) - (ref - policy) - 1
    return -(objective - kl_coef * kl)


@given(logprob, st.floats(-2, 2), st.floats(-2, 2), st.floats(-3, 3), st.floats(0, 0.9), st.floats(0, 0.9))
def test_a_token_costs_what_the_papers_formula_says(policy, to_old, to_ref, advantage, low, high):
    rule = LossRule(partial(ppo, clip_low=low, clip_high=high), kl_coef=0.04)
    values = [torch.tensor([value], dtype=torch.float64) for value in (policy, policy + to_old, policy + to_ref)]
    losses = token_losses(*values, torch.tensor([advantage], dtype=torch.float64), rule)
    expected = reference_loss(policy, policy + to_old, policy + to_ref, advantage, low, high, 0.04)
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
    rule = LossRule(partial(ppo, clip_low=0.2, clip_high=0.28))
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


def plain_surrogate(name, policy, old, advantages, rows, low, high, delta, tau_pos, tau_neg):
    """Each objective as its paper writes it, a token at a time in plain Python."""
    ratios = [math.exp(new - before) for new, before in zip(policy, old, strict=True)]
    values = []
    for at, (ratio, advantage) in enumerate(zip(ratios, advantages, strict=True)):
        own = [ratios[other] for other in range(len(rows)) if rows[other] == rows[at]]
        if name == "gspo":
            ratio = math.prod(own) ** (1 / len(own))
        bounded = min(max(ratio, 1 - low), 1 + high)
        if name == "cispo":
            values.append(-bounded * advantage * policy[at])
        elif name == "sapo":
            tau = tau_pos if advantage > 0 else tau_neg
            values.append(-advantage * 4 / tau / (1 + math.exp(-tau * (ratio - 1))))
        else:
            capped = ratio if delta is None else min(ratio, delta)
            values.append(-min(capped * advantage, bounded * advantage))
    return values


@pytest.mark.parametrize("delta", [None, 1.5])
@pytest.mark.parametrize("name", SURROGATES)
def test_a_surrogate_is_its_papers_formula(name, delta):
    generator = torch.Generator().manual_seed(3)
    rows = [0, 0, 0, 1, 2, 2, 2, 2, 3, 3]
    policy = -3 * torch.rand(10, generator=generator, dtype=torch.float64)
    old = policy + 0.7 * torch.randn(10, generator=generator, dtype=torch.float64)
    advantages = torch.tensor([1.3, -0.7, 0.0, -1.1], dtype=torch.float64)[rows]
    numbers = {"clip_low": 0.1, "clip_high": 0.28, "delta": delta, "tau_pos": 0.9, "tau_neg": 1.3}
    rule = loss_rule(LossSettings(surrogate=name, **numbers | ({} if name in ("ppo", "gspo") else {"delta": None})))
    losses = token_losses(policy, old, None, advantages, rule, torch.tensor(rows))
    expected = plain_surrogate(name, policy.tolist(), old.tolist(), advantages.tolist(), rows, *numbers.values())
    assert losses.total.tolist() == pytest.approx(expected, rel=1e-12)
    assert losses.shares == {}


@pytest.mark.parametrize("name", SURROGATES)
def test_on_policy_every_surrogate_has_the_policy_gradient_of_a_completion(name):
    """At ratio 1 they differ only off policy; gspo spreads a completion's gradient evenly over its own tokens."""
    policy = torch.tensor([-1.0, -0.5, -2.0, -0.1], dtype=torch.float64, requires_grad=True)
    rows, advantages = torch.tensor([0, 0, 0, 1]), torch.tensor([2.0, 2.0, 2.0, -1.0], dtype=torch.float64)
    losses = token_losses(policy, policy.detach(), None, advantages, LossRule(SURROGATES[name]), rows)
    losses.total.sum().backward()
    assert policy.grad.tolist() == pytest.approx((-advantages).tolist(), rel=1e-12)
    assert losses.clipped.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("name", "ratio", "advantage", "gradient", "clipped"),
    [
        ("ppo", 3.0, -1.0, 3.0, False),  # plain PPO: a bad token that became likely pulls without bound
        ("ppo", 5.0, -1.0, 0.0, True),  # delta 4 lets go of it
        ("gspo", 5.0, -1.0, 0.0, True),
        ("cispo", 3.0, 1.0, -1.28, True),  # keeps its gradient, with the weight bounded
        ("cispo", 1.2, 1.0, -1.2, False),
        ("sapo", 1.0, 1.0, -1.0, False),
        ("sapo", 3.0, 1.0, -3 * 4 * 0.880797 * 0.119203, False),  # 4 p (1 - p) at sigmoid(2) = 0.880797
        ("sapo", 3.0, -1.0, 3 * 4 * 0.890903 * 0.109097, False),  # sigmoid(2.1): fades faster
    ],
)
def test_gradients_off_policy_can_be_checked_by_hand(name, ratio, advantage, gradient, clipped):
    policy = torch.tensor([math.log(ratio)], requires_grad=True)
    delta = 4.0 if name in ("ppo", "gspo") else None
    rule = loss_rule(LossSettings(surrogate=name, clip_low=0.2, clip_high=0.28, delta=delta))
    losses = token_losses(policy, torch.zeros(1), None, torch.tensor([advantage]), rule)
    losses.total.sum().backward()
    assert float(policy.grad) == pytest.approx(gradient, rel=1e-4)
    assert bool(losses.clipped) is clipped


def test_truncated_importance_sampling_caps_the_weight_and_icepop_drops_the_token():
    """Trainer over engine: 0.25, 1, 1.5 and 6 times the probability."""
    log_ratio = torch.tensor([0.25, 1.0, 1.5, 6.0]).log()
    weights, changed = mismatch_weights(log_ratio, torch.arange(4), Mismatch("tis", cap=2.0))
    assert weights.tolist() == pytest.approx([0.25, 1.0, 1.5, 2.0])
    assert changed.tolist() == [False, False, False, True]
    weights, changed = mismatch_weights(log_ratio, torch.arange(4), Mismatch("icepop", low=0.5, high=5.0))
    assert weights.tolist() == pytest.approx([0.0, 1.0, 1.5, 0.0])
    assert changed.tolist() == [True, False, False, True]


def test_a_completion_far_from_what_the_trainer_would_sample_is_left_out_whole():
    """Ratios of 2 and 2 make 4, above the cap of 3; of 2 and 0.5 make 1; 0.1 alone is not above."""
    log_ratio = torch.tensor([2.0, 2.0, 2.0, 0.5, 0.1]).log()
    rows = torch.tensor([0, 0, 1, 1, 2])
    weights, changed = mismatch_weights(log_ratio, rows, Mismatch("sequence_mask", cap=3.0))
    assert weights.tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0, 0.1])
    assert changed.tolist() == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("kind", "weights"), [("tis", [2.0, 0.5]), ("icepop", [0.0, 0.5]), ("sequence_mask", [0.0, 0.5])]
)
def test_the_correction_weighs_the_policy_loss_and_not_the_kl(kind, weights):
    policy, old = torch.tensor([-1.0, -2.0]), torch.tensor([-1.2, -2.1])
    rollout = old - torch.tensor([6.0, 0.5]).log()
    arguments = (policy, old, policy + 0.3, torch.tensor([1.0, -1.0]))
    plain = token_losses(*arguments, LossRule(kl_coef=0.1))
    corrected = token_losses(*arguments, LossRule(kl_coef=0.1, mismatch=Mismatch(kind)), rollout=rollout)
    assert corrected.policy.tolist() == pytest.approx((plain.policy * torch.tensor(weights)).tolist())
    assert torch.equal(corrected.kl, plain.kl)
    assert corrected.shares["policy/mismatch_frac"].tolist() == [1.0, 0.0]


def test_a_correction_without_the_rollouts_logprobs_is_refused():
    with pytest.raises(ValueError, match="log-probs of the rollout"):
        token_losses(torch.zeros(1), torch.zeros(1), None, torch.ones(1), LossRule(mismatch=Mismatch("tis")))


def test_only_wrong_completions_far_off_policy_are_left_out():
    """Mean gaps of 0.2, 0.6 (wrong), 0.6 (right) and 0.6 (neither) nats a token at a threshold of 0.5."""
    rows = torch.tensor([0, 0, 1, 1, 2, 3])
    gap = torch.tensor([0.0, 0.4, 1.2, 0.0, 0.6, 0.6])
    advantages = torch.tensor([-1.0, -1.0, 1.0, 0.0])
    wrong_too = torch.tensor([-1.0, -1.0, 1.0, 0.0])[rows]
    assert off_policy_rows_kept(gap, wrong_too, rows, 0.5).tolist() == [True, True, False, False, True, True]
    policy = -gap
    losses = token_losses(policy, torch.zeros(6), None, advantages[rows], LossRule(off_policy_mask=0.5), rows)
    assert losses.policy[2:4].tolist() == [0.0, 0.0]
    assert losses.policy[0] != 0
    assert losses.shares["policy/off_policy_masked_frac"].tolist() == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]


def test_row_means_are_means_of_rows():
    rows = torch.tensor([0, 2, 2, 2])
    assert row_means(torch.tensor([4.0, 1.0, 2.0, 6.0]), rows).tolist() == [4.0, 0.0, 3.0]
    assert row_means(torch.zeros(0), torch.zeros(0, dtype=torch.int64)).shape == (0,)
