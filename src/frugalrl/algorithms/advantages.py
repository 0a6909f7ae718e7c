"""Group-relative advantages (GRPO, arXiv 2402.03300): how much better a completion is than its group.

"Group-normalised advantage" is several numbers in the field, 9.5 % apart at group size 6. Here each part has
a name, and `PRESETS` holds those in use (their numbers are in `functions.ADVANTAGE_PRESETS`):

    preset       center   divisor   correction   epsilon   from
    paper        mean     std       0            0         the formula of GRPO and Open-RS (2503.16219)
    trl          mean     std       1            1e-4      TRL, which Open-RS ran
    dr_grpo      mean     none      -            -         Dr. GRPO (2503.20783): no difficulty bias
    population   mean     std       0            1e-6      verl's and OpenRLHF's population variants

A rule is any function of rewards [..., G] that gives advantages of the same shape.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor

from frugalrl.functions import ADVANTAGE_PRESETS

Advantages = Callable[[Tensor], Tensor]
"""Rewards [..., G] in, a group along the last dimension; advantages of the same shape out."""


def group_advantages(
    rewards: Tensor,
    *,
    center: Literal["mean", "leave_one_out", "none"] = "mean",
    divisor: Literal["std", "none"] = "std",
    correction: Literal[0, 1] = 1,
    epsilon: float = 1e-4,
) -> Tensor:
    """(reward - center) / (divisor + epsilon) within each group.

    rewards: [..., G], a group along the last dimension, G >= 2.
    center: the group's mean, the mean of the others (RLOO, 2402.14740), or nothing.
    correction: 0: population standard deviation, 1: sample standard deviation (Bessel).
    Returns float64 of the same shape. A group whose rewards are all equal has no learning signal: with a mean
    subtracted its advantages are exactly zero, whatever the epsilon (no 0/0, no rounding noise blown up).
    """
    rewards = rewards.double()
    size = rewards.shape[-1]
    mean = rewards.mean(-1, keepdim=True)
    if center == "none":
        centered = rewards
    else:
        constant = (rewards == rewards[..., :1]).all(-1, keepdim=True)
        centered = (rewards - mean).masked_fill(constant, 0.0)
        if center == "leave_one_out":
            centered = centered * (size / (size - 1))
    if divisor == "none":
        return centered
    scale = rewards.std(-1, keepdim=True, correction=correction) + epsilon
    # Rewards less than 1e-160 apart have a deviation of 0, since their squares are: that is no signal either.
    return (centered / scale).masked_fill((centered == 0) | (scale == 0), 0.0)


PRESETS: Mapping[str, Advantages] = {
    name: functools.partial(group_advantages, **settings) for name, settings in ADVANTAGE_PRESETS.items()
}


def zero_std_fraction(rewards: Tensor) -> float:
    """The share of groups [n, G] whose rewards are all equal: rollouts without a learning signal."""
    return float((rewards == rewards[:, :1]).all(-1).double().mean())
