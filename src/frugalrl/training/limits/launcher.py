"""The refusal of a launcher that starts several processes, each of which would train the whole run by itself."""

from collections.abc import Mapping

from frugalrl.errors import RecipeError


def refuse_several_processes(environment: Mapping[str, str]) -> None:
    """Raise RecipeError under a launcher of several processes."""
    world = environment.get("WORLD_SIZE", "1")
    if world not in ("", "1"):
        raise RecipeError(
            f"WORLD_SIZE is {world}: a launcher such as torchrun started several processes; frugalrl trains in one. "
            "Start it with frugalrl train, or unset WORLD_SIZE."
        )
