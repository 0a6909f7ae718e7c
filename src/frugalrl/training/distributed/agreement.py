"""Whether all processes of a run start from the same things: a difference would spoil the run without an error."""

import hashlib
from collections.abc import Mapping

from frugalrl.errors import RecipeError
from frugalrl.training.distributed.world import World


def refuse_disagreement(world: World, found: Mapping[str, str]) -> None:
    """Raise RecipeError in every process if something differs between them.

    found: by what a person calls it, a value or its hash, as this process has it.
    """
    everywhere = world.each(lambda: dict(found))
    for rank, other in enumerate(everywhere):
        wrong = [name for name, value in everywhere[0].items() if other.get(name) != value]
        if wrong:
            raise RecipeError(
                f"Process {rank} has another {wrong[0]} than process 0 ({other.get(wrong[0])} instead of "
                f"{everywhere[0][wrong[0]]}). Give every machine the same recipe, data, model and packages."
            )


def digest(text: str) -> str:
    """A short hash to compare."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
