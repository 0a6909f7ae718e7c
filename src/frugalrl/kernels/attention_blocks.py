"""What attention's kernels do with a block of 32 queries: products in tiles, softmax and its slope, heads in and out.

Arrays are flat, so that a tile can be taken anywhere. Keys lie in panels of 32: of each panel 32 numbers for every
column of a head. Rows are rows of a head's columns.
"""

import numpy as np
from numpy import float32 as f32

from frugalrl.kernels import vectors
from frugalrl.kernels.jit import Floats, compiled
from frugalrl.kernels.vectors import LANES

BLOCK = 32
"""Queries, keys and columns of a head are taken so many at a time; a head has a multiple of it."""


@compiled
def padded(count: int) -> int:
    """The next multiple of a block."""
    return (count + BLOCK - 1) // BLOCK * BLOCK


@compiled
def _tile(
    out: Floats,
    to: int,
    stride: int,
    left: Floats,
    a: int,
    row_step: int,
    step: int,
    right: Floats,
    b: int,
    right_step: int,
    count: int,
    add: bool,
) -> None:
    """4 rows x 32 columns of left @ right, into `out` or added to it; `count` products in each sum."""
    if add:
        s00, s01 = vectors.load(out, to), vectors.load(out, to + LANES)
        s10, s11 = vectors.load(out, to + stride), vectors.load(out, to + stride + LANES)
        s20, s21 = vectors.load(out, to + 2 * stride), vectors.load(out, to + 2 * stride + LANES)
        s30, s31 = vectors.load(out, to + 3 * stride), vectors.load(out, to + 3 * stride + LANES)
    else:
        s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = vectors.zeros()
    for _ in range(count):
        one, two = vectors.load(right, b), vectors.load(right, b + LANES)
        factor = vectors.spread(left, a)
        s00, s01 = vectors.fused(factor, one, s00), vectors.fused(factor, two, s01)
        factor = vectors.spread(left, a + row_step)
        s10, s11 = vectors.fused(factor, one, s10), vectors.fused(factor, two, s11)
        factor = vectors.spread(left, a + 2 * row_step)
        s20, s21 = vectors.fused(factor, one, s20), vectors.fused(factor, two, s21)
        factor = vectors.spread(left, a + 3 * row_step)
        s30, s31 = vectors.fused(factor, one, s30), vectors.fused(factor, two, s31)
        a += step
        b += right_step
    vectors.store(out, to, s00)
    vectors.store(out, to + LANES, s01)
    vectors.store(out, to + stride, s10)
    vectors.store(out, to + stride + LANES, s11)
    vectors.store(out, to + 2 * stride, s20)
    vectors.store(out, to + 2 * stride + LANES, s21)
    vectors.store(out, to + 3 * stride, s30)
    vectors.store(out, to + 3 * stride + LANES, s31)


@compiled
def products_with_panels(left: Floats, here: int, panels: Floats, width: int, dim: int, out: Floats) -> None:
    """Rows of `left` [32, dim] times keys in panels: out [32, width]; rows from `here` on mean nothing."""
    for panel in range(0, width, BLOCK):
        for row in range(0, here, 4):
            _tile(out, row * width + panel, width, left, row * dim, dim, 1, panels, panel * dim, BLOCK, dim, False)


@compiled
def products_with_rows(left: Floats, here: int, width: int, rows: Floats, count: int, dim: int, out: Floats) -> None:
    """left [32, width], of which `count` columns count, times rows [count, dim]: out [32, dim]."""
    for column in range(0, dim, BLOCK):
        for row in range(0, here, 4):
            _tile(out, row * dim + column, dim, left, row * width, width, 1, rows, column, dim, count, False)


@compiled
def add_transposed_products(
    left: Floats, here: int, width: int, right: Floats, count: int, dim: int, out: Floats
) -> None:
    """The first `count` columns of left [here, width], transposed, times right [here, dim], added to `out`."""
    for row in range(0, count, 4):
        for column in range(0, dim, BLOCK):
            _tile(out, row * dim + column, dim, left, row, 1, width, right, column, dim, here, True)


@compiled
def dot(left: Floats, a: int, right: Floats, b: int, count: int) -> np.float32:
    """Of so many numbers, a multiple of 16."""
    sums = vectors.zeros()
    for at in range(0, count, LANES):
        sums = vectors.fused(vectors.load(left, a + at), vectors.load(right, b + at), sums)
    total: np.float32 = vectors.total(sums)
    return total


