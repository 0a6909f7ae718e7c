"""Adding up the gradients of the pieces of a batch, one after the other or in lanes, with the same bits."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from frugalrl.lanes import Lanes
from frugalrl.training.model.optimizer import MasterOptimizer

Piece = TypeVar("Piece")
Measured = TypeVar("Measured")
Backward = Callable[[Tensor], None]
"""Takes a loss."""


def added_gradients(
    model: Any,
    optimizer: MasterOptimizer,
    pieces: Sequence[Piece],
    compute: Callable[[Piece, Backward], Measured],
    lanes: Lanes,
    computes_together: bool = False,
) -> Iterator[Measured]:
    """Compute each piece and add its gradient to the parameters'; yields what was measured of each, in order.

    compute: makes the forward pass of a piece and hands its loss to the backward pass, if there is to be one. In lanes
    each piece has a gradient of its own, which is added in the order of the pieces, as `backward` would have added it.
    """
    if lanes.count == 1 or computes_together or optimizer.has_copies:
        yield from (compute(piece, lambda loss: loss.backward()) for piece in pieces)  # type: ignore[no-untyped-call]
        return
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def apart(piece: Piece) -> tuple[Measured, list[Tensor | None]]:
        gradients: list[Tensor | None] = []
        measured = compute(
            piece, lambda loss: gradients.extend(torch.autograd.grad(loss, parameters, allow_unused=True))
        )
        return measured, gradients

    for measured, gradients in lanes.map(apart, pieces):
        for parameter, gradient in zip(parameters, gradients, strict=False):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        yield measured
