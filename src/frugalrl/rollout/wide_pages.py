"""Memory of a decoding step on a CPU in pages of 2 MB, where the system has them (Linux, by request).

Weights and cache are read whole at every token. In pages of 4 KB the processor would look up where each lies: more of
them than it remembers.
"""

import contextlib
import math
import mmap

import torch
from torch import Tensor

PAGE_BYTES = 1 << 21
"""Smaller memory is left to torch."""
_ADVICE = getattr(mmap, "MADV_HUGEPAGE", None)


def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
    """Of a CPU. The memory is given back with the tensor."""
    count = math.prod(shape)
    if _ADVICE is None or count * dtype.itemsize < PAGE_BYTES:
        return torch.zeros(shape, dtype=dtype)
    memory = mmap.mmap(-1, count * dtype.itemsize)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(_ADVICE)
    return torch.frombuffer(memory, dtype=dtype, count=count).view(shape)


class Pieces:
    """Hands out memory for many tensors from few large ones."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._left = torch.empty(0, dtype=dtype)

    def take(self, *shape: int) -> Tensor:
        """What is in it means nothing."""
        count = -(-math.prod(shape) // 16) * 16
        if count > len(self._left):
            self._left = zeros(max(count, PAGE_BYTES), dtype=self._left.dtype)
        own, self._left = self._left[:count], self._left[count:]
        return own[: math.prod(shape)].view(shape)
