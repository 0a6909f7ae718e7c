"""Loops over tokens: RMS norm and SwiGLU, each forward and backward in one pass over the data.

transformers' modules make 6 passes forward and 12 backward for the first, 2 and 3 for the second, each with a
buffer of its own (docs/lab-log.md has the times).
"""

import numpy as np
from numpy import float32 as f32

from frugalrl.kernels.jit import Floats, summed_freely

SOURCES_DIGEST = "3eb10bf844b1260d"
"""Of the files of this room that are imported here: numba uses what it kept on disk until this file changes."""

BLOCK_ROWS = 64
"""Gradients of a norm's weight add up over blocks of so many rows, so that threads can share the rows and the sum is
the same for any number of them."""

LARGEST_EXPONENT = f32(87)
"""exp of it is finite in fp32, and exp of its negative is normal."""


@summed_freely
def exp(x: np.float32) -> np.float32:
    """e^x in fp32 within 2e-7 of itself, from a polynomial (Cephes' expf), which a loop computes for whole vectors.

    Beyond `LARGEST_EXPONENT` the value there; NaN stays NaN.
    """
    x = -LARGEST_EXPONENT if x < -LARGEST_EXPONENT else x
    x = LARGEST_EXPONENT if x > LARGEST_EXPONENT else x
    doublings = np.floor(x * f32(1.44269504) + f32(0.5))
    rest = x - doublings * f32(0.693359375)
    rest = rest - doublings * f32(-2.12194440e-4)
    series = f32(1.9875691500e-4)
    series = series * rest + f32(1.3981999507e-3)
    series = series * rest + f32(8.3334519073e-3)
    series = series * rest + f32(4.1665795894e-2)
    series = series * rest + f32(1.6666665459e-1)
    series = series * rest + f32(5.0000001201e-1)
    series = series * rest * rest + rest + f32(1)
    power = np.int32((np.int32(doublings) + np.int32(127)) * np.int32(1 << 23))  # the exponent's place in fp32
    result: np.float32 = series * power.view(np.float32)
    return result


@summed_freely
def rms_norm(x: Floats, weight: Floats, epsilon: np.float32, out: Floats, scales: Floats) -> None:
    """x, out [N, H]; weight [H]. scales [N]: what each row was multiplied with, for the backward pass."""
    width = x.shape[1]
    for row in range(x.shape[0]):
        squares = f32(0)
        for j in range(width):
            squares += x[row, j] * x[row, j]
        scale = f32(1) / np.sqrt(squares / f32(width) + epsilon)
        scales[row] = scale
        for j in range(width):
            out[row, j] = x[row, j] * scale * weight[j]


@summed_freely
def rms_norm_backward(
    gradient: Floats, x: Floats, weight: Floats, scales: Floats, for_x: Floats, for_weight: Floats
) -> None:
    """for_weight [blocks, H]: the gradient of the weight by block of rows, zero at first."""
    width = x.shape[1]
    for row in range(x.shape[0]):
        block = row // BLOCK_ROWS
        scale = scales[row]
        product = f32(0)
        for j in range(width):
            term = gradient[row, j] * x[row, j] * scale
            for_weight[block, j] += term
            product += term * weight[j]
        product = product / f32(width) * scale
        for j in range(width):
            for_x[row, j] = scale * (gradient[row, j] * weight[j] - x[row, j] * product)


@summed_freely
def swiglu(gate: Floats, up: Floats, out: Floats) -> None:
    """silu(gate) x up; all flat."""
    for j in range(gate.size):
        out[j] = gate[j] / (f32(1) + exp(-gate[j])) * up[j]


@summed_freely
def swiglu_backward(gradient: Floats, gate: Floats, up: Floats, for_gate: Floats, for_up: Floats) -> None:
    """All flat."""
    for j in range(gate.size):
        share = f32(1) / (f32(1) + exp(-gate[j]))
        activated = gate[j] * share
        for_up[j] = gradient[j] * activated
        for_gate[j] = gradient[j] * up[j] * (share + activated * (f32(1) - share))
