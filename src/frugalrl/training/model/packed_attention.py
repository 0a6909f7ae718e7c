"""Attention over sequences that lie side by side in one flat row, without padding and without a mask.

All else in a decoder layer works token by token, so a batch needs rectangles for attention only. There the keys and
values of a prompt are copied to each of its completions, so that the prompt itself is computed once for its group.
Sequences of similar length share a rectangle; padding is on the right, where causality hides it.

transformers calls `attend` through its table of attention functions, with a `layout` beside the usual arguments;
without one it is transformers' own. A 4-dimensional mask (`no_mask`) keeps transformers from building its own.
"""

from typing import Any

import torch
from torch import Tensor

from frugalrl.algorithms.causal_attention import causal_attention
from frugalrl.types import AttentionLayout

NAME = "frugalrl_packed"
"""Of the attention function in transformers' table."""


def use_packed_attention(model: Any) -> None:
    """Let a transformers model take an `AttentionLayout`. What it computes without one stays the same."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, attend)
        AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
        model.config._attn_implementation = NAME


def no_mask(device: torch.device) -> Tensor:
    """What transformers takes for a mask that is ready."""
    return torch.empty(1, 1, 1, 1, dtype=torch.bool, device=device)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    layout: AttentionLayout | None = None,
    **settings: Any,
) -> tuple[Tensor, Tensor | None]:
    """An attention function of transformers: heads [1, heads, N, D] in, [1, N, heads, D] out."""
    if layout is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        whole: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return whole
    copied = [_copies(_flat(heads), layout) for heads in (query, key, value)]
    outputs, start = [], 0
    for rows, width in layout.rectangles:
        end = start + rows * width
        queries, keys, values = (
            part[start:end].view(rows, width, -1, query.shape[-1]).transpose(1, 2) for part in copied
        )
        attended = causal_attention(queries, keys, values, settings.get("scaling"))
        outputs.append(attended.transpose(1, 2).reshape(rows * width, -1))
        start = end
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    chosen: Tensor = _First.apply(joined, layout)  # type: ignore[no-untyped-call]
    return chosen.view(1, *chosen.shape[:1], -1, query.shape[-1]), None


def _flat(heads: Tensor) -> Tensor:
    """[1, heads, N, D] -> [N, heads x D]."""
    return heads[0].transpose(0, 1).reshape(heads.shape[2], -1)


def _copies(tokens: Tensor, layout: AttentionLayout) -> Tensor:
    return _Copies.apply(tokens, layout)  # type: ignore[no-any-return,no-untyped-call]


class _Copies(torch.autograd.Function):
    """Tokens to slots of the rectangles; back, the gradients of a token's slots add up, always in one order."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, layout: AttentionLayout) -> Tensor:
        ctx.layout = layout
        return tokens.index_select(0, layout.tokens)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        layout = ctx.layout
        summed = gradient.index_select(0, layout.first_slots)
        for shared in layout.shared:
            copies = gradient.index_select(0, shared.slots.flatten()).view(*shared.slots.shape, -1)
            summed[shared.start : shared.end] += copies.sum(1)
        return summed, None


class _First(torch.autograd.Function):
    """Slots back to tokens: of a token that has several, the first. They are all equal."""

    @staticmethod
    def forward(ctx: Any, slots: Tensor, layout: AttentionLayout) -> Tensor:
        ctx.layout, ctx.count = layout, slots.shape[0]
        return slots.index_select(0, layout.first_slots)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        slots = gradient.new_zeros(ctx.count, gradient.shape[1])
        return slots.index_copy_(0, ctx.layout.first_slots, gradient), None
