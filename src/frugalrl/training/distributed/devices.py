"""Which GPU of a machine trains and which serves: the section `devices` of a recipe, and its default.

By default a process trains on the GPU of its number, and each GPU that is left has a server, where the run launches
servers. `frugalrl plan` and the run say it in one line.
"""

import os
from collections.abc import Sequence

import torch

from frugalrl.config.devices_schema import DeviceSettings
from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import ModelError
from frugalrl.training.distributed.launch import launch_of


def training_gpus(settings: DeviceSettings, processes: int, gpus: int) -> tuple[int, ...]:
    """The GPU of each process of a machine. Raises ModelError if they do not suffice.

    gpus: how many the machine has.
    """
    refuse_absent(settings, gpus)
    if settings.train:
        if len(settings.train) != processes:
            raise ModelError(
                f"devices.train names {len(settings.train)} GPUs, and {processes} processes were started on this "
                f"machine. Start one for each, with torchrun --nproc-per-node {len(settings.train)}, or change it."
            )
        return settings.train
    serving = {gpu for server in settings.serve for gpu in server}
    free = [gpu for gpu in range(gpus) if gpu not in serving]
    if len(free) < processes:
        besides = f" that serve nothing (devices.serve has {len(serving)} of {gpus})" if serving else ""
        raise ModelError(
            f"{processes} processes were started on a machine with {len(free)} GPUs{besides}. Start at most one for "
            "each, with torchrun --nproc-per-node."
        )
    return tuple(free[:processes])


def serving_gpus(settings: DeviceSettings, training: Sequence[int], gpus: int) -> tuple[tuple[int, ...], ...]:
    """The GPUs of each server to launch. Raises ModelError if none is left."""
    refuse_absent(settings, gpus)
    serving = settings.serve or tuple((gpu,) for gpu in range(gpus) if gpu not in training)
    if not serving:
        raise ModelError(
            f"All {gpus} GPUs of this machine train, and none is left for a vLLM server. Start fewer processes, or "
            "let both share one: name it in devices.train and devices.serve, and give rollout.engine.arguments "
            "--gpu-memory-utilization."
        )
    return serving


def visible(gpus: Sequence[int], seen: str | None) -> str:
    """CUDA_VISIBLE_DEVICES of a server. seen: that of the run, which numbers count in; None: all."""
    names = None if seen is None else seen.split(",")
    return ",".join(str(gpu) if names is None else names[gpu].strip() for gpu in gpus)


def server_devices(settings: DeviceSettings, trains_on_gpu: bool) -> tuple[str | None, ...]:
    """CUDA_VISIBLE_DEVICES of each server to launch on this machine; one that sees all where there are no GPUs."""
    gpus = torch.cuda.device_count()
    if gpus == 0:
        refuse_absent(settings, gpus)
        return (None,)
    training = training_gpus(settings, launch_of(os.environ).local_size, gpus) if trains_on_gpu else ()
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(visible(server, seen) for server in serving_gpus(settings, training, gpus))


def who_does_what(recipe: TrainRecipe) -> str:
    """A line about a recipe's GPUs, whatever machine it will run on."""
    devices, engine = recipe.devices, recipe.rollout.engine
    served = isinstance(engine, VllmEngineSettings)
    parts = ["each process of torchrun trains on the GPU of its number"]
    if devices.train:
        parts = [f"{_numbered(devices.train)} {'trains' if len(devices.train) == 1 else 'train, a process each'}"]
    elif devices.serve:
        parts = ["the first GPUs that serve nothing train, a process each"]
    if isinstance(engine, VllmEngineSettings) and engine.urls:
        parts.append(f"servers elsewhere sample: {', '.join(engine.urls)}")
    elif devices.serve:
        parts += [f"a server on {_numbered(server)} samples" for server in devices.serve]
    elif served:
        parts.append("a server on each GPU that is left samples")
    elif not devices.train:
        parts = ["each process of torchrun trains and samples on the GPU of its number"]
    else:
        parts = [f"{parts[0]}, and sample there" if len(devices.train) > 1 else f"{parts[0]} and samples"]
    return "; ".join(parts)


def _numbered(gpus: Sequence[int]) -> str:
    return f"GPU{'s' * (len(gpus) > 1)} {', '.join(map(str, gpus))}"


def absent_gpus(named: Sequence[int], gpus: int) -> list[int]:
    """Those of some numbers that a machine with so many GPUs has not."""
    return sorted(gpu for gpu in named if gpu >= gpus)


def refuse_absent(settings: DeviceSettings, gpus: int) -> None:
    """Raise ModelError if a recipe names a GPU that a machine with so many has not."""
    absent = absent_gpus([*settings.train, *(gpu for server in settings.serve for gpu in server)], gpus)
    if absent:
        have = f"sees {gpus}, counted from 0" if gpus else "sees none"
        raise ModelError(f"The section devices names GPU {absent[-1]}, and this machine {have}. Change or drop it.")
