"""Group-relative advantages (GRPO, arXiv 2402.03300): how much better a completion is than its group.

"Group-normalised advantage" is several numbers in the field, 9.5 % apart at group size 6. Here each part has
a name, and `PRESETS` is the table of those in use:

    preset       centre   divisor   correction   epsilon   from
    paper        mean     std       0            0         the formula of GRPO and Open-RS (2503.16219)
    trl          mean     std       1            1e-4      TRL, which Open-RS ran
    dr_grpo      mean     none      -            -         Dr. GRPO (2503.20783): no difficulty bias
    population   mean     std       0            1e-6      verl's and OpenRLHF's population variants
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class AdvantageRule:
    """advantage = (reward - centre) / (divisor + epsilon)."""

    centre: Literal["mean", "leave_one_out", "none"] = "mean"
    """What is subtracted: the group's mean, the mean of the others (RLOO, 2402.14740), or nothing."""
    divisor: Literal["std", "none"] = "std"
    correction: Literal[0, 1] = 1
    """0: population standard deviation, 1: sample standard deviation (Bessel)."""
    epsilon: float = 1e-4


PRESETS: dict[str, AdvantageRule] = {
    "paper": AdvantageRule(correction=0, epsilon=0.0),
    "trl": AdvantageRule(correction=1, epsilon=1e-4),
    "dr_grpo": AdvantageRule(divisor="none", correction=0, epsilon=0.0),
    "population": AdvantageRule(correction=0, epsilon=1e-6),
}


def group_advantages(rewards: Tensor, rule: AdvantageRule) -> Tensor:
    """Advantages of groups.

    rewards: [..., G], a group along the last dimension, G >= 2.
    Returns float64 of the same shape. A group whose rewards are all equal teaches nothing: with a mean
    subtracted its advantages are exactly zero, whatever the epsilon (no 0/0, no rounding noise blown up).
    """
    rewards = rewards.double()
    size = rewards.shape[-1]
    mean = rewards.mean(-1, keepdim=True)
    if rule.centre == "none":
        centred = rewards
    else:
        constant = (rewards == rewards[..., :1]).all(-1, keepdim=True)
        centred = (rewards - mean).masked_fill(constant, 0.0)
        if rule.centre == "leave_one_out":
            centred = centred * (size / (size - 1))
    if rule.divisor == "none":
        return centred
    std = rewards.std(-1, keepdim=True, correction=rule.correction)
    return (centred / (std + rule.epsilon)).masked_fill(centred == 0, 0.0)


def zero_std_fraction(rewards: Tensor) -> float:
    """The share of groups [n, G] whose rewards are all equal: rollouts that teach nothing."""
    return float((rewards == rewards[:, :1]).all(-1).double().mean())
