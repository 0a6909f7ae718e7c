"""Tokens and completions that the current policy would not have sampled: which to down-weight and which to mask.

Two causes, two remedies:
- The engine that samples computes other log-probs than the trainer (kernels, precision): `mismatch_weights`.
- The policy has moved since it sampled (several updates per batch, old rollouts): `off_policy_rows_kept`.
Nothing here has a gradient.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mismatch:
    """How a token is weighted by trainer probability / engine probability, both of the policy that sampled."""

    kind: Literal["tis", "icepop", "sequence_mask"]
    cap: float = 2.0
    """Of tis and sequence_mask."""
    low: float = 0.5
    high: float = 5.0
    """Of icepop."""


@torch.no_grad()
def mismatch_weights(log_ratio: Tensor, rows: Tensor, rule: Mismatch) -> tuple[Tensor, Tensor]:
    """The weight of each token's policy loss, and where the ratio itself was not used.

    log_ratio: [N], old_logprobs - rollout_logprobs. rows: int64 [N], the completion of each token.
    tis: min(ratio, cap), truncated importance sampling (fengyao.notion.site/off-policy-rl; its cap is 2).
    icepop: the ratio inside low..high, else 0 (IcePop, ringtech.notion.site/icepop; its range is 0.5..5).
    sequence_mask: the ratio of the whole completion, the product of its tokens', if it is at most cap, else 0 for all
        of its tokens (TRL's default, with a cap of 3).
    Returns [N], and bool [N].
    """
    if rule.kind == "sequence_mask":
        count = int(rows.max()) + 1 if len(rows) else 0
        whole = torch.exp(log_ratio.new_zeros(count).index_add(0, rows, log_ratio))[rows]
        return whole.masked_fill(whole > rule.cap, 0.0), whole > rule.cap
    ratio = torch.exp(log_ratio)
    if rule.kind == "tis":
        return ratio.clamp(max=rule.cap), ratio > rule.cap
    outside = (ratio < rule.low) | (ratio > rule.high)
    return ratio.masked_fill(outside, 0.0), outside


@torch.no_grad()
def off_policy_rows_kept(gap: Tensor, advantages: Tensor, rows: Tensor, threshold: float) -> Tensor:
    """False at the tokens of completions that are wrong and far from the current policy.

    gap: [N], log-prob when sampled - log-prob under the policy. A completion with a negative advantage whose mean gap
    exceeds `threshold` (nats per token) is left out; one with a positive advantage never is (DeepSeek-V3.2, 2512.02556,
    section 3.1). Returns bool [N].
    """
    return (advantages >= 0) | (row_means(gap, rows)[rows] <= threshold)


def row_means(values: Tensor, rows: Tensor) -> Tensor:
    """The mean of each row's values. values: [N]; rows: int64 [N], from 0. Returns [largest row + 1], 0 where empty."""
    count = int(rows.max()) + 1 if len(rows) else 0
    sums = values.new_zeros(count).index_add(0, rows, values)
    return sums / torch.bincount(rows, minlength=count).clamp(min=1)
