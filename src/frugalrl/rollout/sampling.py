"""Sampling tokens: temperature, top-k, top-p, and a stream of random numbers for each sequence.

A token is found by inverse transform: where a uniform number falls in the cumulative distribution. Each sequence has
its own stream of such numbers, made from its seed alone (Philox), so what it draws does not depend on its batch, on
the order of sequences, or on the device.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.errors import ModelError
from frugalrl.rollout.engine import SamplingParams

BLOCK_STEP = 16
"""Blocks of tokens hold multiples of it, which vector units like, and so must a vocabulary for the kernel."""


def uniform_stream(seed: int, count: int) -> np.ndarray:
    """The first `count` float64 numbers in [0, 1) of a sequence's stream; a longer stream starts the same."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def draw_tokens(logits: Tensor, uniforms: Tensor, sampling: SamplingParams) -> tuple[Tensor, Tensor]:
    """A token for each row and its log-probability.

    logits: [B, V]. uniforms: float64 [B].
    Returns int64 [B], and float32 [B]: the log-probability over the whole vocabulary at the sampling
    temperature (at temperature 0: the model's own), whatever top-k and top-p left out. A row with a logit that is NaN
    or infinite gives a log-probability that is not finite, and a token that means nothing: see `refuse_broken`.
    """
    logits = logits.float()
    if sampling.temperature == 0:
        tokens = logits.argmax(-1)
        return tokens, _logprob_of(logits, tokens)
    if _has_kernel(logits, sampling):
        return _drawn_by_kernel(logits, uniforms, sampling.temperature)
    scaled = logits if sampling.temperature == 1 else logits / sampling.temperature
    restricted = _restrict(scaled, sampling)
    weights = torch.softmax(restricted, dim=-1)
    tokens = _inverse_transform(weights, uniforms)
    if restricted is not scaled:
        return tokens, _logprob_of(scaled, tokens)
    return tokens, weights.gather(-1, tokens[:, None]).squeeze(-1).log()  # the vocabulary is not read again


def _has_kernel(logits: Tensor, sampling: SamplingParams) -> bool:
    """From the whole vocabulary, on a CPU, not while memory is traced."""
    whole = sampling.top_p >= 1 and not 0 < sampling.top_k < logits.shape[1]
    return whole and type(logits) is Tensor and logits.device.type == "cpu" and logits.shape[1] % BLOCK_STEP == 0


def _drawn_by_kernel(logits: Tensor, uniforms: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    from frugalrl.kernels import drawing

    rows, vocabulary = logits.shape
    tokens, logprobs = torch.empty(rows, dtype=torch.int64), torch.empty(rows)
    weights, sums = np.empty(vocabulary, np.float32), np.empty(-(-vocabulary // drawing.BLOCK))
    made = weights, sums, tokens.numpy(), logprobs.numpy()
    drawing.draw(logits.contiguous().numpy(), float(temperature), uniforms.contiguous().numpy(), *made)
    return tokens, logprobs


def _inverse_transform(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Where a share of each row's total weight falls. weights: float32 [B, V], at least 0. uniforms: float64 [B].

    In two steps, first among blocks of tokens and then inside one: only their sums are added up in fp64, where fp32
    would lose the rare tokens of a vocabulary of 151,936, and nothing the size of the vocabulary is.
    """
    blocks = _blocked(weights)
    cumulated = blocks.sum(-1).double().cumsum(-1)
    block, target = _place(cumulated, uniforms)
    share = _share_inside(cumulated, block, target)
    chosen = block.squeeze(-1)
    inside = blocks[torch.arange(len(chosen), device=chosen.device), chosen].double().cumsum(-1)
    tokens = chosen * blocks.shape[-1] + _place(inside, share)[0].squeeze(-1)
    return tokens.clamp_(max=weights.shape[-1] - 1)


def _blocked(weights: Tensor) -> Tensor:
    """[B, V] -> [B, blocks, tokens in a block], about as many of the one as of the other; the last is filled with 0."""
    vocabulary = weights.shape[-1]
    size = max(BLOCK_STEP, math.isqrt(vocabulary) // BLOCK_STEP * BLOCK_STEP)
    missing = -vocabulary % size
    return (F.pad(weights, (0, missing)) if missing else weights).view(weights.shape[0], -1, size)


def _place(cumulated: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """The first entry whose cumulated weight is above a share of the total, and that weight.

    cumulated: float64 [B, N]. share: float64 [B], in [0, 1). Returns int64 [B, 1] and float64 [B].
    """
    total = cumulated[:, -1]
    # A product rounded up to the total would fall past the last entry.
    target = torch.minimum(share * total, torch.nextafter(total, torch.zeros_like(total)))
    # NaN falls past every entry: an index out of range is an error on a CPU and kills the process on a GPU.
    return torch.searchsorted(cumulated, target[:, None], right=True).clamp_(max=cumulated.shape[-1] - 1), target


def _share_inside(cumulated: Tensor, entry: Tensor, target: Tensor) -> Tensor:
    """Where in an entry that `_place` found its target falls: float64 [B], in [0, 1)."""
    above = cumulated.gather(-1, entry).squeeze(-1)
    below = cumulated.gather(-1, (entry - 1).clamp_(min=0)).squeeze(-1).where(entry.squeeze(-1) > 0, 0.0)
    return (target - below) / (above - below)


def refuse_broken(logprobs: Tensor) -> None:
    """Raise ModelError if a sampled token's log-probability is not finite: then its logits were not. Syncs the host."""
    if not bool(logprobs.isfinite().all()):
        raise ModelError(
            "The model's logits are NaN or infinite, so no token can be drawn: its weights are not finite, or have "
            "grown too large at too high a learning rate. Check the model's files, or lower optimizer.learning_rate "
            "and start from weights before that."
        )


def _logprob_of(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.gather(-1, tokens[:, None]).squeeze(-1) - torch.logsumexp(logits, dim=-1)


def _restrict(logits: Tensor, sampling: SamplingParams) -> Tensor:
    """Logits with -inf wherever top-k or top-p exclude a token; the likeliest is always allowed."""
    vocabulary = logits.shape[-1]
    if 0 < sampling.top_k < vocabulary:
        kth_best = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < kth_best, float("-inf"))
    if sampling.top_p < 1.0:
        ranked, order = logits.sort(dim=-1, descending=True)
        weights = torch.softmax(ranked, dim=-1, dtype=torch.float64)
        beyond = weights.cumsum(-1) - weights >= sampling.top_p
        forbidden = torch.zeros_like(beyond).scatter(-1, order, beyond)
        logits = logits.masked_fill(forbidden, float("-inf"))
    return logits