@compiled
def softmax(scores: Floats, first: int, count: int, width: int) -> np.float32:
    """Of the first `count` of a row's scores, in place; the rest of the row becomes 0. Returns log of the sum."""
    full = (count - 1) // LANES * LANES
    end = vectors.first_lanes(vectors.load(scores, first + full), count - full, f32(-np.inf))
    most = end
    for at in range(first, first + full, LANES):
        most = vectors.larger(vectors.load(scores, at), most)
    largest = vectors.largest(most)
    shift = vectors.filled(-largest)
    sums = vectors.zeros()
    for at in range(first, first + full, LANES):
        share = vectors.exp(vectors.plus(vectors.load(scores, at), shift))
        sums = vectors.plus(sums, share)
        vectors.store(scores, at, share)
    share = vectors.first_lanes(vectors.exp(vectors.plus(end, shift)), count - full, f32(0))
    vectors.store(scores, first + full, share)
    total = vectors.total(vectors.plus(sums, share))
    inverse = vectors.filled(f32(1) / total)
    for at in range(first, first + full + LANES, LANES):
        vectors.store(scores, at, vectors.times(vectors.load(scores, at), inverse))
    for at in range(first + full + LANES, first + width, LANES):
        vectors.store(scores, at, vectors.zeros())
    logsum: np.float32 = f32(largest + np.log(total))
    return logsum


@compiled
def slopes_of(
    scores: Floats, slopes: Floats, first: int, count: int, width: int, logsum: np.float32, mean: np.float32
) -> None:
    """A row of scores becomes shares again, and the shares' gradients those of the scores; 0 from `count` on."""
    shift, middle = vectors.filled(-logsum), vectors.filled(-mean)
    full = count // LANES * LANES
    for at in range(first, first + full, LANES):
        share = vectors.exp(vectors.plus(vectors.load(scores, at), shift))
        vectors.store(scores, at, share)
        vectors.store(slopes, at, vectors.times(share, vectors.plus(vectors.load(slopes, at), middle)))
    if full < count:
        share = vectors.exp(vectors.plus(vectors.load(scores, first + full), shift))
        slope = vectors.times(share, vectors.plus(vectors.load(slopes, first + full), middle))
        vectors.store(scores, first + full, vectors.first_lanes(share, count - full, f32(0)))
        vectors.store(slopes, first + full, vectors.first_lanes(slope, count - full, f32(0)))
        full += LANES
    for at in range(first + full, first + width, LANES):
        vectors.store(scores, at, vectors.zeros())
        vectors.store(slopes, at, vectors.zeros())


@compiled
def read_rows(heads: Floats, head: int, first: int, count: int, rows: Floats, to: int) -> None:
    """Columns of a head, of `count` tokens: rows from `to` on."""
    dim = heads.shape[2]
    for token in range(count):
        for d in range(dim):
            rows[(to + token) * dim + d] = heads[first + token, head, d]


@compiled
def read_turned(
    heads: Floats,
    head: int,
    first: int,
    count: int,
    cosines: Floats,
    sines: Floats,
    scale: np.float32,
    rows: Floats,
    to: int,
) -> None:
    """The same, rotated by position (rotary embedding) and multiplied by `scale`."""
    dim = heads.shape[2]
    half = dim // 2
    for row in range(count):
        token, at = first + row, (to + row) * dim
        for d in range(half):
            one, two = heads[token, head, d], heads[token, head, half + d]
            rows[at + d] = (one * cosines[token, d] - two * sines[token, d]) * scale
            rows[at + half + d] = (two * cosines[token, half + d] + one * sines[token, half + d]) * scale


@compiled
def turn_back(
    rows: Floats, start: int, count: int, first: int, cosines: Floats, sines: Floats, scale: np.float32
) -> None:
    """The gradient of what `read_turned` read, in place: of rows from `start` on, of tokens from `first` on."""
    dim = cosines.shape[1]
    half = dim // 2
    for row in range(count):
        token, at = first + row, (start + row) * dim
        for d in range(half):
            one, two = rows[at + d] * scale, rows[at + half + d] * scale
            rows[at + d] = one * cosines[token, d] + two * sines[token, half + d]
            rows[at + half + d] = two * cosines[token, half + d] - one * sines[token, d]


@compiled
def write_rows(rows: Floats, start: int, count: int, heads: Floats, head: int, first: int) -> None:
    """Rows from `start` on, to the columns of a head of `count` tokens."""
    dim = heads.shape[2]
    for row in range(count):
        for d in range(dim):
            heads[first + row, head, d] = rows[(start + row) * dim + d]


@compiled
def add_rows(rows: Floats, start: int, count: int, heads: Floats, head: int, first: int) -> None:
    """The same, added to what is there."""
    dim = heads.shape[2]
    for row in range(count):
        for d in range(dim):
            heads[first + row, head, d] += rows[(start + row) * dim + d]


@compiled
def rows_to_panels(rows: Floats, start: int, count: int, dim: int, panels: Floats) -> None:
    """Rows from `start` on into panels, where they were; the rest of the last panel becomes 0."""
    for row in range(start, start + count):
        to = row // BLOCK * BLOCK * dim + row % BLOCK
        for d in range(dim):
            panels[to + d * BLOCK] = rows[row * dim + d]
    for row in range(start + count, padded(start + count)):
        to = row // BLOCK * BLOCK * dim + row % BLOCK
        for d in range(dim):
            panels[to + d * BLOCK] = f32(0)
