"""Memory of a decoding step on a CPU in pages of 2 MB, where the system has them (Linux, by request).

Weights and cache are read whole at every token. In pages of 4 KB the processor would look up where each lies: more of
them than it remembers. The memory is private: for shared memory, which `mmap` makes unless told otherwise, Linux leaves
such a request aside by default.
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
    """Of a CPU. The memory is given back with the tensor. Raises torch's error where there is not enough."""
    count = math.prod(shape)
    memory = _mapped(count * dtype.itemsize)
    if memory is None:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(memory, dtype=dtype, count=count).view(shape)


def _mapped(size: int) -> mmap.mmap | None:
    """None for less than a page, and where the system has no such pages or not so much memory."""
    if _ADVICE is None or size < PAGE_BYTES:
        return None
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        return None
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(_ADVICE)
    return memory


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
