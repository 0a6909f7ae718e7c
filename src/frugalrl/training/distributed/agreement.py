"""Whether all processes of a run have the same things, at its start and at each checkpoint.

A difference would spoil the run without an error.
"""

import hashlib
from collections.abc import Mapping

from frugalrl.errors import ProcessFailedError, RecipeError
from frugalrl.training.distributed.world import World
from frugalrl.training.model.parts import is_in_parts
from frugalrl.training.model.policy import Policy, tensors_hash


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


def refuse_drift(world: World, policy: Policy, step: int) -> None:
    """Raise ProcessFailedError in every process if one holds other weights than the others after a step.

    What lies in parts is in one place each, and cannot differ.
    """
    if world.size == 1:
        return
    held = [(name, tensor) for name, tensor in policy.saved_tensors().items() if not is_in_parts(tensor)]
    hashes = world.each(lambda: tensors_hash(held))
    other = next((rank for rank, found in enumerate(hashes) if found != hashes[0]), None)
    if other is not None:
        raise ProcessFailedError(
            f"After step {step} process {other} has other weights than process 0, so that each has learned something "
            "else since the last checkpoint; none is made of this step. Look for devices of different kinds or faulty "
            "memory, and resume with --resume. With distributed.weights=sharded each weight is in one process only."
        )


def digest(text: str) -> str:
    """A short hash to compare."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
