"""Attention of sequences that lie side by side and share prompts: a function of fp32 tensors on a CPU, with gradient.

Against torch's attention on rectangles: no copies of a prompt's keys, no padding, rotary embedding on the way, and the
products at twice the rate (docs/lab-log.md).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from frugalrl.kernels.attention_blocks import BLOCK
from frugalrl.kernels.attention_loops import attend, attend_backward
from frugalrl.kernels.functions import array
from frugalrl.kernels.jit import Integers
from frugalrl.kernels.sharing import has_numbers, side_by_side

Sequences = tuple[tuple[tuple[int, int, int], ...], ...]


def attended(
    queries: Tensor, keys: Tensor, values: Tensor, cosines: Tensor, sines: Tensor, scale: float, sequences: Sequences
) -> Tensor:
    """Rotate queries [N, heads, D] and keys [N, kv_heads, D], and attend: [N, heads, D].

    cosines, sines: [N, D]. sequences: see `AttentionLayout`; they hold every token once.
    """
    out: Tensor = _Attention.apply(queries, keys, values, cosines, sines, scale, sequences)  # type: ignore[no-untyped-call]
    return out


def suits_attention(head_dim: int, kv_heads: int, sequences: Sequences) -> bool:
    """Whether heads are of a width that the kernels take, and there is work for each of torch's threads."""
    return head_dim % BLOCK == 0 and len(sequences) * kv_heads >= torch.get_num_threads()


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        *tensors, scale, sequences = inputs
        queries, keys, values, cosines, sines = (one.contiguous() for one in tensors)
        out, logsums = torch.empty_like(queries), queries.new_empty(queries.shape[:2])
        if has_numbers(queries):
            before = [array(one) for one in (queries, keys, values, cosines, sines)]
            after = [array(one) for one in (out, logsums)]

            def compute(unit: tuple[Integers, int]) -> None:
                attend(*unit, *before, np.float32(scale), *after)  # type: ignore[call-arg, arg-type]

            side_by_side(compute, _units(sequences, keys.shape[1]))
        ctx.save_for_backward(queries, keys, values, cosines, sines, out, logsums)
        ctx.scale, ctx.sequences = scale, sequences
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, values, cosines, sines, out, logsums = ctx.saved_tensors
        gradient = gradient.contiguous()
        gradients = [torch.empty_like(one) for one in (queries, keys, values)]
        if has_numbers(queries):
            before = [array(one) for one in (queries, keys, values, cosines, sines)]
            after = [array(one) for one in (out, logsums, gradient, *gradients)]

            def compute(unit: tuple[Integers, int]) -> None:
                attend_backward(*unit, *before, np.float32(ctx.scale), *after)  # type: ignore[call-arg, arg-type]

            side_by_side(compute, _units(ctx.sequences, keys.shape[1]))
        return *gradients, None, None, None, None


def _units(sequences: Sequences, kv_heads: int) -> list[tuple[Integers, int]]:
    """What writes to places of its own: a head of keys and values of a prompt and its completions."""
    arrays = [np.array(one, np.int64) for one in sequences]
    return [(one, head) for one in arrays for head in range(kv_heads)]
