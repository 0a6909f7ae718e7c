"""Vectors in the letters of the axes: ``3\\mathbf{i} + 4\\mathbf{j}`` as (3, 4)."""

import re

_AXIS = re.compile(r"(?:\\(?:hat|vec|bar) ?)?\{? ?([ijk]) ?\}?$")
_TERM = re.compile(r"(?=[+-])")


def read_axes(text: str, dimensions: int) -> tuple[str, ...] | None:
    """The components of a cleaned sum of multiples of i, j (and k); None for anything else, and for a sum without j."""
    if len(text) > 200 or "j" not in text or not 2 <= dimensions <= 3:
        return None
    found: dict[str, str] = {}
    for term in _TERM.split(re.sub(r" ", "", text)):
        if not term:
            continue
        axis = _AXIS.search(term)
        if axis is None or axis.group(1) in found:
            return None
        factor = term[: axis.start()].removeprefix("+").removesuffix("\\cdot")
        found[axis.group(1)] = {"": "1", "-": "-1"}.get(factor, factor)
    if not set(found) <= set("ijk"[:dimensions]):
        return None
    return tuple(found.get(axis, "0") for axis in "ijk"[:dimensions])
