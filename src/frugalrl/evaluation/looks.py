"""Looks at a set of problems: what a run's ledger is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """One evaluation of one of a run's models."""

    benchmark: str
    """``validation``, ``test``, or a benchmark's name."""
    step: int
    """Of the model; 0 is the base."""
    problems: int
    samples_per_problem: int
    data_hash: str
    command: str
    """``train`` or ``eval``."""
    unix_time: float
    """When it was finished."""


def models_seen(looks: Sequence[Look]) -> Mapping[str, tuple[int, ...]]:
    """By benchmark, the steps of the trained models that it was evaluated on; validation and the base left out."""
    seen: dict[str, set[int]] = {}
    for look in looks:
        if look.benchmark != "validation":
            seen.setdefault(look.benchmark, set())
            if look.step > 0:
                seen[look.benchmark].add(look.step)
    return {benchmark: tuple(sorted(steps)) for benchmark, steps in seen.items()}
