"""Learning-rate schedules as plain functions of the step."""

import math
from typing import Literal

Schedule = Literal["cosine", "linear", "constant"]


def lr_factor(step: int, total_steps: int, schedule: Schedule, warmup_fraction: float, min_lr_fraction: float) -> float:
    """The share of the full learning rate at a step, counted from 0.

    Warm-up rises linearly and reaches 1 at its last step; the decay then ends at `min_lr_fraction` on the
    last step of all. ``cosine`` is half a cosine, as in transformers' cosine_with_min_lr, which Open-RS used.
    """
    warmup_steps = math.ceil(warmup_fraction * total_steps)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    decay_steps = max(1, total_steps - 1 - warmup_steps)
    progress = min(1.0, (step - warmup_steps) / decay_steps)
    remaining = 0.5 * (1 + math.cos(math.pi * progress)) if schedule == "cosine" else 1 - progress
    return min_lr_fraction + (1 - min_lr_fraction) * remaining


def is_multiple(every: int | None, step: int) -> bool:
    """Whether something is done after a step; never, if `every` is None."""
    return every is not None and step % every == 0


def is_due(every: int | None, step: int, total_steps: int) -> bool:
    """Whether something is done after a step: at every multiple but 0 and the last step, which start and end cover."""
    return is_multiple(every, step) and 0 < step < total_steps
