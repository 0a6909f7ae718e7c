"""From scored groups to micro-batches that fit the device: rows, weights, tokens side by side."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from frugalrl.algorithms.advantages import Advantages
from frugalrl.algorithms.aggregation import Aggregation, token_weights
from frugalrl.training.layout import attention_layout, place
from frugalrl.types import MicroBatch, ScoredGroup

CPU_MICRO_BATCH_TOKENS = 2048
"""More at once is not faster on a CPU, and leaves its caches (docs/lab-log.md)."""
EVEN_FROM_TOKENS = 1024
"""A batch of fewer is not cut for the sake of a second lane."""


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
    rows: Sequence[TrainingRow], micro_batch_tokens: int, device: torch.device, even: bool = False
) -> list[MicroBatch]:
    """Rows side by side, at most `micro_batch_tokens` at once; those of a prompt together, so that they share it.

    A row counts its prompt and its completion; a longer one is alone. Where a prompt's rows do not fit together they
    are cut. Groups without an advantage come last, apart from the others: they may need no backward pass. None of this
    can change the gradient, since the weights were fixed over the whole batch.

    even: into an even number of micro-batches of about one size, so that two lanes have the same to do. The number of
    lanes has no say, so that it cannot change a digit.
    """
    groups: dict[tuple[int, ...], list[TrainingRow]] = {}
    for row in rows:
        groups.setdefault(row.prompt_ids, []).append(row)
    in_order = sorted(groups.values(), key=lambda group: not _has_signal(group))
    ordered = [row for group in in_order for row in group]
    signals = [signal for group in in_order for signal in [_has_signal(group)] * len(group)]
    lengths = [len(row.prompt_ids) + len(row.completion_ids) for row in ordered]
    starts = first_rows(lengths, signals, micro_batch_tokens, even)
    return [_micro_batch(ordered[start:end], device) for start, end in pairwise([*starts, len(ordered)])]


def first_rows(lengths: Sequence[int], signals: Sequence[bool], micro_batch_tokens: int, even: bool) -> list[int]:
    """Where micro-batches begin among rows of so many tokens, which have a learning signal or not; see above."""
    tokens = _even_tokens(lengths, signals, micro_batch_tokens) if even and lengths else micro_batch_tokens
    return _starts(lengths, signals, tokens)


def _starts(lengths: Sequence[int], signals: Sequence[bool], micro_batch_tokens: int) -> list[int]:
    """The first row of each micro-batch, filled in order."""
    starts: list[int] = []
    room, with_signal = 0, True
    for row, (length, signal) in enumerate(zip(lengths, signals, strict=True)):
        if length > room or with_signal != signal:
            starts.append(row)
            room = micro_batch_tokens
        room, with_signal = room - length, signal
    return starts


def _even_tokens(lengths: Sequence[int], signals: Sequence[bool], most: int) -> int:
    """The fewest tokens at once that cut into no more micro-batches than an even number of at most `most` tokens."""
    count = len(_starts(lengths, signals, most))
    wanted = count + count % 2 if count > 1 or sum(lengths) >= EVEN_FROM_TOKENS else 1
    return bisect_left(range(most), True, lo=1, key=lambda tokens: len(_starts(lengths, signals, tokens)) <= wanted)


def _has_signal(rows: Sequence[TrainingRow]) -> bool:
    return any(row.advantage != 0 for row in rows)


def _micro_batch(rows: Sequence[TrainingRow], device: torch.device) -> MicroBatch:
    prompts = {prompt: number for number, prompt in enumerate(dict.fromkeys(row.prompt_ids for row in rows))}
    listed = list(prompts)
    lengths = [len(row.completion_ids) for row in rows]
    placement = place([prompts[row.prompt_ids] for row in rows], [len(prompt) for prompt in listed], lengths)
    ids = [token for number in placement.prompt_order for token in listed[number]]
    positions = [position for number in placement.prompt_order for position in range(len(listed[number]))]
    before = []
    for sequence, row in enumerate(rows):
        ids += row.completion_ids
        first = len(row.prompt_ids)
        positions += range(first, first + lengths[sequence])
        start = placement.completion_starts[sequence]
        before += [placement.prompt_starts[sequence] + first - 1, *range(start, start + lengths[sequence] - 1)]
    kept = torch.tensor([flag for row in rows for flag in row.loss_mask], dtype=torch.bool)
    number_of = torch.arange(len(rows)).repeat_interleave(torch.tensor(lengths))

    def loss_tokens(values: Sequence[float] | Sequence[int] | torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return torch.as_tensor(values, dtype=dtype)[kept].to(device)

    return MicroBatch(
        input_ids=torch.tensor(ids, device=device),
        position_ids=torch.tensor(positions, device=device),
        layout=attention_layout(placement, device),
        before=loss_tokens(before, torch.int64),
        targets=loss_tokens([token for row in rows for token in row.completion_ids], torch.int64),
        rows=loss_tokens(number_of, torch.int64),
        advantages=torch.tensor([row.advantage for row in rows], device=device),
        token_weights=torch.tensor([row.token_weight for row in rows], device=device),
        rollout_logprobs=loss_tokens([value for row in rows for value in row.rollout_logprobs], torch.float32),
        policy_versions=loss_tokens([value for row in rows for value in row.policy_versions], torch.int64),
        has_signal=_has_signal(rows),
    )
