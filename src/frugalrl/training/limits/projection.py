"""What a run will take and cost in all, from what its own steps have taken so far: pure arithmetic.

From the third step on it replaces whatever was planned before the start. Three things widen the interval: how much
single steps vary (a t interval on their mean), how far what is left may differ from what was seen, because lengths
change as a policy learns, and that an evaluation may take longer than the last one.

On 159 points of 38 logs from a machine that was shared with up to thirty other jobs, 73 % of the intervals held what
was left; the misses are steps that took twice as long, or half, once the others had come or gone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

FIRST_STEP = 3
"""From which there is a projection."""
SHOWN_AT = (3, 10, 30, 100, 300, 1000)
"""Steps after which a line says what is projected."""
_DRIFT = 0.5
"""Likely change of a step's time over a whole run, in logarithms: lengths fell by a third to rose by a half."""
_BESIDE = 0.25
"""Of evaluations and checkpoints: the margin that the budget keeps for them, too."""
_ODD = 2.0
"""A step that took so many times as long as any other of the last ones is left out."""
_SPREAD, _SPREAD_STEPS = 0.25, 3
"""The standard deviation of a step's time over its mean in other runs, which counts as much as so many steps more."""
_T = {4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 10: 2.23, 11: 2.20, 12: 2.18}
"""Student's t, two-sided 95 %, by degrees of freedom."""


@dataclass(frozen=True)
class Projection:
    """Seconds."""

    left: float
    low: float
    high: float

    def in_all(self, spent: float) -> "Projection":
        """With what was spent already."""
        return Projection(spent + self.left, spent + self.low, spent + self.high)


def project(recent: Sequence[float], done: int, steps: int, beside: float) -> Projection | None:
    """What is left of a run; None before there is enough to say.

    recent: seconds of the last steps. done, steps: completed, and in all. beside: what evaluations, checkpoints and the
    end of the run will take, going by the last ones.
    """
    if done < FIRST_STEP or len(recent) < FIRST_STEP or done > steps:
        return None
    ahead = steps - done
    if ahead == 0:
        return Projection(beside, beside * (1 - _BESIDE), beside * (1 + _BESIDE))
    usual = usual_steps(recent)
    mean, spread = fmean(usual), _spread(usual)
    width = math.sqrt(spread**2 * (1 / len(usual) + 1 / ahead) + _DRIFT**2 * ahead / steps)
    stepping = mean * ahead
    down = math.hypot(stepping * (1 - math.exp(-width)), _BESIDE * beside)
    up = math.hypot(stepping * (math.exp(width) - 1), _BESIDE * beside)
    left = stepping + beside
    return Projection(left, max(0.0, left - down), left + up)


def usual_steps(recent: Sequence[float]) -> Sequence[float]:
    """The seconds of the last steps without the longest of them, if it is odd."""
    *others, longest = sorted(recent) or [0.0]
    return others if others and longest > _ODD * others[-1] else recent


def _spread(seconds: Sequence[float]) -> float:
    """Of single steps over their mean, times Student's t."""
    mean = fmean(seconds)
    if mean <= 0:
        return 0.0
    freedom = len(seconds) - 1 + _SPREAD_STEPS
    squares = variance(seconds) / mean**2 * (len(seconds) - 1) + _SPREAD**2 * _SPREAD_STEPS
    return math.sqrt(squares / freedom) * _T[min(freedom, max(_T))]


def steps_within(seconds_left: float, recent: Sequence[float], done: int, beside: float) -> int:
    """The steps that a run can have made when so many seconds are spent, with what its end takes kept back."""
    mean = fmean(usual_steps(recent))
    return done + max(0, int((seconds_left - beside) / mean)) if mean > 0 else done
