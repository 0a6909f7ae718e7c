"""One batch of completions -> one or more optimizer updates.

Three log-probs of the same tokens keep three names: `old_logprobs` (the policy that sampled: from the rollout
when the engine is exact, else recomputed before the first update), `policy_logprobs` (the policy being
updated) and `ref_logprobs` (the reference, only if there is a KL term).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from frugalrl.algorithms.losses import LossInputs, LossRule, token_losses
from frugalrl.lanes import Lanes, open_lanes
from frugalrl.training.distributed.placement import IN_ONE_PROCESS, Placement
from frugalrl.training.distributed.sharing import added_up, largest
from frugalrl.training.gradients import Backward, added_gradients
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import Policy, count
from frugalrl.types import MicroBatch


@dataclass(frozen=True)
class UpdateSettings:
    """What `update_policy` needs of a recipe."""

    loss: LossRule
    updates: int
    temperature: float
    """Of the rollout: the policy being updated sampled the batch itself."""
    logits_chunk_tokens: int
    old_from_rollout: bool
    entropy_coef: float = 0.0
    """Weight of the mean token entropy of the batch, which is subtracted from the loss."""
    policy_version: int = 0
    """Of the policy before the first update: the tokens' own versions say how far behind they are."""


def update_policy(
    policy: Policy,
    reference: Policy | None,
    optimizer: MasterOptimizer,
    batches: Sequence[MicroBatch],
    settings: UpdateSettings,
    lr_factor: float,
    placement: Placement = IN_ONE_PROCESS,
) -> dict[str, float]:
    """Update on a batch, `settings.updates` times; metrics as means over its tokens and updates.

    batches: empty if no completion has a learning signal: then nothing is updated, and what was not measured is NaN.
    `loss/total` is the loss itself, by its own weights.
    `policy/nonfinite_updates` counts the updates that were skipped because their gradient was NaN or infinite; with no
    batches an update is skipped too, and there was no gradient.

    Several processes each have micro-batches of their own, as many in each; metrics are those of all, and the same.
    The gradient of all micro-batches is added up before each update; their weights make the sum the gradient
    of the whole batch's loss.
    """
    if not batches:
        return {
            **dict.fromkeys(_ALWAYS_MEASURED, math.nan),
            "policy/skipped_updates": float(settings.updates),
            "policy/nonfinite_updates": 0.0,
        }
    world, together = placement.world, placement.computes_together
    own: Counter[str] = Counter()
    norms = []
    with open_lanes(count(policy.model.parameters()), policy.device) as lanes:
        old = placement.part(lambda: list(lanes.map(lambda batch: _old_logprobs(policy, batch, settings), batches)))
        ref = placement.part(lambda: _reference_logprobs(reference, batches, settings, lanes))
        staleness = torch.cat([settings.policy_version - batch.policy_versions for batch in batches])
        late = added_up(world, {"tokens": len(staleness), "staleness": float(staleness.sum())})
        tokens = int(late["tokens"])
        inputs = [_Inputs(*one) for one in zip(batches, old, ref, strict=True)]

        def computed(one: _Inputs, backward: Backward) -> dict[str, float]:
            scale = optimizer.loss_scale if together or _has_gradient(one.batch, settings) else None
            return _backward(policy, one, settings, tokens, scale, backward)

        def accumulate() -> None:
            for measured in added_gradients(policy.model, optimizer, inputs, computed, lanes, together):
                own.update(measured)

        for _ in range(settings.updates):
            placement.part(accumulate)
            norms.append(optimizer.step(lr_factor))
    sums = added_up(world, own)
    nonfinite = float(sum(not math.isfinite(norm) for norm in norms))
    return {
        "loss/total": sums.pop("loss/total") / settings.updates,
        **{name: total / (tokens * settings.updates) for name, total in sums.items()},
        "policy/staleness": late["staleness"] / tokens,
        "policy/staleness_max": largest(world, [float(staleness.max())] if len(staleness) else []),
        "policy/grad_norm": sum(norms) / len(norms),
        "policy/skipped_updates": nonfinite,
        "policy/nonfinite_updates": nonfinite,
    }


