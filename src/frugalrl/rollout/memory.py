"""Recognising out-of-memory errors, and how many cache rows the free memory of a device holds."""

import torch

USABLE_SHARE = 0.9
"""Of the free memory, for a rollout: the rest is for fragments and the libraries' own workspaces."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device, or the host's allocator, ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def free_bytes(device: torch.device) -> int | None:
    """What can still be allocated on a GPU: free, or cached by torch. None for a CPU, whose limit nobody knows."""
    if device.type != "cuda":
        return None
    unused, _ = torch.cuda.mem_get_info(device)
    return unused + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def affordable_rows(wanted: int, row_bytes: int, free: int | None) -> int:
    """As many rows as are wanted and fit, at least one: that one may still fail, and says so."""
    return wanted if free is None else max(1, min(wanted, int(free * USABLE_SHARE) // row_bytes))
