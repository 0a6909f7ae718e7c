"""Prefill and decode of a Qwen2, Qwen3 or Llama model from packed weights, over a key/value cache.

It replaces the forward pass of transformers, which would rebuild masks and caches at every token; a test holds its
output to `transformers.generate` and its log-probabilities to transformers' forward pass.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.algorithms.causal_attention import causal_attention
from frugalrl.rollout.blocked_cache import BlockedCache
from frugalrl.rollout.cpu_layers import CpuLayers
from frugalrl.rollout.kv_cache import KeyValueCache, SdpaCache
from frugalrl.rollout.packed_weights import PackedLayer, PackedWeights
from frugalrl.rollout.projections import FEWEST_ROWS
from frugalrl.rollout.whole_layers import WholeLayers

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Layer, queries [N, heads, D], keys and values [N, kv_heads, D] in; [N, heads * D] out."""
Activation = Callable[[Tensor], Tensor]


class Decoder:
    """A model, ready to read prompts and to feed tokens."""

    def __init__(self, weights: PackedWeights, activation: Activation, cos: Tensor, sin: Tensor) -> None:
        """activation: of the gate. cos, sin: float32 [positions, D/2]: a position's rotation of each pair."""
        self.weights, self._activation = weights, activation
        if weights.pairs_together:
            self._rotations = torch.complex(cos, sin)
        else:
            self._rotations = torch.stack((torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)), 1).to(weights.dtype)
        self._turns = cos, sin

    def prefill(self, cache: KeyValueCache, prompts: Sequence[tuple[int, ...]], copies: list[int], row: int) -> Tensor:
        """Read each prompt once, and write it to as many consecutive cache rows as it has copies.

        row: the first row to write. Returns the last hidden state [P, H] of each prompt, for `logits`.
        """
        device, count = self._rotations.device, len(prompts)
        width = max(map(len, prompts))
        padded = torch.tensor([prompt + (0,) * (width - len(prompt)) for prompt in prompts], device=device)
        rotations = self._rotations[torch.arange(width, device=device).repeat(count)]

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            q, k, v = (states.reshape(count, width, *states.shape[1:]) for states in (queries, keys, values))
            cache.write_prompts(layer, row, copies, k, v)
            # Padding is on the right, so no real token attends to it under a causal mask alone.
            q, k, v = (states.transpose(1, 2) for states in (q, k, v))
            attended = causal_attention(q, k, v)
            return attended.transpose(1, 2).reshape(count * width, -1)

        hidden = self._run_layers(padded.flatten(), rotations, attend)
        last = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)
        return hidden.view(count, width, -1)[torch.arange(count, device=device), last]

    @cached_property
    def _cpu_layers(self) -> CpuLayers:
        return CpuLayers(self.weights, self._activation, *self._turns)

    @cached_property
    def _whole_layers(self) -> WholeLayers | None:
        return WholeLayers.made_for(self.weights, self._activation, *self._turns)

    def decode(self, cache: SdpaCache | BlockedCache, tokens: Tensor, positions: Tensor, width: int) -> Tensor:
        """Feed one token to each of the first n cache rows (at least FEWEST_ROWS).

        tokens, positions: int64 [n]; a position is the number of tokens its row holds already. width: columns of the
        cache that are read, more than any position. Returns float32 logits [n, V] of the tokens that follow.
        """
        if isinstance(cache, BlockedCache):
            whole = self._whole_layers if cache.threads == 1 else None
            return (whole or self._cpu_layers).logits(cache, tokens, positions)
        columns = cache.columns(positions, width)

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            return cache.attend(layer, columns, queries, keys, values)

        return self.logits(self._run_layers(tokens, self._rotations[positions], attend))

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 [n, V] from hidden states [n, H]."""
        rows = hidden.shape[0]
        if rows < FEWEST_ROWS:
            hidden = hidden.expand(FEWEST_ROWS, -1)
        normed = self._normed(hidden, self.weights.norm)
        return self.weights.head(normed.to(self.weights.head_dtype))[:rows].float()

    def _run_layers(self, tokens: Tensor, rotations: Tensor, attend: Attend) -> Tensor:
        """Token ids [N] and their rotations in; final hidden states [N, H] before the last norm."""
        rows = tokens.shape[0]
        if rows < FEWEST_ROWS:  # only a prompt of one token: it is read twice, and the second time is ignored
            tokens, rotations = tokens.repeat(FEWEST_ROWS), torch.cat((rotations, rotations))
        hidden = F.embedding(tokens, self.weights.embedding)
        for index, layer in enumerate(self.weights.layers):
            states = self._projected(layer, hidden, rotations)
            attended = attend(index, *(one[:rows] for one in states))
            if attended.shape[0] < hidden.shape[0]:
                attended = attended.expand(hidden.shape[0], -1)
            hidden = layer.out.added_to(hidden, attended)
            gate, up = layer.gate_up(self._normed(hidden, layer.post_norm)).chunk(2, dim=-1)
            hidden = layer.down.added_to(hidden, self._activation(gate) * up)
        return hidden[:rows]

    def _projected(self, layer: PackedLayer, hidden: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [N, heads, D], rotated keys and values [N, kv_heads, D]."""
        shape = self.weights.shape
        states = layer.qkv(self._normed(hidden, layer.input_norm)).view(hidden.shape[0], -1, shape.head_dim)
        turned, values = states[:, : -shape.kv_heads], states[:, -shape.kv_heads :]
        if layer.query_norm is not None and layer.key_norm is not None:
            queries = self._normed(turned[:, : shape.heads], layer.query_norm)
            turned = torch.cat((queries, self._normed(turned[:, shape.heads :], layer.key_norm)), dim=1)
        turned = _rotate(turned, rotations)
        return turned[:, : shape.heads], turned[:, shape.heads :], values

    def _normed(self, states: Tensor, weight: Tensor) -> Tensor:
        """RMS norm (1910.07467). In 16 bits it rounds before it multiplies by the weight, as transformers does."""
        epsilon = self.weights.shape.epsilon
        if states.dtype == torch.float32:
            return F.rms_norm(states, weight.shape, weight, epsilon)
        return F.rms_norm(states, weight.shape, None, epsilon).mul_(weight)


def _rotate(states: Tensor, rotations: Tensor) -> Tensor:
    """Rotary position embedding (RoFormer, arXiv 2104.09864) of states [N, heads, D].

    rotations: complex [N, D/2] for pairs that are neighbours, or cos and signed sin [N, 2, D] for the half-split one.
    """
    if rotations.is_complex():
        pairs = torch.view_as_complex(states.view(*states.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * rotations[:, None]).flatten(-2)
    half = states.shape[-1] // 2
    swapped = torch.cat((states[..., half:], states[..., :half]), dim=-1)
    return (states * rotations[:, :1]).add_(swapped.mul_(rotations[:, 1:]))
