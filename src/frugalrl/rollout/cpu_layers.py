"""The layers of a decoding step on a CPU: matrix products, and between two of them one compiled kernel.

A layer is four products and four kernels instead of some thirty operations. `whole_layers.py` has the same as one call.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.rollout.blocked_cache import BLOCK_COLUMNS, BlockedCache, as_array
from frugalrl.rollout.packed_weights import PackedWeights

Activation = Callable[[Tensor], Tensor]
Array = np.ndarray[Any, Any]


class CpuLayers:
    """A model's layers and its head, ready to be fed tokens."""

    def __init__(self, weights: PackedWeights, activation: Activation, cos: Tensor, sin: Tensor) -> None:
        """activation: of the gate; silu has a kernel. cos, sin: float32 [positions, D/2]."""
        self._weights, self._activation = weights, activation
        self._rotations, self._norms = rotation_table(cos, sin, weights.dtype), norm_arrays(weights)
        self._coarse = takes_coarse_exp(weights.dtype)

    def logits(self, cache: BlockedCache, tokens: Tensor, positions: Tensor) -> Tensor:
        """See `Decoder.decode`."""
        from frugalrl.kernels import decoding

        weights, epsilon, rows = self._weights, self._weights.shape.epsilon, tokens.shape[0]
        places = positions.numpy()
        cache.hold(places)
        shape = weights.shape
        widths = shape.hidden, shape.query_width, shape.intermediate
        (normed, normed_out), (attended, attended_out), (gated, gated_out) = cache.buffers(rows, *widths)
        scratch = decoding.work_numbers(shape.heads // shape.kv_heads, cache.tokens, shape.head_dim)
        shares = [(*share, np.empty(scratch, np.float32)) for share in cache.shares(rows)]
        hidden = F.embedding(tokens, weights.embedding)
        for index, layer in enumerate(weights.layers):
            input_norm, query_norm, key_norm, post_norm = self._norms[index]
            decoding.norm(as_array(hidden), input_norm, epsilon, normed_out)
            given = (
                as_array(layer.qkv(normed)), places, self._rotations, weights.pairs_together, self._coarse,
                query_norm, key_norm, epsilon, cache.keys, cache.values, index, attended_out,
            )  # fmt: skip
            others = [cache.begin(decoding.attend, *given, *share) for share in shares[1:]]
            decoding.attend(*given, *shares[0])
            for other in others:
                other.result()
            hidden = layer.out.added_to(hidden, attended)
            decoding.norm(as_array(hidden), post_norm, epsilon, normed_out)
            gate_up = layer.gate_up(normed)
            if self._activation is F.silu:
                decoding.gate(as_array(gate_up), gated_out)
            else:
                gate, up = gate_up.chunk(2, dim=-1)
                torch.mul(self._activation(gate), up, out=gated)
            hidden = layer.down.added_to(hidden, gated)
        decoding.norm(as_array(hidden), as_array(weights.norm), epsilon, normed_out)
        return weights.head(normed.to(weights.head_dtype)).float()


def takes_coarse_exp(dtype: torch.dtype) -> bool:
    """Whether torch's attention, and so the trainer's, computes exp as `vectors.coarse_exp` does."""
    return dtype == torch.bfloat16 and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


def rotation_table(cos: Tensor, sin: Tensor, dtype: torch.dtype) -> Array:
    """[positions, 2, whole vectors], rounded as the trainer rounds them."""
    turns = torch.stack((cos, sin), 1).to(dtype).float()
    table: Array = F.pad(turns, (0, -cos.shape[1] % BLOCK_COLUMNS)).numpy()
    return table


def norm_arrays(weights: PackedWeights) -> list[tuple[Array, Array, Array, Array]]:
    """Of each layer the norms of its input, of queries, of keys (both padded, or empty) and after attention."""
    return [
        (as_array(layer.input_norm), _padded(layer.query_norm), _padded(layer.key_norm), as_array(layer.post_norm))
        for layer in weights.layers
    ]


def _padded(weight: Tensor | None) -> Array:
    """float32, with zeros up to a whole number of vectors; empty for None."""
    if weight is None:
        return np.empty(0, np.float32)
    array: Array = F.pad(weight.float(), (0, -len(weight) % BLOCK_COLUMNS)).numpy()
    return array
