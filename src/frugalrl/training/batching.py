"""From scored groups to rectangles that fit the device: flat rows, weights, micro-batches by tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from frugalrl.algorithms.advantages import Advantages
from frugalrl.algorithms.aggregation import Aggregation, token_weights
from frugalrl.types import MicroBatch, ScoredGroup


@dataclass(frozen=True)
class TrainingRow:
    """One completion with everything the loss needs."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    rollout_logprobs: tuple[float, ...]
    advantage: float
    token_weight: float
    """The weight of each of its loss tokens in the loss of the batch."""
    loss_mask: tuple[bool, ...]
    """For each completion token: whether it counts in the loss."""
    policy_versions: tuple[int, ...]
    """For each completion token: the version of the weights that sampled it."""


IDLE_ROW = TrainingRow((0,), (0,), (0.0,), 0.0, 0.0, (False,), (0,))
"""A row without loss tokens, whose gradient is zero: for a process that has no other to compute with the rest."""


def training_rows(
    groups: Sequence[ScoredGroup],
    advantages: Advantages,
    aggregation: Aggregation,
    constant_tokens: int,
    mask_truncated: bool = False,
) -> list[TrainingRow]:
    """All completions of a step, in order, with advantages within their group and weights over the batch.

    mask_truncated: leave out completions that reached the cap (DAPO's overlong filtering, 2503.14476, section 3.4).
    Their rewards stay in the baseline of their group and they stay in the number of completions, as in TRL; only
    their tokens leave the loss. A completion without a single loss token is left out in the same way. Lengths count
    loss tokens only.
    """
    values = [
        value
        for group in groups
        for value in advantages(torch.tensor([scored.reward for scored in group.completions])).tolist()
    ]
    completions = [(group.prompt, scored.completion) for group in groups for scored in group.completions]
    learned = [not (mask_truncated and completion.finish_reason == "length") for _, completion in completions]
    lengths = [sum(one.loss_mask) * kept for (_, one), kept in zip(completions, learned, strict=True)]
    weights = token_weights(torch.tensor(lengths), aggregation, constant_tokens).tolist()
    return [
        TrainingRow(
            prompt.token_ids,
            completion.token_ids,
            completion.rollout_logprobs,
            advantage,
            weight,
            completion.loss_mask,
            completion.policy_versions,
        )
        for (prompt, completion), advantage, weight, length in zip(completions, values, weights, lengths, strict=True)
        if length > 0
    ]


def micro_batches(
    rows: Sequence[TrainingRow], micro_batch_tokens: int, pad_id: int, device: torch.device
) -> list[MicroBatch]:
    """Rows in rectangles of at most `micro_batch_tokens` padded tokens, longest first.

    A longer row gets its own rectangle. Sorting by length keeps the padding small; it cannot change the gradient, since
    the weights were fixed over the whole batch.
    """
    order = sorted(range(len(rows)), key=lambda index: -_length(rows[index]))
    batches: list[list[int]] = []
    for index in order:
        width = _length(rows[batches[-1][0]]) if batches else 0
        if not batches or width * (len(batches[-1]) + 1) > micro_batch_tokens:
            batches.append([])
        batches[-1].append(index)
    return [_rectangle(rows, indices, pad_id, device) for indices in batches]


def _length(row: TrainingRow) -> int:
    return len(row.prompt_ids) + len(row.completion_ids)


def _rectangle(rows: Sequence[TrainingRow], indices: list[int], pad_id: int, device: torch.device) -> MicroBatch:
    width = max(_length(rows[index]) for index in indices)
    input_ids = torch.full((len(indices), width), pad_id, dtype=torch.int64)
    loss_mask = torch.zeros_like(input_ids, dtype=torch.bool)
    rollout_logprobs = torch.zeros(len(indices), width)
    policy_versions = torch.zeros_like(input_ids)
    for at, index in enumerate(indices):
        row = rows[index]
        start, end = len(row.prompt_ids), _length(row)
        input_ids[at, :end] = torch.tensor(row.prompt_ids + row.completion_ids)
        loss_mask[at, start:end] = torch.tensor(row.loss_mask)
        rollout_logprobs[at, start:end] = torch.tensor(row.rollout_logprobs)
        policy_versions[at, start:end] = torch.tensor(row.policy_versions)
    return MicroBatch(
        input_ids=input_ids.to(device),
        loss_mask=loss_mask.to(device),
        advantages=torch.tensor([rows[index].advantage for index in indices], device=device),
        token_weights=torch.tensor([rows[index].token_weight for index in indices], device=device),
        rollout_logprobs=rollout_logprobs.masked_fill(~loss_mask, 0.0).to(device),
        policy_versions=policy_versions.masked_fill(~loss_mask, 0).to(device),
    )
