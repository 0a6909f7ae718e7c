"""What the hardware allows: copy bandwidth and matrix rate, measured in the same run."""

import torch

from gpu_parts.rows import Limits, seconds_of


def measure(device: torch.device, dtype: torch.dtype, repeats: int) -> Limits:
    """A copy of 1 GiB (CPU: 64 MiB) and a square product of 8,192 (CPU: 1,024)."""
    is_cuda = device.type == "cuda"
    source = torch.empty(1 << (30 if is_cuda else 26), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = seconds_of(lambda: target.copy_(source), device, repeats)
    size = 8192 if is_cuda else 1024
    left = torch.randn(size, size, device=device, dtype=dtype)
    product = seconds_of(lambda: left @ left, device, repeats)
    return Limits(2 * source.numel() / copied, 2 * size**3 / product)
