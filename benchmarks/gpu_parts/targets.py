"""The targets of a GPU: met, not met, or not measured, from the rows of a run.

A target that was not measured is none that is met: on a CPU, where a part failed, or where a number came out as NaN.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpu_parts.rows import Row

MET, NOT_MET, NOT_MEASURED = "met", "not met", "not measured"
DECODE_SHARE, UPDATE_SHARE, MEMORY_ERROR = 0.6, 0.4, 0.1


@dataclass(frozen=True)
class Target:
    """One of them, and what came out."""

    what: str
    outcome: str
    value: float | None
    """The worst of what was measured for it."""
    note: str = ""


def evaluated(rows: Sequence[Row], is_gpu: bool, batch: int) -> list[Target]:
    """All targets. batch: the rows whose decoding counts, 72."""
    why = "" if is_gpu else "a target of a GPU"
    found = rows if is_gpu else ()
    return [
        _worst(
            f"decode at {batch} rows: at least {DECODE_SHARE:.0%} of the bandwidth limit",
            [
                row.share_of_limit
                for row in found
                if row.part == "decode" and row.what.startswith(f"token, {batch} rows")
            ],
            lambda worst: worst >= DECODE_SHARE,
            why,
        ),
        _worst(
            f"update: at least {UPDATE_SHARE:.0%} of the matrix rate",
            [row.share_of_limit for row in found if row.part == "update" and row.unit == "TFLOP/s"],
            lambda worst: worst >= UPDATE_SHARE,
            why,
        ),
        _worst(
            f"peak memory: within {MEMORY_ERROR:.0%} of the prediction",
            [_agreement(row) for row in found if row.part == "memory" and row.what.startswith("peak of")],
            lambda worst: worst >= 1 - MEMORY_ERROR,
            why,
        ),
        _worst(
            "steps of the recipe through a checkpoint, a kill and a resume, and the same weights",
            [row.value for row in rows if row.what == "weights equal after a kill and a resume"],
            lambda worst: worst == 1,
            "",
        ),
    ]


def _agreement(row: Row) -> float | None:
    """1 less the relative error of the prediction."""
    return None if row.predicted is None else 1 - abs(row.value - row.predicted) / row.predicted


def _worst(what: str, values: Sequence[float | None], is_met: Callable[[float], bool], why: str) -> Target:
    known = [one for one in values if one is not None and not math.isnan(one)]
    if not known or len(known) < len(values):
        missing = f"{len(values) - len(known)} of {len(values)} numbers are missing" if values else "no row of it"
        return Target(what, NOT_MEASURED, min(known, default=None), why or missing)
    return Target(what, MET if is_met(min(known)) else NOT_MET, min(known), why)
