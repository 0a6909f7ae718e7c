"""What of a model and its optimizer is held on a device through a whole step, in bytes, without activations."""

import os

import torch

from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.training.model.eight_bit import is_held_in_8_bits
from frugalrl.training.model.policy import Policy

_ROOMY_SHARE = 0.5
"""Of a device's memory that may be held without a saving: the rest is for activations, logits and the cache of
rollouts, which took 40 % of the real job's memory (docs/scale.md)."""
_GRADIENT_BYTES = 4


def is_roomy(held: float, memory: float) -> bool:
    """Whether a device has room for all that a step holds, and for what it computes with it."""
    return held <= _ROOMY_SHARE * memory


def held_bytes(policy: Policy, with_reference: bool, optimizer: OptimizerSettings) -> int:
    """Weights, those of a reference beside them, and of what is trained the gradients, masters and moments."""
    named = list(policy.model.named_parameters())
    weights: int = sum(one.numel() * one.element_size() for _, one in named)
    trained = [(name, one) for name, one in named if one.requires_grad]
    states: int = sum(one.numel() * (_GRADIENT_BYTES + _state_bytes(name, one, optimizer)) for name, one in trained)
    return weights * (2 if with_reference else 1) + states


def _state_bytes(name: str, parameter: torch.Tensor, optimizer: OptimizerSettings) -> int:
    """Per weight, of its master and its two moments where the parameter lies."""
    if optimizer.offload:
        return 0
    eight = optimizer.state_bits == 8 and is_held_in_8_bits(name, parameter)
    return (0 if parameter.dtype == torch.float32 else 4) + (2 if eight else 8)


def device_bytes(device: torch.device, processes: int) -> int:
    """Memory of this process's GPU; without one, its part of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    on_this_machine = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    memory: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return memory // on_this_machine
