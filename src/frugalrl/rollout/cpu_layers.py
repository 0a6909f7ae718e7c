"""The layers of a decoding step on a CPU: matrix products by torch, and between two of them one compiled kernel.

A layer is four products and four kernels instead of some thirty operations.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.rollout.blocked_cache import BLOCK_COLUMNS, BlockedCache, as_array
from frugalrl.rollout.packed_weights import PackedWeights

Activation = Callable[[Tensor], Tensor]


class CpuLayers:
    """A model's layers, ready to be fed tokens."""

    def __init__(self, weights: PackedWeights, activation: Activation, cos: Tensor, sin: Tensor) -> None:
        """activation: of the gate; silu has a kernel. cos, sin: float32 [positions, D/2]."""
        self._weights, self._activation = weights, activation
        missing = -cos.shape[1] % BLOCK_COLUMNS
        turns = torch.stack((cos, sin), 1).to(weights.dtype).float()  # as the trainer rounds them
        self._rotations = F.pad(turns, (0, missing)).numpy()
        self._coarse = weights.dtype == torch.bfloat16 and torch.backends.cpu.get_cpu_capability() == "AVX512"
        """Whether the trainer's attention takes exp so."""
        nothing = np.empty(0, np.float32)
        self._norms = [
            (
                as_array(layer.input_norm),
                nothing if layer.query_norm is None else _padded(layer.query_norm),
                nothing if layer.key_norm is None else _padded(layer.key_norm),
                as_array(layer.post_norm),
            )
            for layer in weights.layers
        ]

    def run(self, cache: BlockedCache, tokens: Tensor, positions: Tensor) -> Tensor:
        """Feed a token to each of the first n rows. tokens, positions: int64 [n]. Returns hidden states [n, H]."""
        from frugalrl.kernels import decoding

        weights, epsilon, rows = self._weights, self._weights.shape.epsilon, tokens.shape[0]
        places = positions.numpy()
        cache.hold(places)
        (normed, normed_out), (attended, attended_out), (gated, gated_out) = cache.buffers(rows)
        shape = weights.shape
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
        return hidden


def _padded(weight: Tensor) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """float32, with zeros up to a whole number of vectors."""
    array: np.ndarray[tuple[int], np.dtype[np.float32]] = F.pad(
        weight.float(), (0, -len(weight) % BLOCK_COLUMNS)
    ).numpy()
    return array
