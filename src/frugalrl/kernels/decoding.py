"""What a CPU computes between the matrix products of a decoding step, compiled by numba: norms, attention, gates.

Arrays of bfloat16 are given as uint16. There they are rounded where the trainer rounds; sums are in float32 everywhere.
A row is computed by itself and in an order that only its own length decides, so it has the same bits in any batch.
The functions give up Python's lock. Arrays are contiguous; an index is one into an array's flat memory.
"""

import math
from typing import Any

import numpy as np

from frugalrl.kernels import vectors
from frugalrl.kernels.jit import Numbers, compiled, compiled_inside
from frugalrl.kernels.vectors import LANES

SOURCES_DIGEST = "a9ea68df20e8c14d"
"""Of the files of this room that are imported here: numba uses what it kept on disk until this file changes."""

BLOCKS_AHEAD = 2
"""So many blocks of 16 keys are prefetched before the one that is read."""


@compiled
def norm(states: Numbers, weight: Numbers, epsilon: float, out: Numbers) -> None:
    """RMS norm (1910.07467) of rows [N, H]; in 16 bits rounded before it is multiplied by the weight."""
    width = weight.shape[0]
    for row in range(states.shape[0]):
        _norm_into(states, row * width, weight, epsilon, out)


@compiled
def gate(gate_up: Numbers, out: Numbers) -> None:
    """silu(gate) * up, from rows [N, 2 I] to rows [N, I]."""
    width = out.shape[1]
    one, minus = vectors.filled(np.float32(1)), vectors.filled(np.float32(-1))
    for row in range(out.shape[0]):
        first = 2 * row * width
        for at in range(0, width, LANES):
            x = vectors.load(gate_up, first + at)
            activated = vectors.over(x, vectors.plus(one, vectors.exp(vectors.times(x, minus))))
            up = vectors.load(gate_up, first + width + at)
            vectors.store(out, row * width + at, vectors.times(vectors.rounded(activated, gate_up), up))


@compiled
def attend(
    states: Numbers,
    positions: Numbers,
    rotations: Numbers,
    neighbours: bool,
    coarse: bool,
    query_norm: Numbers,
    key_norm: Numbers,
    epsilon: float,
    keys: Numbers,
    values: Numbers,
    layer: int,
    out: Numbers,
    first: int,
    last: int,
    work: Numbers,
) -> None:
    """For rows first to last: turn queries and keys, write keys and values to the cache, attend to all there is.

    states: [N, (heads + 2 kv_heads) D], from the projection. positions: int64 [N]. rotations: float32 [positions, 2,
    W], cos and sin, where W is D/2 and what a whole vector lacks. neighbours: whether a rotary pair is (2i, 2i + 1),
    else (i, i + D/2). coarse: see `vectors.coarse_exp`. query_norm, key_norm: float32, whole vectors, or empty. keys:
    [layers, rows, kv_heads, columns/16, D, 16], values: [layers, rows, kv_heads, columns, D]. out: [N, heads D].
    work: float32, as long as `work_numbers` says.
    """
    kv_heads, columns, dim = values.shape[2], values.shape[3], values.shape[4]
    heads = out.shape[1] // dim
    group = heads // kv_heads
    raw = group * columns
    turned = raw + dim + 2 * LANES
    scale, plain = np.float32(1 / math.sqrt(dim)), np.float32(1)
    for row in range(first, last):
        position = positions[row]
        for head in range(kv_heads):
            cache = ((layer * values.shape[1] + row) * kv_heads + head) * columns * dim
            at = row * states.shape[1] + (heads + head) * dim
            _turn(states, at, key_norm, epsilon, rotations, position, neighbours, plain, work, raw, dim, turned)
            to_key = cache + position // LANES * LANES * dim + position % LANES
            for d in range(dim):
                vectors.put(keys, to_key + d * LANES, work[turned + d])
            _copy(states, at + kv_heads * dim, dim, values, cache + position * dim)
            at = row * states.shape[1] + head * group * dim
            for own in range(0, group * dim, dim):
                _turn(
                    states, at + own, query_norm, epsilon, rotations, position, neighbours, scale,
                    work, raw, dim, turned + own,
                )  # fmt: skip
            to = (row * heads + head * group) * dim
            _attend(work, turned, keys, values, cache, position + 1, columns, group, dim, coarse, out, to)


