"""What a launcher (torchrun, accelerate) says of the processes it started, in environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from frugalrl.errors import ProcessLostError, RecipeError


@dataclass(frozen=True)
class Launch:
    """One process of several."""

    rank: int
    """Among all."""
    size: int
    local_rank: int
    """Among those of its machine: the number of its GPU."""
    local_size: int


SINGLE = Launch(0, 1, 0, 1)


def launch_of(environment: Mapping[str, str]) -> Launch:
    """The launch that the variables describe; a single process without a launcher. Raises RecipeError."""
    if environment.get("WORLD_SIZE", "") in ("", "1"):
        _refuse_strangers(environment)
        return SINGLE
    values = {}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        values[name] = environment.get(name) or _lacking(name, environment)
    try:
        return Launch(*(int(values[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
    except ValueError:
        raise RecipeError(
            f"A launcher set RANK={values['RANK']!r}, WORLD_SIZE={values['WORLD_SIZE']!r} and "
            f"LOCAL_RANK={values['LOCAL_RANK']!r}, which are not all numbers. Start the run with torchrun."
        ) from None


def refuse_several_processes(environment: Mapping[str, str], command: str) -> None:
    """Raise RecipeError under a launcher of several processes, for a command that runs in one."""
    launch = launch_of(environment)
    if launch.size > 1:
        raise RecipeError(
            f"WORLD_SIZE is {launch.size}: a launcher such as torchrun started several processes, and `{command}` runs "
            f"in one. Start it as frugalrl {command}, or unset WORLD_SIZE."
        )


def _refuse_strangers(environment: Mapping[str, str]) -> None:
    """Raise RecipeError where several processes were asked for that could not find each other."""
    if environment.get("WORLD_SIZE"):  # it says 1
        return
    if "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment:
        raise RecipeError(
            "accelerate was asked for several processes and has started one. Give it --multi_gpu --num_processes N, "
            "which starts them on CPUs too, or use torchrun."
        )
    sizes = [environment.get(name, "") for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")]
    if any(size.isdigit() and int(size) > 1 for size in sizes):
        raise RecipeError(
            "mpirun started several processes that would not know of each other. Start them with torchrun "
            "--nproc-per-node N."
        )


def _lacking(name: str, environment: Mapping[str, str]) -> str:
    if name == "LOCAL_WORLD_SIZE":  # torchrun sets it, some other launchers do not: then one machine is taken
        return environment["WORLD_SIZE"]
    raise RecipeError(
        f"WORLD_SIZE is {environment['WORLD_SIZE']} and {name} is not set, so the processes cannot find each other. "
        "Start them with torchrun, or unset WORLD_SIZE to train in one."
    )


def is_first_process() -> bool:
    """Whether this is the first process of its launch, which prints; also true without a launcher."""
    return os.environ.get("WORLD_SIZE", "1") in ("", "1") or os.environ.get("RANK", "0") == "0"


def speaks(error: Exception) -> bool:
    """Whether this process prints an error: the first of each machine does, for the others have the same one.

    Each that has lost the others does.
    """
    return os.environ.get("LOCAL_RANK", "0") == "0" or isinstance(error, ProcessLostError)
