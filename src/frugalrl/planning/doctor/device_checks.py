"""The section `devices` against the GPUs that this machine has."""

from collections.abc import Sequence

from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.doctor.finding import Finding
from frugalrl.training.distributed.devices import absent_gpus, who_does_what


def devices_findings(recipe: TrainRecipe, gpus: int) -> list[Finding]:
    """gpus: how many there are. Nothing is found where the recipe names none."""
    devices, name = recipe.devices, "environment/devices"
    if not devices.train and not devices.serve:
        return []
    lists = {"train": devices.train, "serve": [gpu for server in devices.serve for gpu in server]}
    absent = {key: missing for key, named in lists.items() if (missing := absent_gpus(named, gpus))}
    if not absent:
        return [Finding(name, "green", f"{who_does_what(recipe)}; this machine has {gpus}")]
    listed = " and ".join(f"devices.{key} names GPU {_numbers(missing)}" for key, missing in absent.items())
    there = "sees none" if gpus == 0 else f"sees {gpus}, counted from 0"
    return [
        Finding(
            name,
            "red",
            f"{listed}, and this machine {there}: the run would end before its first step.",
            " ".join(f"--set devices.{key}=[]" for key in absent),
        )
    ]


def _numbers(gpus: Sequence[int]) -> str:
    return ", ".join(map(str, gpus))