def work_numbers(group: int, columns: int, dim: int) -> int:
    """How many float32 `attend` needs: the scores of a group of queries, one state as it comes, and those turned."""
    return group * columns + dim + 2 * LANES + group * dim + 2 * LANES


@compiled_inside
def _copy(numbers: Numbers, first: int, count: int, out: Numbers, to: int) -> None:
    """At least 16 numbers, of one dtype."""
    for at in range(0, count, LANES):
        start = min(at, count - LANES)
        vectors.store(out, to + start, vectors.load(numbers, first + start))


@compiled_inside
def _attend(
    work: Numbers,
    turned: int,
    keys: Numbers,
    values: Numbers,
    cache: int,
    count: int,
    columns: int,
    group: int,
    dim: int,
    coarse: bool,
    out: Numbers,
    to: int,
) -> None:
    """Attention of a group of queries, which stand in `work`, over the first columns of a row's head."""
    blocks, size = (count + LANES - 1) // LANES, LANES * dim
    for block in range(blocks):
        at, first, ahead = block * LANES, cache + block * size, block + BLOCKS_AHEAD
        ahead = cache + (ahead * size if ahead < blocks else columns * dim + (ahead - blocks) * size)
        for g in range(0, group - 1, 2):
            _scores_of_two(work, turned + g * dim, dim, keys, first, columns, g * columns + at, ahead, values)
        if group % 2:
            last = (group - 1) * columns + at
            _scores_of_one(work, turned + (group - 1) * dim, dim, keys, first, last, ahead, values)
    whole = (count + 3) // 4 * 4
    for g in range(group):
        work[turned + g] = _softmax(work, g * columns, count, coarse, values)
    for chunk in range(0, dim, LANES):
        d = min(chunk, dim - LANES)
        for g in range(0, group - 1, 2):
            _weighted_of_two(
                work, g * columns, columns, whole, values, cache + d, dim, out, to + g * dim + d, turned + g
            )
        if group % 2:
            g = group - 1
            _weighted_of_one(work, g * columns, whole, values, cache + d, dim, out, to + g * dim + d, turned + g)


@compiled_inside
def _inverse_root(squares: Any, count: int, epsilon: float) -> Any:
    return np.float32(1) / np.sqrt(squares / np.float32(count) + np.float32(epsilon))


@compiled_inside
def _norm_into(states: Numbers, first: int, weight: Numbers, epsilon: float, out: Numbers) -> None:
    width = weight.shape[0]
    squares = vectors.zeros()
    for at in range(0, width, LANES):
        x = vectors.load(states, first + at)
        squares = vectors.fused(x, x, squares)
    inverse = vectors.filled(_inverse_root(vectors.total(squares), width, epsilon))
    for at in range(0, width, LANES):
        normed = vectors.rounded(vectors.times(vectors.load(states, first + at), inverse), states)
        vectors.store(out, first + at, vectors.times(normed, vectors.load(weight, at)))


@compiled_inside
def _scores_of_two(
    work: Numbers, one: int, dim: int, keys: Numbers, first: int, stride: int, to: int, ahead: int, values: Numbers
) -> None:
    """Of 16 keys with two queries. Four sums each, so that none waits for its own last. Meanwhile the keys from
    `ahead` on are prefetched, and the values of those that are here."""
    two = one + dim
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = vectors.zeros()
    for d in range(0, dim, 4):
        for line in range(d * LANES, (d + 4) * LANES, LANES):
            vectors.prefetch(keys, ahead + line)
            vectors.prefetch(values, first + line)
        key = vectors.load(keys, first + d * LANES)
        a0 = vectors.fused(vectors.filled(work[one + d]), key, a0)
        b0 = vectors.fused(vectors.filled(work[two + d]), key, b0)
        key = vectors.load(keys, first + (d + 1) * LANES)
        a1 = vectors.fused(vectors.filled(work[one + d + 1]), key, a1)
        b1 = vectors.fused(vectors.filled(work[two + d + 1]), key, b1)
        key = vectors.load(keys, first + (d + 2) * LANES)
        a2 = vectors.fused(vectors.filled(work[one + d + 2]), key, a2)
        b2 = vectors.fused(vectors.filled(work[two + d + 2]), key, b2)
        key = vectors.load(keys, first + (d + 3) * LANES)
        a3 = vectors.fused(vectors.filled(work[one + d + 3]), key, a3)
        b3 = vectors.fused(vectors.filled(work[two + d + 3]), key, b3)
    vectors.store(work, to, vectors.plus(vectors.plus(a0, a1), vectors.plus(a2, a3)))
    vectors.store(work, to + stride, vectors.plus(vectors.plus(b0, b1), vectors.plus(b2, b3)))


