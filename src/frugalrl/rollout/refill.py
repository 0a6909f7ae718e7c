"""Dynamic sampling (DAPO, 2503.14476, section 3.2): groups without a learning signal are replaced by new problems.

A group whose rewards are all equal has zero advantages. It is discarded, and the next problems are sampled instead,
round after round, until the batch is full or the recipe's limit on extra groups is reached. DAPO continues until the
batch is full; here a batch may stay short, because the cap on cost wins.

Pure: sampling is a function that is passed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frugalrl.types import ScoredGroup

SampleGroups = Callable[[int, int], Sequence[ScoredGroup]]
"""A number of groups and the round (0: the batch itself) in; that many groups of the next problems out."""


@dataclass(frozen=True)
class FilledBatch:
    """All groups a step sampled, and those it trains on."""

    kept: tuple[ScoredGroup, ...]
    """At most as many as were wanted. If no group has a signal: the first ones."""
    sampled: tuple[ScoredGroup, ...]
    """All, in order: the step's metrics are computed from these."""
    refilled: int
    """Kept groups from rounds after the first."""
    extra_frac: float
    """Groups sampled in excess, as a share of those wanted."""


def has_learning_signal(group: ScoredGroup) -> bool:
    """Whether the rewards of a group differ, so that some advantages are not zero."""
    return len({scored.reward for scored in group.completions}) > 1


def fill_batch(sample: SampleGroups, wanted: int, max_extra_groups: int) -> FilledBatch:
    """Sample `wanted` groups; replace those without a learning signal, with at most `max_extra_groups` extra.

    With `max_extra_groups` 0 nothing is replaced or discarded.
    """
    sampled = list(sample(wanted, 0))
    if max_extra_groups == 0:
        return FilledBatch(tuple(sampled), tuple(sampled), 0, 0.0)
    first = [group for group in sampled if has_learning_signal(group)]
    kept, round_number = list(first), 0
    while len(kept) < wanted and len(sampled) - wanted < max_extra_groups:
        round_number += 1
        missing = min(wanted - len(kept), max_extra_groups - (len(sampled) - wanted))
        fresh = list(sample(missing, round_number))
        sampled += fresh
        kept += [group for group in fresh if has_learning_signal(group)]
    extra = (len(sampled) - wanted) / wanted
    return FilledBatch(tuple(kept or sampled[:wanted]), tuple(sampled), len(kept) - len(first), extra)
