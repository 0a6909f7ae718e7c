"""Memory of a decoding step on a CPU, mapped from the system: zero without being written, and in huge pages on request.

Weights are read whole at every token. In pages of 4 KB the processor would look up where each lies: more of them than
it remembers. Linux gives pages of 2 MB on request, for shared memory not even then by default, so memory is private
here. A cache is in ordinary pages: what a row does not reach, up to its cap, takes no memory then.
"""

import contextlib
import math
import mmap

import torch
from torch import Tensor

PAGE_BYTES = 1 << 21
"""A huge page. Less memory than that is left to torch."""
_ADVICE = getattr(mmap, "MADV_HUGEPAGE", None)


def zeros(*shape: int, dtype: torch.dtype, huge: bool) -> Tensor:
    """Of a CPU. The memory is given back with the tensor. Raises torch's error where there is not enough."""
    count = math.prod(shape)
    memory = _mapped(count * dtype.itemsize, huge)
    if memory is None:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(memory, dtype=dtype, count=count).view(shape)


def _mapped(size: int, huge: bool) -> mmap.mmap | None:
    """None where there is not so much memory, or it is less than a page."""
    if size < PAGE_BYTES:
        return None
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        return None
    if huge and _ADVICE is not None:
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(_ADVICE)
    return memory


class Pieces:
    """Hands out memory for many tensors from few large ones, in huge pages."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._left = torch.empty(0, dtype=dtype)

    def take(self, *shape: int) -> Tensor:
        """What is in it means nothing."""
        count = -(-math.prod(shape) // 16) * 16
        if count > len(self._left):
            self._left = zeros(max(count, PAGE_BYTES), dtype=self._left.dtype, huge=True)
        own, self._left = self._left[:count], self._left[count:]
        return own[: math.prod(shape)].view(shape)
