"""Runs of one recipe that differ by their seed: their mean as a line, and a band from the lowest to the highest.

The band is the range, not an interval: of three seeds it says what was seen, not what another seed would do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from frugalrl.reporting.figures import Point, Series

_FEWEST = 3
_MAY_DIFFER = ("seed", "name", "description")


def are_seeds(recipes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these are three or more runs of one recipe, told apart by nothing but their seed."""
    rest = [{name: value for name, value in recipe.items() if name not in _MAY_DIFFER} for recipe in recipes]
    seeds = {recipe.get("seed") for recipe in recipes}
    return len(recipes) >= _FEWEST and all(one and one == rest[0] for one in rest) and len(seeds) == len(recipes)


def band_label(runs: int) -> str:
    """What the line and its band are called in a legend."""
    return f"mean of {runs} seeds; band: lowest to highest"


def with_band(series: Sequence[Series], slot: int) -> list[Series]:
    """The lines of all runs without their own intervals, and their mean with its band where each has a value."""
    values = [{point.x: point.y for point in one.points if point.y is not None} for one in series]
    shared = sorted(set.intersection(*(set(own) for own in values))) if values else []
    points = []
    for x in shared:
        seen = [own[x] for own in values]
        points.append(Point(x, sum(seen) / len(seen), min(seen), max(seen)))
    single = [replace(one, points=tuple(Point(point.x, point.y) for point in one.points)) for one in series]
    return [*single, Series(band_label(len(series)), points, slot)]
