"""Dynamic sampling (DAPO, 2503.14476, section 3.2): groups without a learning signal are replaced by fresh problems.

A group whose rewards are all equal has advantages of zero. It is discarded, and the next problems in the data are
sampled in its place, round after round, until the batch is full or the step has cost as much more as the recipe
allows. DAPO goes on until the batch is full; here a batch may stay short, because the cap on cost wins.

Pure: what is sampled comes from a function that is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frugalrl.types import ScoredGroup

SampleGroups = Callable[[int, int], Sequence[ScoredGroup]]
"""A number of groups and the round (0: the batch itself) in; that many groups of the next problems out."""


@dataclass(frozen=True)
class FilledBatch:
    """What a step sampled, and what of it is learned from."""

    kept: tuple[ScoredGroup, ...]
    """At most as many as were wanted. If no group has a signal: the first ones as they came."""
    sampled: tuple[ScoredGroup, ...]
    """All, in order: what the step's metrics are about."""
    refilled: int
    """Kept groups that came from a round after the first."""
    extra_frac: float
    """Groups sampled beyond those wanted, as a share of those wanted."""


def has_learning_signal(group: ScoredGroup) -> bool:
    """Whether the rewards of a group differ, so that some of its advantages are not zero."""
    return len({scored.reward for scored in group.completions}) > 1


def fill_batch(sample: SampleGroups, wanted: int, max_extra_groups: int) -> FilledBatch:
    """Sample `wanted` groups; replace those without a learning signal, with at most `max_extra_groups` more in all.

    With `max_extra_groups` 0 nothing is replaced and nothing is left out.
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
