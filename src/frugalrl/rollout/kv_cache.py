"""The key/value cache, allocated once for a call of an engine, and attention of one query over it.

A row holds one sequence, whose token at position p stands in column p. Columns that a row does not see are masked by
an additive bias, made once a token for all layers. The query heads that share a key head are laid out like positions,
so keys are never repeated.

- `BlockedCache` (CPU, fp32 and bf16, in a file of its own): for compiled kernels.
- `SdpaCache` (everything else): torch's scaled_dot_product_attention. On a GPU its backend is named, so that no plan is
  made for each new width.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from frugalrl.rollout.blocked_cache import BlockedCache, kernels_fit
from frugalrl.rollout.packed_weights import ModelShape

ATTENTION_BACKENDS = {
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
"""Of torch's attention with a mask, by name. cuDNN makes a plan for each width."""


@dataclass(frozen=True)
class Columns:
    """What all layers of one step share."""

    width: int
    """Columns that are read: more than any position."""
    key_index: Tensor
    """int64: where the new keys go in a layer's flat memory."""
    value_index: Tensor
    """int64: where the new values go."""
    bias: Tensor
    """0 where a row sees a column, else -inf."""


class KeyValueCache(Protocol):
    """Keys and values of up to `rows` sequences of up to `tokens` tokens, for every layer."""

    rows: int
    tokens: int

    def write_prompts(self, layer: int, row: int, copies: Sequence[int], keys: Tensor, values: Tensor) -> None:
        """Write keys and values [P, T, kv_heads, D] to columns 0 to T of as many rows as each prompt has copies."""
        ...

    def move_rows(self, sources: Tensor, targets: Tensor) -> None:
        """Copy some rows onto others (no row may be in both)."""
        ...


class SdpaCache:
    """Keys and values [rows, kv_heads, tokens, D]."""

    def __init__(
        self, shape: ModelShape, rows: int, tokens: int, dtype: torch.dtype, device: torch.device, attention: str
    ) -> None:
        """attention: a name in ATTENTION_BACKENDS, used on a GPU."""
        self.rows, self.tokens = rows, tokens
        memory = (shape.layers, rows, shape.kv_heads, tokens, shape.head_dim)
        self._heads, self._dim = shape.kv_heads, shape.head_dim
        self._keys = torch.zeros(memory, dtype=dtype, device=device)
        self._values = torch.zeros_like(self._keys)
        self._first = torch.arange(rows * shape.kv_heads, device=device) * tokens
        self._columns, self._seen_and_hidden = torch.arange(tokens, device=device), _biases(self._values)
        self._backend = ATTENTION_BACKENDS[attention] if device.type == "cuda" else None

    def write_prompts(self, layer: int, row: int, copies: Sequence[int], keys: Tensor, values: Tensor) -> None:
        """See `KeyValueCache.write_prompts`."""
        width = keys.shape[1]
        for count, own_keys, own_values in zip(copies, keys, values, strict=True):
            self._keys[layer, row : row + count, :, :width] = own_keys.transpose(0, 1)
            self._values[layer, row : row + count, :, :width] = own_values.transpose(0, 1)
            row += count

    def columns(self, positions: Tensor, width: int) -> Columns:
        """For one new token at these positions (int64 [n]) of rows 0 to n."""
        visible = self._columns[:width] <= positions[:, None]
        by_head = positions.repeat_interleave(self._heads)
        index = self._first[: len(by_head)] + by_head
        return Columns(width, index, index, torch.where(visible, *self._seen_and_hidden)[:, None, None])

    def attend(self, layer: int, columns: Columns, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Write the new keys and values [n, kv_heads, D]; queries [n, heads, D] in, attended [n, heads * D] out."""
        own_keys, own_values = self._keys[layer], self._values[layer]
        own_keys.view(-1, self._dim).index_copy_(0, columns.key_index, keys.reshape(-1, self._dim))
        own_values.view(-1, self._dim).index_copy_(0, columns.value_index, values.reshape(-1, self._dim))
        rows = queries.shape[0]
        grouped = queries.reshape(rows, self._heads, -1, self._dim)
        past_keys, past_values = own_keys[:rows, :, : columns.width], own_values[:rows, :, : columns.width]
        with self._named_backend():
            attended = F.scaled_dot_product_attention(grouped, past_keys, past_values, attn_mask=columns.bias)
        return attended.reshape(rows, -1)

    def move_rows(self, sources: Tensor, targets: Tensor) -> None:
        """See `KeyValueCache.move_rows`."""
        for memory in (self._keys, self._values):
            memory[:, targets] = memory[:, sources]

    def _named_backend(self) -> AbstractContextManager[None]:
        return nullcontext() if self._backend is None else sdpa_kernel(self._backend)


def _biases(like: Tensor) -> tuple[Tensor, Tensor]:
    """Of a column that a row sees, and of one that it does not."""
    return like.new_zeros(()), like.new_full((), float("-inf"))


def make_cache(
    shape: ModelShape, rows: int, tokens: int, dtype: torch.dtype, device: torch.device, attention: str
) -> "SdpaCache | BlockedCache":
    """The cache that is fastest for a dtype on a device."""
    if kernels_fit(shape, dtype, device):
        return BlockedCache(shape, rows, tokens, dtype, torch.get_num_threads())
    return SdpaCache(shape, rows, tokens, dtype, device, attention)


def cache_row_bytes(shape: ModelShape, tokens: int, dtype: torch.dtype) -> int:
    """Bytes of one row of a cache."""
    return 2 * shape.layers * tokens * shape.kv_width * dtype.itemsize
