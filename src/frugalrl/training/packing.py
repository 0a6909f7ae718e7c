"""Packing of examples: rows of about one length, and what is computed of them, side by side without padding.

Rows are what a step is counted in. They are computed as the micro-batches of GRPO are (`layout.py`): one flat row of
tokens, attention in rectangles, a prompt that several examples share once. None attends to its neighbours, so packing
changes no loss: a test holds it equal to one example at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from frugalrl.training.batching import TrainingRow, micro_batches
from frugalrl.types import MicroBatch


@dataclass(frozen=True)
class Example:
    """A tokenised prompt with its completion; only the completion is learned."""

    token_ids: tuple[int, ...]
    prompt_tokens: int


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


def side_by_side(examples: Sequence[Example], most_tokens: int, device: torch.device) -> list[MicroBatch]:
    """All examples, at most so many tokens at once; a longer one is alone."""
    return micro_batches([_row(example) for example in examples], most_tokens, device, even=device.type == "cpu")


def _row(example: Example) -> TrainingRow:
    """Every token of the completion counts the same; there is no policy that sampled it, nor an advantage."""
    prompt, completion = example.token_ids[: example.prompt_tokens], example.token_ids[example.prompt_tokens :]
    count = len(completion)
    return TrainingRow(prompt, completion, (0.0,) * count, 1.0, 1.0, (True,) * count, (0,) * count)
