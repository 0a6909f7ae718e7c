"""How long completions are assumed to be: a stated prior, or lengths that were seen. Pure.

Lengths are quantiles, so a plan has no chance in it. The prior is a log-normal distribution cut off at the cap, its
mean half of the cap, anything from a quarter to four fifths of it likely: 0.55 of 3,584 in the logs of the paper,
0.23 of 128 for the base of quickstart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_POINTS = 64
_SPREAD = 0.6
PRIOR_MEAN, PRIOR_LOW, PRIOR_HIGH = 0.5, 0.25, 0.8


@dataclass(frozen=True)
class Lengths:
    """Completion tokens."""

    quantiles: tuple[int, ...]
    low: float
    """Factor on the mean at the low end of what is likely."""
    high: float
    source: str

    @property
    def mean(self) -> float:
        """Tokens of a completion."""
        return sum(self.quantiles) / len(self.quantiles)

    def scaled(self, factor: float, cap: int) -> "Lengths":
        """All lengths times a factor, cut off at the cap."""
        scaled = tuple(max(1, min(cap, round(one * factor))) for one in self.quantiles)
        return Lengths(scaled, self.low, self.high, self.source)


def prior(cap: int) -> Lengths:
    """What is assumed where nothing was seen."""
    return with_mean(
        PRIOR_MEAN * cap,
        cap,
        PRIOR_LOW / PRIOR_MEAN,
        PRIOR_HIGH / PRIOR_MEAN,
        f"assumed: half of the cap of {cap:,} on average",
    )


def with_mean(mean: float, cap: int, low: float, high: float, source: str, spread: float = _SPREAD) -> Lengths:
    """A log-normal distribution with this mean after it is cut off at the cap."""
    normal = [math.exp(spread * NormalDist().inv_cdf((at + 0.5) / _POINTS)) for at in range(_POINTS)]
    below, above = 0.0, 20.0 * cap
    for _ in range(60):
        middle = (below + above) / 2
        if sum(min(cap, middle * one) for one in normal) / _POINTS < mean:
            below = middle
        else:
            above = middle
    return Lengths(tuple(max(1, min(cap, round(above * one))) for one in normal), low, high, source)


def seen(tokens: Sequence[int], cap: int, source: str) -> Lengths:
    """Of completions that were sampled, cut off at the cap. The interval is for what training does to lengths: they
    fell by a third to rose by a half in our runs."""
    ordered = sorted(min(cap, one) for one in tokens)
    at = [ordered[int((number + 0.5) / _POINTS * len(ordered))] for number in range(_POINTS)]
    return Lengths(tuple(max(1, one) for one in at), 0.7, 1.5, source)
