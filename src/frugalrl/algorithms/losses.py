"""The policy-gradient surrogates and the KL term, per token: plain functions of log-probabilities.

    ratio  = exp(policy_logprobs - old_logprobs)
    loss   = surrogate(ratio, A) + kl_coef * KL(policy || reference)

    surrogate  of a token, A its advantage                                                       from
    ppo        -min(ratio A, clip(ratio) A); `delta` bounds the ratio where A < 0 too            1707.06347, 2402.03300
    gspo       the same with the ratio of the whole completion, its length-th root               2507.18071
    cispo      -clip(ratio) A policy_logprobs, the clipped ratio without gradient                2506.13585
    sapo       -sigmoid(tau (ratio - 1)) 4 / tau A, another tau for positive A                   2511.20347

Separate bounds of the clip are DAPO's clip-higher (2503.14476); `delta` is the upper bound for negative advantages of
INTELLECT-2 (2505.07291). A surrogate is a small function with settings of its own, and a line in
`functions.SURROGATES`; nothing else knows its name.
Masks and weights for tokens that are off policy are in `off_policy.py`. Averaging is the caller's: `aggregation.py`
says how tokens add up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from frugalrl.algorithms.off_policy import Mismatch, mismatch_weights, off_policy_rows_kept, row_means

KLEstimator = Literal["k1", "k2", "k3", "k3_unbiased"]


@dataclass(frozen=True)
class LossInputs:
    """The inputs of the loss for N tokens, completions side by side."""

    policy_logprobs: Tensor
    """float32 [N], with gradient."""
    old_logprobs: Tensor
    """[N]: under the policy that sampled."""
    advantages: Tensor
    """[N]: one for each token."""
    rows: Tensor
    """int64 [N]: the number of the completion that a token belongs to, from 0."""
    ref_logprobs: Tensor | None = None
    """[N]: under the reference; None without one."""
    rollout_logprobs: Tensor | None = None
    """[N]: as the engine reported them; needed by `mismatch`, and by `off_policy_mask` if they differ from the old."""


Surrogate = Callable[[LossInputs], tuple[Tensor, Tensor]]
"""The loss of the tokens [N], and bool [N]: where a bound took effect."""


def ppo(
    inputs: LossInputs, *, clip_low: float = 0.2, clip_high: float = 0.2, delta: float | None = None
) -> tuple[Tensor, Tensor]:
    """PPO's clipped surrogate, token by token."""
    ratio = torch.exp(inputs.policy_logprobs - inputs.old_logprobs)
    return _clipped(ratio, inputs.advantages, clip_low, clip_high, delta)


def gspo(
    inputs: LossInputs, *, clip_low: float = 0.2, clip_high: float = 0.2, delta: float | None = None
) -> tuple[Tensor, Tensor]:
    """PPO's surrogate with one ratio for all tokens of a completion: the geometric mean of theirs (eq. 7)."""
    log_ratio = row_means(inputs.policy_logprobs - inputs.old_logprobs, inputs.rows)
    return _clipped(torch.exp(log_ratio)[inputs.rows], inputs.advantages, clip_low, clip_high, delta)


def cispo(inputs: LossInputs, *, clip_low: float = 0.2, clip_high: float = 0.2) -> tuple[Tensor, Tensor]:
    """REINFORCE weighted with the clipped ratio (eq. 4 and 5): no token loses its gradient."""
    ratio = torch.exp(inputs.policy_logprobs - inputs.old_logprobs).detach()
    weight = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -weight * inputs.advantages * inputs.policy_logprobs, weight != ratio


def sapo(inputs: LossInputs, *, tau_pos: float = 1.0, tau_neg: float = 1.05) -> tuple[Tensor, Tensor]:
    """A soft gate: the gradient fades out as the ratio leaves 1, faster for negative advantages."""
    ratio = torch.exp(inputs.policy_logprobs - inputs.old_logprobs)
    tau = torch.full_like(inputs.advantages, tau_neg).masked_fill(inputs.advantages > 0, tau_pos)
    gate = torch.sigmoid(tau * (ratio - 1)) * 4 / tau
    return -gate * inputs.advantages, torch.zeros_like(ratio, dtype=torch.bool)


def _clipped(
    ratio: Tensor, advantages: Tensor, clip_low: float, clip_high: float, delta: float | None
) -> tuple[Tensor, Tensor]:
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    surrogate = ratio * advantages
    clipped = bounded < surrogate
    if delta is not None:
        surrogate = ratio.clamp(max=delta) * advantages
        clipped = clipped | ((advantages < 0) & (ratio > delta))
    return -torch.minimum(surrogate, bounded), clipped


@dataclass(frozen=True)
class LossRule:
    """The surrogate, and the options shared by all losses."""

    surrogate: Surrogate = ppo
    """Its own settings are bound: ``functools.partial(ppo, clip_high=0.28)``."""
    kl_coef: float = 0.0
    kl_estimator: KLEstimator = "k3"
    mismatch: Mismatch | None = None
    """Correction for an engine whose log-probs differ from the trainer's."""
    off_policy_mask: float | None = None
    """Nats per token; see `off_policy_rows_kept`."""
    needs_advantage: bool = True
    """Whether the surrogate is zero wherever the advantage is. A user's own may not be."""


@dataclass(frozen=True)
class TokenLosses:
    """Each float32 [N], N tokens; only `total` carries a gradient."""

    total: Tensor
    policy: Tensor
    kl: Tensor
    """Estimated KL to the reference; zeros without one."""
    clipped: Tensor
    """1 where the clip cut off the gradient; for cispo, where it bounded the weight."""
    shares: Mapping[str, Tensor]
    """By metric name: 1 at the tokens changed by an active option."""


def token_losses(inputs: LossInputs, rule: LossRule) -> TokenLosses:
    """The loss of each token."""
    policy_loss, clipped = rule.surrogate(inputs)
    shares: dict[str, Tensor] = {}
    if rule.mismatch is not None:
        if inputs.rollout_logprobs is None:
            raise ValueError("a mismatch correction needs the log-probs of the rollout")
        weights, changed = mismatch_weights(inputs.old_logprobs - inputs.rollout_logprobs, inputs.rows, rule.mismatch)
        policy_loss = policy_loss * weights
        shares["policy/mismatch_frac"] = changed.float()
    if rule.off_policy_mask is not None:
        sampled = inputs.old_logprobs if inputs.rollout_logprobs is None else inputs.rollout_logprobs
        gap = sampled - inputs.policy_logprobs.detach()
        kept = off_policy_rows_kept(gap, inputs.advantages, inputs.rows, rule.off_policy_mask)
        policy_loss = torch.where(kept, policy_loss, 0.0)
        shares["policy/off_policy_masked_frac"] = (~kept).float()
    kl = torch.zeros_like(policy_loss)
    if inputs.ref_logprobs is not None:
        ratio = torch.exp(inputs.policy_logprobs - inputs.old_logprobs)
        kl = kl_estimate(inputs.policy_logprobs, inputs.ref_logprobs, ratio, rule.kl_estimator)
    total = policy_loss if rule.kl_coef == 0 else policy_loss + rule.kl_coef * kl
    return TokenLosses(total, policy_loss.detach(), kl.detach(), clipped.float(), shares)


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
