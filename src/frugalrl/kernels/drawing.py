"""Drawing a token for each row from its logits by inverse transform, in two passes over the vocabulary.

Torch takes some twenty operations for it (`rollout/sampling.py`), most of which only begin and end at this size.
"""

import numpy as np

from frugalrl.kernels import vectors
from frugalrl.kernels.jit import Numbers, compiled, compiled_inside
from frugalrl.kernels.vectors import LANES

SOURCES_DIGEST = "a9ea68df20e8c14d"
"""Of the files of this room that are imported here: numba uses what it kept on disk until this file changes."""

BLOCK = 8 * LANES
"""Tokens whose weights are added up in fp32. Blocks add up in fp64, where rare tokens are not lost."""

LOWEST = np.float32(-87)
"""e to a lower power is no normal fp32, and counts as 0."""


@compiled
def draw(
    logits: Numbers, temperature: float, uniforms: Numbers, weights: Numbers, sums: Numbers, tokens: Numbers,
    logprobs: Numbers,
) -> None:  # fmt: skip
    """tokens: int64 [N]. logprobs: float32 [N], of the tokens at the temperature.

    logits: float32 [N, V], V a multiple of 16. uniforms: float64 [N], in [0, 1). Room for what is made on the way:
    weights, float32 [V], and sums, float64 [blocks]. A row with NaN or infinity gets a log-probability that is not
    finite and a token that means nothing.
    """
    count = logits.shape[1]
    for row in range(logits.shape[0]):
        total = _weigh(logits, row * count, count, np.float32(1 / temperature), weights, sums)
        token = _place(weights, sums, count, uniforms[row] * total)
        tokens[row] = token
        logprobs[row] = np.float32(np.log(weights[token] / total))


@compiled_inside
def _weigh(logits: Numbers, first: int, count: int, factor: np.float32, weights: Numbers, sums: Numbers) -> np.float64:
    """exp of each logit less the largest, times a factor; their sums by block, and the sum of these."""
    most = vectors.load(logits, first)
    for at in range(first, first + count, LANES):
        most = vectors.larger(vectors.load(logits, at), most)
    shift, factors = vectors.filled(-vectors.largest(most)), vectors.filled(factor)
    total = np.float64(0)
    for block in range(sums.shape[0]):
        own = vectors.zeros()
        for at in range(block * BLOCK, min(count, (block + 1) * BLOCK), LANES):
            power = vectors.times(vectors.plus(vectors.load(logits, first + at), shift), factors)
            weight = vectors.unless_below(vectors.exp(power), power, LOWEST)
            own = vectors.plus(own, weight)
            vectors.store(weights, at, weight)
        sums[block] = np.float64(vectors.total(own))
        total += sums[block]
    return total


@compiled_inside
def _place(weights: Numbers, sums: Numbers, count: int, target: np.float64) -> int:
    """The first token up to which the weights add up to more than the target, and none of weight 0."""
    block, below, reached = 0, np.float64(0), np.float64(0)
    for at in range(sums.shape[0]):
        if sums[at] > 0:
            block, below = at, reached
            reached += sums[at]
            if reached > target:
                break
    first, last = block * BLOCK, min(count, (block + 1) * BLOCK)
    inside = np.float64(0)
    for at in range(first, last):
        inside += weights[at]
    target = (target - below) * (inside / sums[block])  # in fp64 a block adds up to another sum
    token, reached = first, np.float64(0)
    for at in range(first, last):
        reached += weights[at]
        if weights[at] > 0:
            token = at
            if reached > target:
                break
    return token
