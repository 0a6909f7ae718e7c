"""Completions and their prompts side by side in one flat row: which token stands where, and what attends to what.

Everything in a decoder but attention works token by token, so padding and repeated prompts are pure cost there. Only
attention sees rectangles (`AttentionLayout`), and those are cut where lengths differ, so little of them is padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch

from frugalrl.types import AttentionLayout, SharedTokens

MIN_FILL = 0.75
"""A rectangle takes a shorter sequence as long as it fills this share of its width."""


@dataclass(frozen=True)
class Placement:
    """Where the parts of some sequences lie in the flat row: all prompts first, then the completions in order."""

    prompt_starts: tuple[int, ...]
    """For each sequence; equal where a prompt is shared."""
    prompt_tokens: tuple[int, ...]
    completion_starts: tuple[int, ...]
    completion_tokens: tuple[int, ...]
    prompt_order: tuple[int, ...]
    """The number of each prompt that lies in the row, in order."""

    @property
    def tokens(self) -> int:
        """Of the whole row."""
        return self.completion_starts[-1] + self.completion_tokens[-1]


def place(prompts: Sequence[int], prompt_tokens: Sequence[int], completion_tokens: Sequence[int]) -> Placement:
    """Lay out sequences.

    prompts: for each sequence the number of its prompt. prompt_tokens: by that number. completion_tokens: for each
    sequence. Prompts with equally many completions lie side by side, so that their gradients can be added up at once.
    """
    copies = np.bincount(prompts, minlength=len(prompt_tokens))
    order = sorted(set(prompts), key=lambda prompt: (-copies[prompt], prompt))
    starts = dict(zip(order, accumulate((prompt_tokens[p] for p in order), initial=0), strict=False))
    first = sum(prompt_tokens[p] for p in order)
    ends = list(accumulate(completion_tokens, initial=first))
    return Placement(
        prompt_starts=tuple(starts[p] for p in prompts),
        prompt_tokens=tuple(prompt_tokens[p] for p in prompts),
        completion_starts=tuple(ends[:-1]),
        completion_tokens=tuple(completion_tokens),
        prompt_order=tuple(order),
    )


def attention_layout(placement: Placement, device: torch.device) -> AttentionLayout:
    """The rectangles of attention over a row of tokens."""
    lengths = [p + c for p, c in zip(placement.prompt_tokens, placement.completion_tokens, strict=True)]
    rectangles = _rectangles(lengths)
    slots = {}
    tokens, first = [], 0
    for members in rectangles:
        width = lengths[members[0]]
        square = np.zeros((len(members), width), dtype=np.int64)
        for row, sequence in enumerate(members):
            square[row, : lengths[sequence]] = _tokens_of(placement, sequence)
            slots[sequence] = first + row * width
        tokens.append(square.ravel())
        first += square.size
    first_slots = np.empty(placement.tokens, dtype=np.int64)
    copies: dict[int, list[int]] = {}
    for sequence, slot in sorted(slots.items()):
        shared, own = placement.prompt_tokens[sequence], placement.completion_tokens[sequence]
        start = placement.completion_starts[sequence]
        first_slots[start : start + own] = np.arange(slot + shared, slot + shared + own)
        copies.setdefault(placement.prompt_starts[sequence], []).append(slot)
    tokens_of_prompt = dict(zip(placement.prompt_starts, placement.prompt_tokens, strict=True))
    for start, at in copies.items():
        first_slots[start : start + tokens_of_prompt[start]] = np.arange(at[0], at[0] + tokens_of_prompt[start])
    return AttentionLayout(
        rectangles=tuple((len(members), lengths[members[0]]) for members in rectangles),
        tokens=torch.from_numpy(np.concatenate(tokens)).to(device),
        first_slots=torch.from_numpy(first_slots).to(device),
        shared=_shared(copies, tokens_of_prompt, device),
        sequences=_sequences(placement),
    )


def _sequences(placement: Placement) -> tuple[tuple[tuple[int, int, int], ...], ...]:
    groups: dict[int, list[tuple[int, int, int]]] = {}
    for prompt, prompt_tokens, first, tokens in zip(
        placement.prompt_starts,
        placement.prompt_tokens,
        placement.completion_starts,
        placement.completion_tokens,
        strict=True,
    ):
        groups.setdefault(prompt, [(0, prompt, prompt_tokens)]).append((prompt_tokens, first, tokens))
    return tuple(tuple(group) for group in groups.values())


def _rectangles(lengths: Sequence[int]) -> list[list[int]]:
    """Sequences by length, cut where the next would leave too much of its row empty."""
    rectangles: list[list[int]] = []
    for sequence in sorted(range(len(lengths)), key=lambda one: (-lengths[one], one)):
        if not rectangles or lengths[sequence] < MIN_FILL * lengths[rectangles[-1][0]]:
            rectangles.append([])
        rectangles[-1].append(sequence)
    return rectangles


def _tokens_of(placement: Placement, sequence: int) -> np.ndarray:
    prompt, completion = placement.prompt_starts[sequence], placement.completion_starts[sequence]
    return np.concatenate(
        [
            np.arange(prompt, prompt + placement.prompt_tokens[sequence]),
            np.arange(completion, completion + placement.completion_tokens[sequence]),
        ]
    )


def _shared(
    copies: dict[int, list[int]], tokens_of_prompt: dict[int, int], device: torch.device
) -> tuple[SharedTokens, ...]:
    """Prompts with the same number of further completions together: they lie side by side."""
    by_count: dict[int, list[int]] = {}
    for start in sorted(copies):
        by_count.setdefault(len(copies[start]) - 1, []).append(start)
    shared = []
    for count, starts in by_count.items():
        if count > 0:
            rows = [np.asarray(copies[start][1:]) + np.arange(tokens_of_prompt[start])[:, None] for start in starts]
            end = starts[-1] + tokens_of_prompt[starts[-1]]
            shared.append(SharedTokens(starts[0], end, torch.from_numpy(np.concatenate(rows)).to(device)))
    return tuple(shared)
