"""Difficulty bands: from a number to a band's name, and when a pass rate can no longer leave its band. Pure.

Early stopping is exact: sampling a problem stops once every outcome of the remaining samples ends in one band. The
band is then the one that all n samples would have given; only the pass rate within it is known less well, which its
interval says.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from frugalrl.curation.sampling_facts import SampleCounts
from frugalrl.statistics.intervals import wilson

UNKNOWN_BAND = "unknown"


class Band(Protocol):
    """A name for a closed range of a number; a section of a curation spec is one."""

    @property
    def name(self) -> str: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_MOST = 1e300
"""Beyond it a number is infinite, or soon will be."""
_TRAILING_NUMBER = re.compile(r"(?:^|\s)(-?\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class PassRate:
    """The result of one solver's samples of one problem."""

    solver: str
    correct: int
    samples: int
    """Drawn, which early stopping makes fewer than asked for."""
    band: str
    counts: SampleCounts = field(default_factory=SampleCounts)

    @property
    def rate(self) -> float:
        return self.correct / self.samples

    def values(self) -> dict[str, Any]:
        """For ledger and row: the rate with Wilson's 95 % interval."""
        estimate = wilson(self.rate, self.samples)
        return {
            "band": self.band,
            "pass_rate": round(self.rate, 6),
            "pass_rate_low": round(estimate.ci_low, 6),
            "pass_rate_high": round(estimate.ci_high, 6),
            "samples": self.samples,
            "solver": self.solver,
        }


@dataclass(frozen=True)
class Unrated:
    """Why a problem has no pass rate by a solver."""

    solver: str
    why: Literal["refused", "failed", "no_full_answer"]
    said: str
    """By the server, where it refused or failed."""
    counts: SampleCounts


def band_of(value: float, bands: Sequence[Band]) -> str | None:
    """The first band that holds a value; None if none does."""
    return next((band.name for band in bands if band.low <= value <= band.high), None)


def certain_band(correct: int, drawn: int, samples: int, bands: Sequence[Band]) -> str | None:
    """The band in which a problem must end after `samples` samples, or None while that is open.

    Of `drawn` samples `correct` were right. Raises ValueError if a possible rate has no band.
    """
    possible = {band_of((correct + more) / samples, bands) for more in range(samples - drawn + 1)}
    if None in possible:
        raise ValueError("a pass rate has no band")
    return possible.pop() if len(possible) == 1 else None


def easiest(rates: Sequence[PassRate], bands: Sequence[Band]) -> PassRate:
    """Of several solvers' pass rates the best, which counts for a problem (as s1 did with two solvers)."""
    by_name = {band.name: band for band in bands}
    return max(rates, key=lambda rate: (by_name[rate.band].high, by_name[rate.band].low, rate.rate))


def column_value(columns: Mapping[str, Any], name: str) -> float | None:
    """The number in a column: itself, a number as text, or the one at the end of "Level 3"; else None."""
    value = columns.get(name)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < _MOST else None
    text = str(value).strip()
    found = _NUMBER.fullmatch(text) or _TRAILING_NUMBER.search(text)
    number = float(found[1]) if found else None
    return number if number is not None and abs(number) < _MOST else None
