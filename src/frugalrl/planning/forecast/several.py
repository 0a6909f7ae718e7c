"""A run in several processes, each with a card of its own: what one of them holds and does. Pure.

Completions, evaluations and the rows of an update are dealt out evenly (`training.distributed`). Replicated, each holds
everything and gradients are added up once an update. Sharded (FSDP2), each holds its part of weights, reference,
gradients and optimizer states, and layers are gathered for each pass of each micro-batch; to sample, each has the whole
of the engine's copy.

What crosses between cards is assumed at 12 GB/s (PCIe 4.0, no NVLink) and not to overlap with computing: an upper
bound, which no card has confirmed.
"""

from dataclasses import replace

from frugalrl.planning.forecast.clock import Work
from frugalrl.planning.forecast.memory import GB, MemoryPlan, MemorySettings
from frugalrl.planning.forecast.shape import ModelShape

LINK_BANDWIDTH = 12e9
"""Bytes a second in each direction."""
_GATHERED = 2
"""Layers that are whole at once: the one at work, and the next."""
_IN_PARTS = ("weights", "reference", "fp32 masters", "moments", "gradients")


def dealt(work: Work, processes: int) -> Work:
    """What one of the processes does."""
    return replace(
        work,
        completions=-(-work.completions // processes),
        rows=min(work.rows, -(-work.completions // processes)),
        evaluations=[replace(one, completions=-(-one.completions // processes)) for one in work.evaluations],
    )


def dealt_rows(settings: MemorySettings, processes: int, completions: int, evaluated: int) -> MemorySettings:
    """The cache of one of the processes. completions, evaluated: of a step, and of the largest evaluation, in all."""
    return replace(
        settings,
        rollout_rows=min(settings.rollout_rows, -(-completions // processes)),
        evaluation_rows=min(settings.evaluation_rows, -(-evaluated // processes)),
    )


def in_parts(memory: MemoryPlan, shape: ModelShape, settings: MemorySettings, processes: int) -> MemoryPlan:
    """The memory of one of several processes that hold the model in parts."""
    largest = max(shape.per_layer, shape.embedding) * settings.value_bytes / GB
    return replace(
        memory,
        held=_divided(memory.held, processes),
        updating={**_divided(memory.updating, processes), "gathered layers": _GATHERED * largest},
    )


def _divided(parts: dict[str, float], processes: int) -> dict[str, float]:
    return {name: size / processes if name in _IN_PARTS else size for name, size in parts.items()}


def exchange_seconds(
    shape: ModelShape, settings: MemorySettings, processes: int, sharded: bool, passes: float, micro_batches: float
) -> float:
    """Of an update: gradients summed, and for weights in parts the gathering of layers.

    passes: forward and backward passes of each micro-batch, the reference's included.
    """
    share = (processes - 1) / processes
    summed = settings.trained * 4 * share * (1 if sharded else 2)
    gathered = shape.parameters * settings.value_bytes * share * passes * micro_batches if sharded else 0.0
    return (summed + gathered) / LINK_BANDWIDTH
