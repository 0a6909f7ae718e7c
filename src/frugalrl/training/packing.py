"""Packing: examples of different length side by side in rows of one length, none attending to its neighbours.

Position ids restart at every example; transformers reads that as "these are separate sequences" and builds
a block-diagonal attention mask (its `find_packed_sequence_indices`), so packing changes no loss: a test
holds it equal to one example per row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Example:
    """A tokenised prompt with its completion; only the completion is learned."""

    token_ids: tuple[int, ...]
    prompt_tokens: int


@dataclass(frozen=True)
class PackedBatch:
    """R rows of T tokens."""

    input_ids: torch.Tensor
    """int64 [R, T]."""
    position_ids: torch.Tensor
    """int64 [R, T]: restarts at 0 with every example, and with the padding at a row's end."""
    loss_mask: torch.Tensor
    """bool [R, T]: true at completion tokens."""


def fill_rows(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Indices of the examples of each row, in the order given: a row is closed when the next does not fit.

    Keeping the order keeps batches as random as the shuffle that came before (sorting by length would change
    what a batch is made of). Raises ValueError if one example is longer than a row.
    """
    rows: list[list[int]] = []
    room = 0
    for index, length in enumerate(lengths):
        if length > row_tokens:
            raise ValueError(f"example {index} has {length} tokens, a row only {row_tokens}")
        if length > room:
            rows.append([])
            room = row_tokens
        rows[-1].append(index)
        room -= length
    return rows


def pack(rows: Sequence[Sequence[Example]], row_tokens: int, pad_id: int) -> PackedBatch:
    """Tensors of some rows of examples; each row holds at most `row_tokens` tokens."""
    input_ids = torch.full((len(rows), row_tokens), pad_id, dtype=torch.int64)
    position_ids = torch.zeros_like(input_ids)
    loss_mask = torch.zeros_like(input_ids, dtype=torch.bool)
    for r, row in enumerate(rows):
        start = 0
        for example in row:
            end = start + len(example.token_ids)
            input_ids[r, start:end] = torch.tensor(example.token_ids)
            position_ids[r, start:end] = torch.arange(end - start)
            loss_mask[r, start + example.prompt_tokens : end] = True
            start = end
        position_ids[r, start:] = torch.arange(row_tokens - start)
    return PackedBatch(input_ids, position_ids, loss_mask)