_ALWAYS_MEASURED = (
    "loss/total",
    "loss/policy",
    "policy/entropy",
    "policy/clipped_frac",
    "policy/rollout_logprob_gap",
    "policy/staleness",
    "policy/staleness_max",
    "policy/grad_norm",
)


@dataclass(frozen=True)
class _Inputs:
    """A micro-batch, and what other weights say of its tokens."""

    batch: MicroBatch
    old_logprobs: Tensor | None
    ref_logprobs: Tensor | None


def _backward(
    policy: Policy, one: _Inputs, settings: UpdateSettings, tokens: int, loss_scale: float | None, backward: Backward
) -> dict[str, float]:
    """Compute a micro-batch and hand its loss to the backward pass; its part of the loss, and sums over its tokens.

    tokens: of the whole batch, over which the entropy bonus is a mean. loss_scale: of the gradient alone; None computes
    no gradient.
    """
    batch, old, ref = one.batch, one.old_logprobs, one.ref_logprobs
    with torch.set_grad_enabled(loss_scale is not None):
        logprobs, entropy = _forward(policy, batch, settings, entropy_gradient=settings.entropy_coef != 0)
    rows, rollout_logprobs = batch.rows, batch.rollout_logprobs
    old_logprobs = logprobs.detach() if old is None else old
    inputs = LossInputs(logprobs, old_logprobs, batch.advantages[rows], rows, ref, rollout_logprobs)
    losses = token_losses(inputs, settings.loss)
    loss = (losses.total * batch.token_weights[rows]).sum()
    if settings.entropy_coef != 0:
        loss = loss - settings.entropy_coef * entropy.sum() / tokens
        entropy = entropy.detach()
    if loss_scale is not None and loss.requires_grad:
        backward(loss * loss_scale)
    gap = (logprobs.detach() - rollout_logprobs).abs()
    sums = {
        "loss/total": loss.detach(),
        "loss/policy": losses.policy.sum(),
        "policy/entropy": entropy.sum(),
        "policy/clipped_frac": losses.clipped.sum(),
        "policy/rollout_logprob_gap": gap.sum(),
        **{name: share.sum() for name, share in losses.shares.items()},
    }
    if ref is not None:
        sums["policy/kl"] = losses.kl.sum()
    return {name: float(value) for name, value in sums.items()}


def _has_gradient(batch: MicroBatch, settings: UpdateSettings) -> bool:
    """Whether the loss of a micro-batch depends on the weights: groups of equal rewards have no learning signal."""
    rule = settings.loss
    return batch.has_signal or rule.kl_coef != 0 or settings.entropy_coef != 0 or not rule.needs_advantage


def _old_logprobs(policy: Policy, batch: MicroBatch, settings: UpdateSettings) -> Tensor | None:
    """Those of the policy that sampled. None means the current policy: exact for a single update."""
    if settings.old_from_rollout:
        return batch.rollout_logprobs
    return None if settings.updates == 1 else _logprobs_of(policy, batch, settings)


def _reference_logprobs(
    reference: Policy | None, batches: Sequence[MicroBatch], settings: UpdateSettings, lanes: Lanes
) -> Sequence[Tensor | None]:
    if reference is None:
        return [None] * len(batches)
    with reference.at_hand():
        return list(lanes.map(lambda batch: _logprobs_of(reference, batch, settings), batches))


@torch.no_grad()
def _logprobs_of(policy: Policy, batch: MicroBatch, settings: UpdateSettings) -> Tensor:
    return _forward(policy, batch, settings)[0]


def _forward(
    policy: Policy, batch: MicroBatch, settings: UpdateSettings, entropy_gradient: bool = False
) -> tuple[Tensor, Tensor]:
    return policy.batch_logprobs(batch, settings.temperature, settings.logits_chunk_tokens, entropy_gradient)
