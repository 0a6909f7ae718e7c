"""One small call of each kernel with the types that a run gives it, so that numba has compiled it before it counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from frugalrl.kernels import decoding, drawing, layers, products
from frugalrl.kernels.attention import attended
from frugalrl.kernels.attention_blocks import BLOCK
from frugalrl.kernels.functions import gated, normed
from frugalrl.kernels.vectors import LANES


@dataclass(frozen=True)
class Part:
    """Kernels that are used together."""

    seconds: float
    """About what compiling them takes (one core of a server processor; docs/lab-log.md)."""
    call: Callable[[], object]
    """All of them, in this thread."""


def _elementwise() -> None:
    states, weight = torch.ones(2, LANES, requires_grad=True), torch.ones(LANES, requires_grad=True)
    gated(normed(states, weight, 1e-6), states).sum().backward()  # type: ignore[no-untyped-call]


def _attention() -> None:
    heads, turns = torch.ones(2, 1, BLOCK, requires_grad=True), torch.ones(2, BLOCK)
    sequences = (((0, 0, 1), (1, 1, 1)),)
    attended(heads, heads, heads, turns, turns, 1.0, sequences).sum().backward()  # type: ignore[no-untyped-call]


def _decoding(dtype: DTypeLike) -> None:
    def zeros(*shape: int) -> np.ndarray[Any, Any]:
        return np.zeros(shape, dtype)

    nothing, width = np.empty(0, np.float32), LANES
    decoding.norm(zeros(2, width), zeros(width), 1e-6, zeros(2, width))
    decoding.gate(zeros(2, 2 * width), zeros(2, width))
    decoding.attend(
        zeros(2, 3 * width), np.zeros(2, np.int64), np.zeros((1, 2, width), np.float32), False, False,
        nothing, nothing, 1e-6, zeros(1, 2, 1, 1, width, LANES), zeros(1, 2, 1, LANES, width), 0, zeros(2, width),
        0, 2, np.zeros(decoding.work_numbers(1, LANES, width), np.float32),
    )  # fmt: skip


def _projections() -> None:
    """In panels: alone, and in a whole layer."""

    def zeros(*shape: int) -> np.ndarray[Any, Any]:
        return np.zeros(shape, np.float32)

    width, no_norm, nothing = products.PANEL, zeros(0), zeros(0, 1)
    rows, wide, places, in_panels = zeros(1, width), zeros(1, 2 * width), np.zeros(1, np.int64), zeros(1, width, width)
    made = rows, zeros(1, 3 * width), rows, rows, wide, rows
    layers.layer(
        zeros(width), no_norm, no_norm, zeros(width),
        zeros(3, width, width), nothing, in_panels, nothing, zeros(2, width, width), nothing, in_panels, nothing,
        zeros(1, 2, width), 1e-6, zeros(1, 1, 1, 1, width, LANES), zeros(1, 1, 1, LANES, width),
        zeros(decoding.work_numbers(1, LANES, width)), nothing, *made, 0, places, zeros(1, width),
    )  # fmt: skip
    layers.logits(zeros(width), in_panels, 1e-6, nothing, rows, zeros(1, width), zeros(1, width))
    products.product(rows, in_panels, nothing, nothing, zeros(1, width), 0, 1)


def _drawing() -> None:
    weights, tokens = np.zeros(LANES, np.float32), np.zeros(1, np.int64)
    drawing.draw(weights[None], 1.0, np.zeros(1), weights, np.zeros(1), tokens, np.zeros(1, np.float32))


PARTS: Mapping[str, Part] = {
    "elementwise": Part(1.5, _elementwise),
    "attention": Part(6.0, _attention),
    "drawing": Part(1.0, _drawing),
    "projections": Part(4.0, _projections),
    "decoding float32": Part(2.5, lambda: _decoding(np.float32)),
    "decoding bfloat16": Part(2.5, lambda: _decoding(np.uint16)),
}
