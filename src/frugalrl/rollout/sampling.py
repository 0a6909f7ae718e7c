"""Sampling tokens: temperature, top-k, top-p, and a stream of random numbers for each sequence.

A token is found by inverse transform: where a uniform number falls in the cumulative distribution. Each sequence has
its own stream of such numbers, made from its seed alone (Philox), so what it draws does not depend on its batch, on
the order of sequences, or on the device.
"""

import numpy as np
import torch
from torch import Tensor

from frugalrl.errors import ModelError
from frugalrl.rollout.engine import SamplingParams


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
    scaled = logits / sampling.temperature
    # The cumulative sum is in fp64: over 151,936 tokens fp32 would lose the rare ones.
    weights = torch.softmax(_restrict(scaled, sampling), dim=-1, dtype=torch.float64)
    cumulated = weights.cumsum(-1)
    total = cumulated[:, -1:]
    # A product rounded up to the total would fall past the last token.
    target = torch.minimum(uniforms[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    tokens = torch.searchsorted(cumulated, target, right=True).squeeze(-1)
    # NaN falls past every token: an index out of range is an error on a CPU and kills the process on a GPU.
    tokens = tokens.clamp(max=logits.shape[-1] - 1)
    return tokens, _logprob_of(scaled, tokens)


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