@compiled_inside
def _scores_of_one(
    work: Numbers, one: int, dim: int, keys: Numbers, first: int, to: int, ahead: int, values: Numbers
) -> None:
    """Of 16 keys with one query, summed as `_scores_of_two` does."""
    a0 = a1 = a2 = a3 = vectors.zeros()
    for d in range(0, dim, 4):
        for line in range(d * LANES, (d + 4) * LANES, LANES):
            vectors.prefetch(keys, ahead + line)
            vectors.prefetch(values, first + line)
        a0 = vectors.fused(vectors.filled(work[one + d]), vectors.load(keys, first + d * LANES), a0)
        a1 = vectors.fused(vectors.filled(work[one + d + 1]), vectors.load(keys, first + (d + 1) * LANES), a1)
        a2 = vectors.fused(vectors.filled(work[one + d + 2]), vectors.load(keys, first + (d + 2) * LANES), a2)
        a3 = vectors.fused(vectors.filled(work[one + d + 3]), vectors.load(keys, first + (d + 3) * LANES), a3)
    vectors.store(work, to, vectors.plus(vectors.plus(a0, a1), vectors.plus(a2, a3)))


@compiled_inside
def _exp(numbers: Any, coarse: bool) -> Any:
    return vectors.coarse_exp(numbers) if coarse else vectors.exp(numbers)


@compiled_inside
def _softmax(scores: Numbers, first: int, count: int, coarse: bool, like: Numbers) -> Any:
    """exp(score - largest) of so many scores, in place; what stands after them in a vector becomes 0.

    coarse: see `vectors.coarse_exp`. They are rounded as the array `like` is, but not in their sum, as torch's
    attention does it. Returns the inverse of the sum.
    """
    last = (count - 1) // LANES * LANES
    end = vectors.first_lanes(vectors.load(scores, first + last), count - last, np.float32(-np.inf))
    most = end
    for at in range(0, last, LANES):
        most = vectors.larger(vectors.load(scores, first + at), most)
    shift = vectors.filled(-vectors.largest(most))
    sums = vectors.zeros()
    for at in range(0, last, LANES):
        share = _exp(vectors.plus(vectors.load(scores, first + at), shift), coarse)
        sums = vectors.plus(sums, share)
        vectors.store(scores, first + at, vectors.rounded(share, like))
    share = vectors.first_lanes(_exp(vectors.plus(end, shift), coarse), count - last, np.float32(0))
    vectors.store(scores, first + last, vectors.rounded(share, like))
    return np.float32(1) / vectors.total(vectors.plus(sums, share))


@compiled_inside
def _weighted_of_two(
    work: Numbers,
    one: int,
    stride: int,
    count: int,
    values: Numbers,
    first: int,
    dim: int,
    out: Numbers,
    to: int,
    scales: int,
) -> None:
    """16 columns of the weighted values of two queries."""
    two = one + stride
    a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = vectors.zeros()
    for t in range(0, count, 4):
        value = vectors.load(values, first + t * dim)
        a0 = vectors.fused(vectors.filled(work[one + t]), value, a0)
        b0 = vectors.fused(vectors.filled(work[two + t]), value, b0)
        value = vectors.load(values, first + (t + 1) * dim)
        a1 = vectors.fused(vectors.filled(work[one + t + 1]), value, a1)
        b1 = vectors.fused(vectors.filled(work[two + t + 1]), value, b1)
        value = vectors.load(values, first + (t + 2) * dim)
        a2 = vectors.fused(vectors.filled(work[one + t + 2]), value, a2)
        b2 = vectors.fused(vectors.filled(work[two + t + 2]), value, b2)
        value = vectors.load(values, first + (t + 3) * dim)
        a3 = vectors.fused(vectors.filled(work[one + t + 3]), value, a3)
        b3 = vectors.fused(vectors.filled(work[two + t + 3]), value, b3)
    a = vectors.plus(vectors.plus(a0, a1), vectors.plus(a2, a3))
    b = vectors.plus(vectors.plus(b0, b1), vectors.plus(b2, b3))
    vectors.store(out, to, vectors.times(a, vectors.filled(work[scales])))
    vectors.store(out, to + dim, vectors.times(b, vectors.filled(work[scales + 1])))


