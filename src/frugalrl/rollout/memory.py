"""Telling an error of memory from others."""

import torch


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or the host's allocator, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)
