"""Whether the processes of a run hold weights and optimizer whole or in parts, and why, in a sentence to print."""

from dataclasses import dataclass

from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import RecipeError
from frugalrl.training.distributed.placement import IN_ONE_PROCESS, Placement, Replicated, Sharded
from frugalrl.training.distributed.world import World
from frugalrl.training.model.held import device_bytes, held_bytes, is_roomy
from frugalrl.training.model.policy import Policy


@dataclass(frozen=True)
class Chosen:
    """A placement, and why."""

    placement: Placement
    reason: str
    """A line to print; empty in one process."""


def needs_whole_weights(recipe: TrainRecipe | SftRecipe) -> str | None:
    """The option of a recipe that needs the whole model in one process; None if there is none."""
    if isinstance(recipe, TrainRecipe) and recipe.algorithm.reference_place == "host":
        return "algorithm.reference_place=host"
    return next((option for option, is_set in _whole_tensors(recipe.optimizer).items() if is_set), None)


def _whole_tensors(optimizer: OptimizerSettings) -> dict[str, bool]:
    """The optimizer's options that work on whole tensors in one place, and whether each is set."""
    return {
        "optimizer.name=muon": optimizer.name == "muon",
        "optimizer.state_bits=8": optimizer.state_bits == 8,
        "optimizer.offload": optimizer.offload,
    }


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
    needed = held_bytes(policy, with_reference, recipe.optimizer)
    smallest = min(world.each(lambda: device_bytes(policy.device, world.size)))
    fits = is_roomy(needed, smallest)
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
