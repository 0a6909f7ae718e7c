"""How long completions are assumed to be: a stated prior, or lengths that were seen. Pure.

Lengths are quantiles, so a plan has no chance in it. The prior is a log-normal distribution cut off at the cap, its
mean half of the cap, anything from a quarter to four fifths of it likely: 0.55 of 3,584 in the logs of the paper,
0.23 of 128 for the base of quickstart. A cap of more than 12,000 tokens is no guide any more: completions end by
themselves, after 2,900 to 17,400 on average in Open-RS's 66 released evaluations at 32,768, by benchmark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

_POINTS = 64
_SPREAD = 0.6
PRIOR_MEAN, PRIOR_LOW, PRIOR_HIGH = 0.5, 0.25, 0.8
_NATURAL_MEAN, _NATURAL_LOW, _NATURAL_HIGH = 6000.0, 0.48, 2.9
"""Of completions that end by themselves."""
_LOGGED_CAP, _LOGGED_SPREAD = 32_768, 0.9
_LOGGED = {
    "aime24": (12_300.0, 0.69, 1.41),
    "amc23": (7_400.0, 0.58, 1.77),
    "math500": (4_100.0, 0.70, 1.77),
}
"""Mean tokens of a completion in the released evaluations of Open-RS (R1-Distill-Qwen-1.5B after 50 to 500 steps, cap
32,768), and the shortest and the longest mean of a checkpoint as factors. The spread is fitted to their times."""
_NAMES = {
    "HuggingFaceH4/aime_2024": "aime24",
    "knoveleng/AMC-23": "amc23",
    "HuggingFaceH4/MATH-500": "math500",
    "math_500": "math500",
}


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
    mean = min(PRIOR_MEAN * cap, _NATURAL_MEAN)
    if mean < _NATURAL_MEAN:
        source = f"assumed: half of the cap of {cap:,} on average"
    else:
        source = f"assumed: they end before the cap of {cap:,}"
    low = PRIOR_LOW / PRIOR_MEAN if mean < _NATURAL_MEAN else _NATURAL_LOW
    return with_mean(mean, cap, low, min(PRIOR_HIGH * cap / mean, _NATURAL_HIGH), source)


def of_benchmark(name: str, cap: int) -> Lengths | None:
    """Of a distilled 1.5B reasoner on a benchmark, by its name or Hub id; None for one without a released log."""
    name = _NAMES.get(name, name)
    if name not in _LOGGED:
        return None
    mean, low, high = _LOGGED[name]
    source = f"{name} in the released logs of Open-RS"
    return with_mean(mean, _LOGGED_CAP, low, high, source, _LOGGED_SPREAD).scaled(1.0, cap)


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
