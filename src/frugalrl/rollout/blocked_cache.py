"""The key/value cache that kernels for CPUs read in place (`kernels/decoding.py`), and the memory of a step.

Keys stand in blocks of 16 columns, so that a vector holds the same component of 16 keys; values stand row by row. A
sequence is read as far as it goes, one after the other as they lie in memory.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from frugalrl.rollout import mapped_memory
from frugalrl.rollout.packed_weights import ModelShape

BLOCK_COLUMNS = 16
"""Of keys: as many as the kernels' vectors have lanes."""
FEWEST_SHARED_ROWS = 8
"""Fewer are not worth a thread of their own."""
KERNEL_DTYPES = (torch.float32, torch.bfloat16)


def kernels_fit(shape: ModelShape, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether there are kernels for a model: on a CPU, in two dtypes, if its widths are multiples of what they read."""
    whole = shape.hidden % BLOCK_COLUMNS == shape.intermediate % BLOCK_COLUMNS == shape.head_dim % 4 == 0
    return device.type == "cpu" and dtype in KERNEL_DTYPES and whole and shape.head_dim >= BLOCK_COLUMNS


class BlockedCache:
    """Keys [layers, rows, kv_heads, columns/16, D, 16], values [layers, rows, kv_heads, columns, D]."""

    def __init__(self, shape: ModelShape, rows: int, tokens: int, dtype: torch.dtype, threads: int = 1) -> None:
        """tokens: a multiple of BLOCK_COLUMNS. threads: that share the rows of a step."""
        self.rows, self.tokens = rows, tokens
        first, dim = (shape.layers, rows, shape.kv_heads), shape.head_dim
        self._keys = mapped_memory.zeros(*first, tokens // BLOCK_COLUMNS, dim, BLOCK_COLUMNS, dtype=dtype, huge=False)
        self._values = mapped_memory.zeros(*first, tokens, dim, dtype=dtype, huge=False)
        self.keys, self.values = as_array(self._keys), as_array(self._values)
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, "rows") if threads > 1 else None
        self._held = np.zeros(rows, dtype=np.int64)
        self._buffers: dict[tuple[int, ...], list[Tensor]] = {}
        self._dtype = dtype

    def buffers(self, rows: int, *widths: int) -> list[tuple[Tensor, np.ndarray[Any, Any]]]:
        """Memory [rows, width] for what is made on the way, as tensor and array; the same for the same widths."""
        if widths not in self._buffers:
            self._buffers[widths] = [torch.empty(self.rows, width, dtype=self._dtype) for width in widths]
        return [(whole[:rows], as_array(whole[:rows])) for whole in self._buffers[widths]]

    def shares(self, rows: int) -> list[tuple[int, int]]:
        """The first rows of the cache for each thread: from, to."""
        count = max(1, min(self.threads, rows // FEWEST_SHARED_ROWS))
        return [(int(part[0]), int(part[-1]) + 1) for part in np.array_split(np.arange(rows), count)]

    def begin(self, function: Callable[..., None], *arguments: Any) -> "Future[None]":
        """Call it in another thread. Only where there is more than one share."""
        assert self._pool is not None
        return self._pool.submit(function, *arguments)

    def write_prompts(self, layer: int, row: int, copies: Sequence[int], keys: Tensor, values: Tensor) -> None:
        """See `KeyValueCache.write_prompts`."""
        tokens = keys.shape[1]
        blocks = -(-tokens // BLOCK_COLUMNS)
        whole = F.pad(keys, (0, 0, 0, 0, 0, blocks * BLOCK_COLUMNS - tokens))
        blocked = whole.reshape(len(copies), blocks, BLOCK_COLUMNS, *keys.shape[2:])
        for count, own_keys, own_values in zip(copies, blocked, values, strict=True):
            self._keys[layer, row : row + count, :, :blocks] = own_keys.permute(2, 0, 3, 1)
            self._values[layer, row : row + count, :, :tokens] = own_values.transpose(0, 1)
            self._held[row : row + count] = tokens
            row += count

    def hold(self, positions: np.ndarray[Any, Any]) -> None:
        """Tokens stand at these positions of rows 0 to n."""
        self._held[: len(positions)] = positions + 1

    def move_rows(self, sources: Tensor, targets: Tensor) -> None:
        """See `KeyValueCache.move_rows`."""
        for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
            tokens = int(self._held[source])
            blocks = -(-tokens // BLOCK_COLUMNS)
            self._keys[:, target, :, :blocks].copy_(self._keys[:, source, :, :blocks])
            self._values[:, target, :, :tokens].copy_(self._values[:, source, :, :tokens])
            self._held[target] = tokens


def as_array(tensor: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's memory; bfloat16 is seen as uint16."""
    array: np.ndarray[Any, Any] = (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array
