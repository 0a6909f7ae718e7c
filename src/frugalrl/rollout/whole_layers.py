"""A decoding step on a CPU with one call a layer: of a model in fp32 whose projections are all panels, in one thread.

The bits are those of `cpu_layers.py`, which takes what does not fit here.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.rollout.blocked_cache import BlockedCache, as_array
from frugalrl.rollout.cpu_layers import Activation, norm_arrays, rotation_table
from frugalrl.rollout.packed_weights import PackedWeights
from frugalrl.rollout.projections import Panels

_NOTHING = np.empty((0, 1), np.float32)


class WholeLayers:
    """A model's layers and its head, ready to be fed tokens."""

    @staticmethod
    def made_for(weights: PackedWeights, activation: Activation, cos: Tensor, sin: Tensor) -> "WholeLayers | None":
        """None if a projection is not of panels (16 bits, adapters, other widths) or the gate has no kernel."""
        rows = [(one.qkv, one.out, one.gate_up, one.down) for one in weights.layers]
        panels = [[one.arrays for one in row if isinstance(one, Panels)] for row in rows]
        if activation is not F.silu or not isinstance(weights.head, Panels) or any(len(row) < 4 for row in panels):
            return None
        arrays = [tuple(array for pair in row for array in pair) for row in panels]
        return WholeLayers(weights, arrays, weights.head.arrays[0], rotation_table(cos, sin, weights.dtype))

    def __init__(self, weights: PackedWeights, projections: list[tuple[Any, ...]], head: Any, rotations: Any) -> None:
        """projections: of each layer, panels and bias of each, as `layers.layer` wants them."""
        self._embedding, self._shape, self._rotations = weights.embedding, weights.shape, rotations
        self._layers = [(*norms, *own) for norms, own in zip(norm_arrays(weights), projections, strict=True)]
        self._norm, self._head = as_array(weights.norm), head

    def logits(self, cache: BlockedCache, tokens: Tensor, positions: Tensor) -> Tensor:
        """See `Decoder.decode`. The cache is that of one thread."""
        from frugalrl.kernels import decoding, layers

        shape, places, rows = self._shape, positions.numpy(), tokens.shape[0]
        cache.hold(places)
        qkv = shape.query_width + 2 * shape.kv_width
        widths = shape.hidden, qkv, shape.query_width, shape.hidden, 2 * shape.intermediate, shape.intermediate
        made = [array for _, array in cache.buffers(rows, *widths)]
        work = np.empty(decoding.work_numbers(shape.heads // shape.kv_heads, cache.tokens, shape.head_dim), np.float32)
        shared = self._rotations, shape.epsilon, cache.keys, cache.values, work, _NOTHING, *made
        hidden = F.embedding(tokens, self._embedding).numpy()
        for index, layer in enumerate(self._layers):
            layers.layer(*layer, *shared, index, places, hidden)  # type: ignore[call-arg]
        out = torch.empty(rows, shape.vocabulary)
        layers.logits(self._norm, self._head, shape.epsilon, _NOTHING, hidden, made[0], out.numpy())
        return out
