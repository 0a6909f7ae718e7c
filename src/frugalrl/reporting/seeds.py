"""Runs of one recipe that differ by their seed: their mean as a line, a band from the lowest to the highest behind it.

Decisions:
- The band is the range, not an interval: of three seeds it says what was seen, not what another seed would do.
- Several recipes with seeds of their own are several arms, each with its colour; a run without seeds beside it is an
  arm of its own. Single runs stay as thin lines in the colour of their arm, and in the table of numbers.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.reporting.figures import Point, Series

_FEWEST = 3
_SEED = re.compile(r"[-_ ]*(?:seed)?[-_ ]*\d+$")
"""At the end of a run's name."""
_MAY_DIFFER = ("seed", "name", "description")


@dataclass(frozen=True)
class Arm:
    """Runs that are shown as one line, by their places; a single run is one, too."""

    label: str
    runs: tuple[int, ...]

    @property
    def has_band(self) -> bool:
        """Whether these are seeds of one recipe."""
        return len(self.runs) >= _FEWEST


def arms(recipes: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> list[Arm]:
    """Runs that differ by nothing but their seed together, where there are three or more; all others each alone."""
    groups: dict[str, dict[Any, int]] = {}
    alone = []
    for at, recipe in enumerate(recipes):
        rest = {name: value for name, value in recipe.items() if name not in _MAY_DIFFER}
        own = groups.setdefault(json.dumps(rest, sort_keys=True, default=str), {}) if rest else {}
        seed = str(recipe.get("seed"))
        if not rest or seed in own:
            alone.append((at,))
        else:
            own[seed] = at
    together = [tuple(own.values()) for own in groups.values()]
    alone += [(at,) for own in together if len(own) < _FEWEST for at in own]
    found = sorted([*alone, *(own for own in together if len(own) >= _FEWEST)])
    return [Arm(_called([recipes[at] for at in own], [labels[at] for at in own], len(found)), own) for own in found]


def _called(recipes: Sequence[Mapping[str, Any]], labels: Sequence[str], arms_shown: int) -> str:
    if len(recipes) < _FEWEST:
        return labels[0]
    if arms_shown == 1:
        return band_label(len(recipes))
    names = {str(recipe.get("name") or "") for recipe in recipes}
    name = names.pop() if len(names) == 1 else ""
    return f"{name or _SEED.sub('', labels[0])}, {band_label(len(recipes))}"


def band_label(runs: int) -> str:
    """What the line and its band are called in a legend."""
    return f"mean of {runs} seeds; band: lowest to highest"


def drawn(found: Sequence[Arm], series: Mapping[int, Series]) -> tuple[list[Series], list[Series]]:
    """The lines of a chart, and those of its table, which has every run. series: of the runs that have a value."""
    lines, rows = [], []
    for slot, arm in enumerate(found):
        own = [series[at] for at in arm.runs if at in series]
        if arm.has_band and len(own) > 1:
            lines.append(_with_band(arm.label, own, slot))
            rows += [lines[-1], *(Series(one.label, _bare(one), slot) for one in own)]
        else:
            single = [Series(one.label, one.points, slot, one.faint) for one in own]
            lines += single
            rows += single
    return lines, rows


def _with_band(label: str, series: Sequence[Series], slot: int) -> Series:
    """The mean and the range where each run has a value; the runs as one thin line with gaps."""
    values = [{point.x: point.y for point in one.points if point.y is not None} for one in series]
    points = []
    for x in sorted(set.intersection(*(set(own) for own in values))):
        seen = [own[x] for own in values]
        points.append(Point(x, sum(seen) / len(seen), min(seen), max(seen)))
    thin = [point for one in series for point in (*_bare(one), Point(one.points[-1].x, None))]
    return Series(label, points, slot, thin)


def _bare(series: Series) -> list[Point]:
    """Without intervals."""
    return [Point(point.x, point.y) for point in series.points]
