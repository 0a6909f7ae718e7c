"""How statistics are written in sentences and tables: one spelling each."""

import math


def p_value(value: float) -> str:
    """E.g. ``p < 0.001`` or ``p = 0.043``: below a thousandth the digits say nothing."""
    return f"p {'<' if value < 0.001 else '='} {p_digits(value).removeprefix('< ')}"


def p_digits(value: float) -> str:
    """The same for the cell of a table: ``< 0.001``, ``0.043``, or ``-`` where there is none (NaN)."""
    if math.isnan(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
