"""What a rubric pays for made-up completions: means over a few problems, in all and by term."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.rewards.rubric import Rubric
from frugalrl.types import ScoredGroup


@dataclass(frozen=True)
class Paid:
    """What the rubric pays, as means over the probed problems."""

    total: Mapping[str, float]
    terms: Mapping[str, Mapping[str, float | None]]
    """Unweighted; None where a term gave no verdict on any problem."""

    @property
    def span(self) -> float:
        """Between the best and the worst paid kind."""
        return max(self.total.values()) - min(self.total.values())


def paid_of(rubric: Rubric, kinds: Sequence[str], groups: Sequence[ScoredGroup]) -> Paid:
    """kinds: of the completions of every group, in order."""
    rows = [dict(zip(kinds, group.completions, strict=True)) for group in groups]
    return Paid(
        {kind: sum(row[kind].reward for row in rows) / len(rows) for kind in kinds},
        {name: {kind: _mean([row[kind].breakdown[name] for row in rows]) for kind in kinds} for name in rubric.terms},
    )


def _mean(values: Sequence[float | None]) -> float | None:
    given = [value for value in values if value is not None]
    return sum(given) / len(given) if given else None


def own_functions(rubric: Rubric) -> list[Callable[..., Any]]:
    """Of a rubric: the user's functions, out of the terms that call them."""
    found, waiting = list[Callable[..., Any]](), [rubric.terms[name] for name in rubric.timeouts]
    while waiting:
        one: Any = waiting.pop()
        if isinstance(one, functools.partial):
            waiting += [argument for argument in one.args if callable(argument)]
        else:
            found.append(one)
    return found
