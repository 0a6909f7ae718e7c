"""Learning rates that have worked in reinforcement learning, by the size of the model and by source. Pure.

Two anchors, both AdamW on all weights: 4e-4 for 0.85 million parameters (quickstart, five recipes in miniature, three
seeds each: docs/lab-log.md) and 1e-6 for 1.78 billion (Open-RS 2503.16219, JustRL 2512.16649). Sizes between them are
read off a straight line between logarithms, which is an interpolation and no measurement.

Around the anchor: four times it, without a KL term, took the tiny model from 42 % to 12 % within 20 steps
(docs/lab-log.md, collapse). AdamW moves a weight by about the rate in a step, so a hundredth of a rate that worked
moves nothing in a run of a hundred steps.

Adapters (LoRA) have worked at other multiples of the rate of all weights: 1 and 5 at 1.5B with alpha / rank 4 (Tina,
2504.15777, and its published ablation at 5e-6), 5 on the tiny model (docs/lora.md), 10 in Thinking Machines' LoRA
Without Regret (2025), and 20 to 100 by the rule in their later documentation. So the range is wide.
"""

import math
from dataclasses import dataclass

_SMALL, _SMALL_RATE = 0.85e6, 4e-4
_LARGE, _LARGE_RATE = 1.78e9, 1e-6
_WIDE, _FAR_ABOVE, _FAR_BELOW = 4.0, 15.0, 100.0
MUON_RATE = 0.02
"""What has worked for Muon's hidden matrices (Jordan 2024, and recipes/tiny-base.yaml)."""


@dataclass(frozen=True)
class RateRange:
    """Rates around one that has worked."""

    worked: float
    lowest: float
    """Below it, the run is likely to be slow."""
    highest: float
    """Above it, the run is likely to be unstable."""
    hopeless_below: float
    hopeless_above: float


def adamw_range(parameters: int) -> RateRange:
    """The range for so many parameters; beyond the anchors, that of the nearer one."""
    share = (math.log(parameters) - math.log(_SMALL)) / (math.log(_LARGE) - math.log(_SMALL))
    share = min(1.0, max(0.0, share))
    return _around(math.exp(math.log(_SMALL_RATE) * (1 - share) + math.log(_LARGE_RATE) * share))


def adapter_range(parameters: int) -> RateRange:
    """The range for adapters in a model of so many parameters."""
    weights = adamw_range(parameters).worked
    return RateRange(5 * weights, weights / _WIDE, 100 * weights, weights / _FAR_BELOW, 1000 * weights)


def muon_range() -> RateRange:
    """The range of Muon's own rate, which does not depend on the size (its updates are scaled by the shape)."""
    return _around(MUON_RATE)


def _around(worked: float) -> RateRange:
    return RateRange(worked, worked / _WIDE**2, worked * _WIDE, worked / _FAR_BELOW, worked * _FAR_ABOVE)
