"""Causal attention of whole sequences, for prompts that are read and for the update, by a backend that is named.

On a GPU torch chooses a backend by itself, and on Hopper prefers cuDNN's, which makes a plan for each new shape. Here
shapes change with every batch, so cuDNN's is left out. Flash attention takes grouped heads in 16 bits; in fp32 only the
plain backend would, which holds all scores, so keys and values are repeated there for the memory-efficient one.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""On a GPU, of which torch takes the first that can."""


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor, scale: float | None = None) -> Tensor:
    """Queries [B, heads, T, D], keys and values [B, kv_heads, T, D] in; [B, heads, T, D] out."""
    groups = queries.shape[1] // keys.shape[1]
    if groups > 1 and repeats_heads(queries.device.type, queries.dtype):
        keys, values, groups = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1), 1
    with named_backends(queries.device.type):
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=scale, enable_gqa=groups > 1)


def repeats_heads(device: str, dtype: torch.dtype) -> bool:
    """Whether keys and values are repeated, since the backend that saves memory takes no grouped heads."""
    return device == "cuda" and dtype not in (torch.float16, torch.bfloat16)


def named_backends(device: str) -> AbstractContextManager[None]:
    """A block in which attention on a device is computed by one of `BACKENDS`; a CPU has one for all."""
    return sdpa_kernel(BACKENDS) if device == "cuda" else nullcontext()
