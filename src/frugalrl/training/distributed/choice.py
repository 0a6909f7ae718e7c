"""Whether the processes of a run hold weights and optimizer whole or in parts, and why, in a sentence to print."""

import os
from dataclasses import dataclass

import torch

from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import RecipeError
from frugalrl.training.distributed.placement import IN_ONE_PROCESS, Placement, Replicated, Sharded
from frugalrl.training.distributed.world import World
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


def needs_whole_weights(recipe: TrainRecipe | SftRecipe) -> str | None:
    """The option of a recipe that needs the whole model in one process; None if there is none."""
    return "optimizer.name=muon" if recipe.optimizer.name == "muon" else None


def choose_placement(
    world: World, recipe: TrainRecipe | SftRecipe, policy: Policy, whole_for: str | None, with_reference: bool
) -> Chosen:
    """The placement that a recipe asks for; by default the simplest that fits. Every process calls it.

    whole_for: see `needs_whole_weights`. Raises RecipeError if it contradicts the recipe.
    """
    if world.size == 1:
        return Chosen(IN_ONE_PROCESS, "")
    wanted = recipe.distributed.weights
    if whole_for is not None and wanted == "sharded":
        raise RecipeError(
            f"{whole_for} needs the whole model in one process, and distributed.weights=sharded leaves each a part of "
            "it. Use distributed.weights=replicated, or auto."
        )
    needed = held_bytes(policy, with_reference)
    smallest = min(world.each(lambda: _memory_bytes(policy.device, world.size)))
    fits = needed <= _SHARE * smallest
    replicated = wanted == "replicated" or (wanted == "auto" and (fits or whole_for is not None))
    if wanted != "auto":
        why = "distributed.weights asks for it"
    elif whole_for is not None:
        why = f"{whole_for} needs it"
    else:
        share = "at most half" if fits else "more than half"
        why = f"that is {share} of the {smallest / 1e9:.0f} GB of the smallest device"
    what = "each holds the whole model (replicated)" if replicated else "each holds a part of it (sharded, FSDP2)"
    return Chosen(
        Replicated(world) if replicated else Sharded(world),
        f"{world.size} processes: {what}. Weights, gradients and optimizer states take {needed / 1e9:.1f} GB; {why}.",
    )


def held_bytes(policy: Policy, with_reference: bool) -> int:
    """Bytes that one process would hold in a step, without activations: weights, masters, states, gradients."""
    parameters = list(policy.model.parameters())
    weights: int = sum(one.numel() * one.element_size() for one in parameters)
    trained = trainable_parameters(policy.model)
    masters: int = sum(4 * one.numel() for one in parameters if one.requires_grad and one.dtype != torch.float32)
    return weights * (2 if with_reference else 1) + masters + _STATE_BYTES * trained


def _memory_bytes(device: torch.device, processes: int) -> int:
    """Of this process's GPU; without one, its part of the machine's memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    on_this_machine = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    memory: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return memory // on_this_machine
