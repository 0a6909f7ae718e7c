"""Recognising out-of-memory errors."""

import torch


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or the host's allocator, ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)
