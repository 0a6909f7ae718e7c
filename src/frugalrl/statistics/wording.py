"""How statistics are written in sentences and tables: one spelling each."""

import math

from frugalrl.statistics.intervals import Estimate


def p_value(value: float) -> str:
    """E.g. ``p < 0.001`` or ``p = 0.043``: below a thousandth the digits say nothing."""
    return f"p {'<' if value < 0.001 else '='} {p_digits(value).removeprefix('< ')}"


def p_digits(value: float) -> str:
    """The same for the cell of a table: ``< 0.001``, ``0.043``, or ``-`` where there is none (NaN).

    Rounded away from 0.05 (and from every other limit above it): 0.0496 is not written as 0.050.
    """
    if math.isnan(value):
        return "-"
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if (value < 0.05) == (round(value, 3) < 0.05) else f"{value:.4f}"


def points(value: Estimate) -> str:
    """A difference in percentage points with its interval, e.g. ``+31.2 points [+28.0, +34.5]``."""
    return f"{100 * value.value:+.1f} points {points_interval(value.ci_low, value.ci_high)}"


def points_interval(low: float, high: float) -> str:
    """E.g. ``[+28.0, +34.5]``, from shares."""
    return f"[{signed_points(low)}, {signed_points(high)}]"


def signed_points(share: float) -> str:
    """E.g. ``+28.0``. What is not 0 is not written as 0: an interval that excludes 0 is seen to do so."""
    value = 100 * share
    decimals = next((digits for digits in range(1, 9) if round(value, digits)), 1)
    return f"{value if round(value, decimals) else 0.0:+.{decimals}f}"
