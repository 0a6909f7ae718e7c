"""Whether the processes of a run hold weights and optimizer whole or in parts, and why, in a sentence to print."""

import os
from dataclasses import dataclass

import torch

from frugalrl.config.distributed_schema import DistributedSettings
from frugalrl.config.schema import OptimizerSettings
from frugalrl.errors import RecipeError
from frugalrl.training.distributed.placement import IN_ONE_PROCESS, Placement, Replicated, Sharded
from frugalrl.training.distributed.world import World
from frugalrl.training.model.adapter import AdapterPolicy
from frugalrl.training.model.policy import Policy, trainable_parameters

_SHARE = 0.5
"""Of a device's memory that weights, gradients and optimizer states may take and still be held whole: the rest is for
activations, logits and the cache of rollouts, which took 40 % of the real job's memory (docs/scale.md)."""
_STATE_BYTES = 12
"""Per trained parameter, in fp32: its gradient and Adam's two moments."""


@dataclass(frozen=True)
class Chosen:
    """A placement, and why."""

    placement: Placement
    reason: str
    """A line to print; empty in one process."""


def choose_placement(
    world: World, settings: DistributedSettings, optimizer: OptimizerSettings, policy: Policy, with_reference: bool
) -> Chosen:
    """The placement that a recipe asks for; by default the simplest that fits. Every process calls it.

    Raises RecipeError for an optimizer that cannot work on parts.
    """
    if world.size == 1:
        return Chosen(IN_ONE_PROCESS, "")
    needed = held_bytes(policy, with_reference)
    smallest = min(world.each(lambda: _memory_bytes(policy.device, world.size)))
    fits = needed <= _SHARE * smallest
    has_adapters = isinstance(policy, AdapterPolicy)
    replicated = settings.weights == "replicated" or (settings.weights == "auto" and (fits or has_adapters))
    if not replicated and has_adapters:
        raise RecipeError(
            "distributed.weights=sharded cuts the weights that are trained, and with model.lora these are few: each "
            "process holds the whole model. Leave distributed.weights at auto, or train without model.lora."
        )
    if not replicated and optimizer.name == "muon":
        raise RecipeError(
            "Muon needs whole matrices, and with distributed.weights=sharded each process holds a part of them. Use "
            "adamw, or distributed.weights=replicated."
        )
    sizes = f"{needed / 1e9:.1f} GB of weights, gradients and optimizer states"
    if settings.weights == "auto":
        compared = "at most half of" if fits else "more than half of"
        why = f"{sizes} are {compared} the {smallest / 1e9:.0f} GB of the smallest device"
    else:
        why = f"{sizes}; distributed.weights asks for it"
    what = "each holds the whole model (replicated)" if replicated else "each holds a part of it (sharded, FSDP2)"
    return Chosen(Replicated(world) if replicated else Sharded(world), f"{world.size} processes: {what}. {why}.")


def held_bytes(policy: Policy, with_reference: bool) -> int:
    """Bytes that one process would hold in a step, without activations: weights, masters, states, gradients."""
    parameters = list(policy.model.parameters())
    weights = sum(one.numel() * one.element_size() for one in parameters)
    trained = trainable_parameters(policy.model)
    masters = sum(4 * one.numel() for one in parameters if one.requires_grad and one.dtype != torch.float32)
    return weights * (2 if with_reference else 1) + masters + _STATE_BYTES * trained


def _memory_bytes(device: torch.device, processes: int) -> int:
    """Of this process's GPU; without one, its part of the machine's memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    on_this_machine = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    memory: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return memory // on_this_machine