@compiled_inside
def _weighted_of_one(
    work: Numbers, one: int, count: int, values: Numbers, first: int, dim: int, out: Numbers, to: int, scale: int
) -> None:
    a0 = a1 = a2 = a3 = vectors.zeros()
    for t in range(0, count, 4):
        a0 = vectors.fused(vectors.filled(work[one + t]), vectors.load(values, first + t * dim), a0)
        a1 = vectors.fused(vectors.filled(work[one + t + 1]), vectors.load(values, first + (t + 1) * dim), a1)
        a2 = vectors.fused(vectors.filled(work[one + t + 2]), vectors.load(values, first + (t + 2) * dim), a2)
        a3 = vectors.fused(vectors.filled(work[one + t + 3]), vectors.load(values, first + (t + 3) * dim), a3)
    a = vectors.plus(vectors.plus(a0, a1), vectors.plus(a2, a3))
    vectors.store(out, to, vectors.times(a, vectors.filled(work[scale])))


@compiled_inside
def _turn(
    states: Numbers,
    first: int,
    weight: Numbers,
    epsilon: float,
    rotations: Numbers,
    position: int,
    neighbours: bool,
    scale: Any,
    work: Numbers,
    raw: int,
    dim: int,
    to: int,
) -> None:
    """One head's query or key, normed if it has a weight, then rotated, times a scale, to `work`. raw: where a head and
    two vectors have room. Up to two vectors after the result may be written over."""
    _copy(states, first, dim, work, raw)
    if weight.shape[0] > 0:
        _norm_head(work, raw, dim, weight, epsilon, states)
    half, factor = dim // 2, vectors.filled(scale)
    cos_at = 2 * position * rotations.shape[2]
    sin_at = cos_at + rotations.shape[2]
    for at in range(0, half, LANES):
        cos, sin = vectors.load(rotations, cos_at + at), vectors.load(rotations, sin_at + at)
        if neighbours:
            a, b = vectors.load(work, raw + 2 * at), vectors.load(work, raw + 2 * at + LANES)
            x, y = vectors.evens(a, b), vectors.odds(a, b)
        else:
            x, y = vectors.load(work, raw + at), vectors.load(work, raw + half + at)
        a = vectors.times(factor, _turned(x, y, cos, vectors.times(sin, vectors.filled(np.float32(-1))), states))
        b = vectors.times(factor, _turned(y, x, cos, sin, states))
        if neighbours:
            vectors.store(work, to + 2 * at, vectors.low_pairs(a, b))
            vectors.store(work, to + 2 * at + LANES, vectors.high_pairs(a, b))
        else:
            vectors.store(work, to + at, a)
            vectors.store(work, raw + half + at, b)
    if not neighbours:
        for at in range(half):
            work[to + half + at] = work[raw + half + at]


@compiled_inside
def _turned(x: Any, y: Any, cos: Any, sin: Any, states: Numbers) -> Any:
    """x cos + y sin; each product and their sum are rounded as the states are."""
    a = vectors.rounded(vectors.times(x, cos), states)
    return vectors.rounded(vectors.plus(a, vectors.rounded(vectors.times(y, sin), states)), states)


@compiled_inside
def _norm_head(work: Numbers, first: int, dim: int, weight: Numbers, epsilon: float, states: Numbers) -> None:
    """RMS norm of one head, in place; rounded as the states are."""
    squares = vectors.zeros()
    for at in range(0, dim, LANES):
        x = vectors.first_lanes(vectors.load(work, first + at), dim - at, np.float32(0))
        squares = vectors.fused(x, x, squares)
    inverse = vectors.filled(_inverse_root(vectors.total(squares), dim, epsilon))
    for at in range(0, dim, LANES):
        normed = vectors.rounded(vectors.times(vectors.load(work, first + at), inverse), states)
        vectors.store(work, first + at, vectors.rounded(vectors.times(normed, vectors.load(weight, at)), states))
