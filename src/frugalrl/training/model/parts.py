"""Tensors that may lie in parts on several processes (FSDP2's DTensors), and plain ones, under one set of functions.

Only here does the code tell the two apart. `whole` and `collected` exchange data, so that every process calls them.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_in_parts(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Whether other processes hold other parts of it.

    Without importing what takes half a second: nobody has made such a tensor before it was imported.
    """
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def whole(tensor: Tensor) -> Tensor:
    """The tensor with all of its parts; itself if it is in one piece."""
    return tensor.full_tensor() if is_in_parts(tensor) else tensor


@torch.no_grad()
def assign(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one that may be in parts: each process takes its own. Or parts into parts."""
    target.copy_(_laid_out(value, target))


def own_copy(value: Tensor, like: Tensor) -> Tensor:
    """A copy of a whole tensor on the device of another, cut as that one is."""
    return _laid_out(value.to(device=like.device, copy=True), like)


def collected(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Whole tensors on the host, one gathered after the other; nothing where `keep` is false. Plain ones as they are.

    Two names of one tensor stay names of one tensor.
    """
    gathered: dict[int, Tensor] = {}
    for tensor in tensors.values():
        if id(tensor) not in gathered:
            complete = whole(tensor.detach())
            gathered[id(tensor)] = complete.cpu() if is_in_parts(tensor) else complete
            if not keep:
                gathered[id(tensor)] = complete.new_empty(0)
    return {name: gathered[id(tensor)] for name, tensor in tensors.items()} if keep else {}


def _laid_out(value: Tensor, like: Tensor) -> Tensor:
    if not is_in_parts(like) or is_in_parts(value):
        return value
    from torch.distributed.tensor import distribute_tensor

    on_device = value.to(like.device)
    return distribute_tensor(on_device, like.device_mesh, like.placements, src_data_rank=None)
