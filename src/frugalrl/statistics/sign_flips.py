"""The paired sign-flip permutation test: if nothing changed, each problem's difference might have the other sign.

The p-value is the share of all 2^n assignments of signs whose sum is at least as far from 0 as the one seen. It is
counted, not sampled, with work that stays bounded whatever the sample counts are:

- up to 16 problems that differ: all assignments are gone through;
- differences that are multiples of one fraction: their sums are counted by convolution, by way of the characteristic
  function, which for a sign that flips is a cosine;
- sample counts without a small common multiple: the same on a grid of 2^15 steps, counted so that rounding makes the
  p-value larger (by about 0.003 at p = 0.05 and 500 problems), never smaller.
"""

import math
from fractions import Fraction

import numpy as np
from scipy.fft import irfft, next_fast_len

_ENUMERATED = 16
_LONGEST = 2**16
"""Of a convolution; beyond it differences are rounded to a grid."""
_GRID = 2**15
_PRECISION = 1e-15
"""Of a counted chance: what would be smaller is given as this."""
_TIE = 1e-9
"""Sums as close as this are equal: what differs by less is a rounding error."""


def sign_flip_p_value(differences: "np.ndarray | list[Fraction]") -> float:
    """Two-sided p-value of no difference; exact for Fractions but for the grid. 1.0 if no problem differs.

    differences: of n problems, Fractions or floats. NaN without problems.
    """
    if not len(differences):
        return math.nan
    values = np.array([float(one) for one in differences])
    sizes = np.abs(values[np.abs(values) > _TIE])
    seen = abs(math.fsum(values))
    if not len(sizes) or seen <= _TIE:
        return 1.0
    if len(sizes) <= _ENUMERATED:
        return _by_enumeration(sizes, seen)
    steps = _common_steps(differences)
    if steps is None:
        unit = float(sizes.sum()) / _GRID
        steps = np.rint(sizes / unit).astype(np.int64)
        # Four standard deviations of what rounding n sizes, each uniform within half a step, does to two sums.
        slack = 4 * math.sqrt(len(sizes) / 6)
        threshold = max(0, math.floor(seen / unit - slack))
    else:
        threshold = abs(int(steps.sum()))
    return min(1.0, max(_PRECISION, _tail(np.abs(steps), threshold)))


def _by_enumeration(sizes: np.ndarray, seen: float) -> float:
    """The first sign is fixed: what it leaves out is the mirror image."""
    sums = np.array([sizes[0]])
    for size in sizes[1:]:
        sums = np.concatenate([sums + size, sums - size])
    return float(np.mean(np.abs(sums) >= seen - _TIE))


def _common_steps(differences: "np.ndarray | list[Fraction]") -> np.ndarray | None:
    """The differences as whole numbers of their common unit; None if there is no unit that keeps the sums few."""
    if isinstance(differences, np.ndarray):
        return None
    unit = math.lcm(*{one.denominator for one in differences})
    if sum(abs(one) for one in differences) * unit > _LONGEST:
        return None
    steps = [int(one * unit) for one in differences]
    common = math.gcd(*steps) or 1
    return np.array([step // common for step in steps], dtype=np.int64)


def _tail(steps: np.ndarray, threshold: int) -> float:
    """The chance that the sum of the steps under random signs is at least the threshold, either way."""
    if threshold == 0:
        return 1.0
    sizes, counts = np.unique(steps[steps > 0], return_counts=True)
    length = next_fast_len(2 * int(steps.sum()) + 2, real=True)
    angles = np.arange(length // 2 + 1) * (2 * math.pi / length)
    characteristic = np.ones_like(angles)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        characteristic *= np.cos(angles * size) ** count
    chances = irfft(characteristic, length)
    return float(chances[threshold : length - threshold + 1].sum())


def tail_chances(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The p-values of many simulated comparisons at once, float64 [runs], for `power`.

    counts: how many problems of each run differ by j steps, int [runs, k], for j = 1..k; sums: of the signed steps.
    """
    longest = next_fast_len(2 * int((counts * np.arange(1, counts.shape[1] + 1)).sum(axis=1).max()) + 2, real=True)
    angles = np.arange(longest // 2 + 1) * (2 * math.pi / longest)
    waves = np.cos(np.outer(angles, np.arange(1, counts.shape[1] + 1)))
    with np.errstate(divide="ignore"):
        size = np.exp(np.maximum(np.log(np.abs(waves)), -700.0) @ counts.T.astype(np.float64))
    sign = 1 - 2 * (((waves < 0).astype(np.float64) @ counts.T) % 2)
    chances = irfft(size * sign, longest, axis=0)
    below = np.cumsum(chances[: longest // 2 + 1], axis=0)
    seen = np.abs(sums)
    # Both tails: all but the sums from -(seen - 1) to seen - 1, which are the middle once and the rest twice.
    inside = 2 * below[np.maximum(seen - 1, 0), np.arange(len(seen))] - chances[0]
    return np.where(seen == 0, 1.0, np.clip(1 - inside, 0.0, 1.0))
