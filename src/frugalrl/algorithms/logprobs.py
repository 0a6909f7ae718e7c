"""Log-probabilities of given tokens from hidden states, without ever holding all logits.

For 1,000 tokens of a 151,936-word vocabulary the logits alone take 0.61 GB in fp32. So only the tokens asked
for are multiplied with the output head (never the prompt's), a chunk at a time, and the backward pass
recomputes a chunk's logits instead of storing them, unless there is only one. Log-probability, entropy and their
gradient are one function, so that a chunk needs two buffers of the size of its logits and not five.

Whatever the compute dtype, logits come out of their product in fp32, sums over the vocabulary are made in fp32, and the
gradient of the head adds up over chunks in fp32 and is rounded once. Logits rounded to bf16 are off by 0.03 nats, and
bf16 sums make entropy drift within dozens of steps (measured; TRL's kernels say the same).
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def token_logprobs(
    hidden: Tensor,
    head_weight: Tensor,
    targets: Tensor,
    temperature: float = 1.0,
    chunk_tokens: int = 1024,
    entropy_gradient: bool = False,
    wide_products: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-probability (with gradient) of each target and entropy of its distribution, in nats.

    hidden: [N, H], the final hidden state at the position before each target.
    head_weight: [V, H], the output head.
    targets: int64 [N].
    temperature: the logits are divided by it; 1 is the model's own distribution.
    entropy_gradient: whether entropy has a gradient too.
    wide_products: whether products of 16-bit operands can come out in fp32; None asks the device of the head.
    Returns float32 [N] twice (float64 for a float64 model).
    """
    wide = head_weight.is_cuda if wide_products is None else wide_products
    logprobs, entropies = _HeadLogprobs.apply(hidden, head_weight, targets, temperature, chunk_tokens, wide)  # type: ignore[no-untyped-call]
    return logprobs, entropies if entropy_gradient else entropies.detach()


class _HeadLogprobs(torch.autograd.Function):
    """The head, a softmax and its entropy in one, a chunk of tokens at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        temperature: float,
        chunk_tokens: int,
        wide_products: bool,
    ) -> tuple[Tensor, Tensor]:
        ctx.temperature, ctx.chunk_tokens, ctx.wide_products = temperature, chunk_tokens, wide_products
        ctx.set_materialize_grads(False)
        logprobs = hidden.new_empty(len(targets), dtype=_wide(hidden.dtype))
        entropies = torch.empty_like(logprobs)
        operand = _operand(head, wide_products)
        for chunk in _chunks(len(targets), chunk_tokens):
            all_logprobs = _log_softmax(hidden[chunk], operand, temperature)
            logprobs[chunk] = all_logprobs.gather(-1, targets[chunk, None]).squeeze(-1)
            entropies[chunk] = -(all_logprobs.exp().mul_(all_logprobs)).sum(-1)
        kept = (all_logprobs,) if 0 < len(targets) <= chunk_tokens else ()
        ctx.save_for_backward(hidden, head, targets, *kept)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, for_logprobs: Tensor | None, for_entropies: Tensor | None) -> tuple[Any, ...]:
        hidden, head, targets, *kept = ctx.saved_tensors
        wide, operand = _wide(hidden.dtype), _operand(head, ctx.wide_products)
        for_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for_head = torch.zeros_like(head, dtype=wide) if ctx.needs_input_grad[1] else None
        for chunk in _chunks(len(targets), ctx.chunk_tokens):
            all_logprobs = kept[0] if kept else _log_softmax(hidden[chunk], operand, ctx.temperature)
            gradient = all_logprobs.exp()  # of the loss by the logits, from here on
            if for_entropies is None:
                assert for_logprobs is not None
                gradient *= -for_logprobs[chunk, None]
            else:
                entropy = -(gradient * all_logprobs).sum(-1, keepdim=True)
                factor = (all_logprobs + entropy).mul_(for_entropies[chunk, None])
                gradient *= factor.neg_() if for_logprobs is None else factor.add_(for_logprobs[chunk, None]).neg_()
            if for_logprobs is not None:
                gradient.scatter_add_(-1, targets[chunk, None], for_logprobs[chunk, None])
            gradient /= ctx.temperature
            if for_hidden is not None:
                for_hidden[chunk] = _product(gradient.to(operand.dtype), operand)
            if for_head is not None:
                for_head += _product(gradient.to(operand.dtype).t(), hidden[chunk].to(operand.dtype))
        return for_hidden, None if for_head is None else for_head.to(head.dtype), None, None, None, None


def _log_softmax(hidden: Tensor, operand: Tensor, temperature: float) -> Tensor:
    """[N, H] and [V, H] -> [N, V] log-probabilities in fp32 or wider."""
    logits = _product(hidden.to(operand.dtype), operand.t())
    if temperature != 1.0:
        logits /= temperature
    return logits.sub_(torch.logsumexp(logits, dim=-1, keepdim=True))


def _chunks(count: int, chunk_tokens: int) -> Iterator[slice]:
    return (slice(start, start + chunk_tokens) for start in range(0, count, chunk_tokens))


def _wide(dtype: torch.dtype) -> torch.dtype:
    """fp32, or the dtype itself if it is wider."""
    return torch.promote_types(dtype, torch.float32)


def _operand(head: Tensor, wide_products: bool) -> Tensor:
    """The head as it enters products: on a GPU as it is, whose products can come out wider than their operands; on a
    CPU, which has no such product, in fp32."""
    return head if wide_products else head.to(_wide(head.dtype))


def _product(left: Tensor, right: Tensor) -> Tensor:
    """A matrix product that is added up and given out in fp32 or wider."""
    if left.dtype == _wide(left.dtype):
        return left @ right
    return torch.mm(left, right, out_dtype=torch.float32)
