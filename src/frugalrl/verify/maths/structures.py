"""What the structure of an answer is made of: `Shape`, names of variables, and intervals.

A shape holds text alone; no value is looked at.
"""

import re
from dataclasses import dataclass
from typing import Literal

MAX_ITEMS = 64
"""Of a collection or tuple; more than any gold of the benchmarks (OlympiadBench: 12)."""
MAX_LEVELS = 5

NAME = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|rho|sigma|tau|epsilon|varphi|ell))"
INDEX = r"(?: ?_ ?(?:\{(?:[^{}=]|\{[^{}]*\}){1,24}\}|\\triangle|[A-Za-z0-9]))?"
CALL = r"(?: ?\([^()=]{1,24}\))?"
SINGLE = rf"{NAME}{INDEX}'{{0,2}}{CALL}"
VARIABLE = re.compile(rf"{NAME}{INDEX}'{{0,2}}|\|{NAME}\|")


@dataclass(frozen=True)
class Shape:
    """A value or a structure of values."""

    kind: Literal["value", "list", "set", "tuple", "union", "chain", "builder"]
    text: str
    """As it was read."""
    items: tuple["Shape", ...] = ()
    brackets: str = ""
    """Of a tuple: ``"()"``, ``"[)"`` ...; of a chain its signs, all rising."""
    variable: str = ""
    """Of an interval that was written as an inequality; "row" or "column" for a vector; of a congruence its name."""

    @property
    def is_collection(self) -> bool:
        """Whether order does not matter."""
        return self.kind in ("list", "set", "union")


class TooManyItemsError(ValueError):
    """Too many items or levels to compare."""


def interval(low: str, high: str, brackets: str, variable: str = "") -> Shape:
    """From one end to the other, both as text."""
    return Shape("tuple", f"{low}, {high}", (Shape("value", low), Shape("value", high)), brackets, variable)
