"""The clipped policy-gradient surrogate and its KL term, per token: plain functions of log-probabilities.

    ratio  = exp(policy_logprobs - old_logprobs)
    loss   = -min(ratio * A, clip(ratio, 1 - clip_low, 1 + clip_high) * A) + kl_coef * KL(policy || reference)

PPO (1707.06347) with GRPO's group advantage (2402.03300); separate bounds are DAPO's clip-higher (2503.14476).
Masking and averaging are the caller's: `aggregation.py` says how tokens add up.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

KLEstimator = Literal["k1", "k2", "k3", "k3_unbiased"]


@dataclass(frozen=True)
class LossRule:
    """The numbers of the loss."""

    clip_low: float = 0.2
    clip_high: float = 0.2
    kl_coef: float = 0.0
    kl_estimator: KLEstimator = "k3"


@dataclass(frozen=True)
class TokenLosses:
    """Each float32 [N], N tokens; only `total` carries a gradient."""

    total: Tensor
    policy: Tensor
    kl: Tensor
    """Estimated KL to the reference; zeros without one."""
    clipped: Tensor
    """1 where the clip cut the gradient off."""


def token_losses(
    policy_logprobs: Tensor,
    old_logprobs: Tensor,
    ref_logprobs: Tensor | None,
    advantages: Tensor,
    rule: LossRule,
) -> TokenLosses:
    """The loss of each token.

    policy_logprobs: float32 [N], with gradient. old_logprobs: of the policy that sampled, [N].
    ref_logprobs: of the reference, [N], or None when `kl_coef` is 0. advantages: [N], one for each token.
    """
    ratio = torch.exp(policy_logprobs - old_logprobs)
    clipped_ratio = ratio.clamp(1 - rule.clip_low, 1 + rule.clip_high)
    surrogate, bounded = ratio * advantages, clipped_ratio * advantages
    policy_loss = -torch.minimum(surrogate, bounded)
    kl = torch.zeros_like(policy_loss)
    if ref_logprobs is not None:
        kl = kl_estimate(policy_logprobs, ref_logprobs, ratio, rule.kl_estimator)
    total = policy_loss if rule.kl_coef == 0 else policy_loss + rule.kl_coef * kl
    clipped = (bounded < surrogate).float()
    return TokenLosses(total, policy_loss.detach(), kl.detach(), clipped)


def kl_estimate(
    policy_logprobs: Tensor, ref_logprobs: Tensor, importance_ratio: Tensor, estimator: KLEstimator
) -> Tensor:
    """KL(policy || reference) at each sampled token, in nats (Schulman, joschu.net/blog/kl-approx.html).

    k1: log(policy / ref), unbiased, may be negative.   k2: half its square, >= 0.
    k3: ref/policy - log(ref/policy) - 1, >= 0, low variance; GRPO's.
    k3_unbiased: k3 times the importance ratio, whose gradient is unbiased too (DeepSeek-V3.2, 2512.02556).
    """
    log_ratio = ref_logprobs - policy_logprobs
    if estimator == "k1":
        return -log_ratio
    if estimator == "k2":
        return 0.5 * log_ratio**2
    # expm1 keeps the difference exact where policy and reference are nearly equal.
    k3 = torch.expm1(log_ratio) - log_ratio
    return importance_ratio * k3 if estimator == "k3_unbiased" else k3
