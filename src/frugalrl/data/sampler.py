"""Which problems come next: a seeded order of each epoch, by difficulty band if asked, without those at rest.

Pure: a frozen state goes in and the next one comes out, and it is all there is to save. Without options the order is
a function of the position alone (`take`), and the state nothing but that position.

Decisions:
- Skipping is by what the policy did: a problem whose group came out (nearly) all right or all wrong carries no
  gradient in GRPO. It rests for a number of steps and then re-enters, since the policy has changed by then.
- A step never starves: where too few problems are awake, those that would re-enter first are woken.
- A curriculum orders each epoch by band, shuffled within bands; it leaves nothing out.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class SamplerRule:
    """How problems are chosen. The defaults are a plain shuffle of each epoch."""

    seed: int
    ranks: tuple[int, ...] | None = None
    """For a curriculum: of each problem the place of its band, the first band first."""
    skip_solved: float | None = None
    """A problem rests if at least this share of its group was correct."""
    skip_unsolved: float | None = None
    """A problem rests if at most this share of its group was correct."""
    re_entry_steps: int = 50


@dataclass(frozen=True)
class SamplerState:
    """Where the sampler is. Everything the next choice depends on, beside the rule."""

    position: int = 0
    """Places of the epochs' orders that were gone through, those of resting problems included."""
    step: int = 0
    """Steps observed."""
    resting: tuple[tuple[int, int], ...] = ()
    """Problem and the step from which it may come again; by problem."""

    def to_json(self) -> dict[str, Any]:
        """Values that JSON holds exactly."""
        return {"position": self.position, "step": self.step, "resting": [list(pair) for pair in self.resting]}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "SamplerState":
        """The state that `to_json` wrote."""
        resting = tuple((int(problem), int(until)) for problem, until in values["resting"])
        return SamplerState(int(values["position"]), int(values["step"]), resting)


def next_problems(
    state: SamplerState, rule: SamplerRule, problem_count: int, count: int
) -> tuple[list[int], SamplerState]:
    """Indices of the next `count` problems, and the state after them. Raises ValueError without any problem."""
    if problem_count < 1:
        raise ValueError("there is no problem to take")
    asleep = [pair for pair in state.resting if pair[1] > state.step]
    missing = min(count, problem_count) - (problem_count - len(asleep))
    if missing > 0:
        woken = sorted(asleep, key=lambda pair: (pair[1], pair[0]))[:missing]
        asleep = [pair for pair in asleep if pair not in woken]
    skipped = {problem for problem, _ in asleep}
    taken: list[int] = []
    position, order, known_epoch = state.position, [0], -1
    while len(taken) < count:
        epoch, place = divmod(position, problem_count)
        if epoch != known_epoch:
            order, known_epoch = _order(problem_count, epoch, rule.seed, rule.ranks), epoch
        if order[place] not in skipped:
            taken.append(order[place])
        position += 1
    return taken, replace(state, position=position, resting=tuple(asleep))


def observe(state: SamplerState, rule: SamplerRule, accuracies: Iterable[tuple[int, float]]) -> SamplerState:
    """The state after a step. accuracies: each sampled problem and the share of its group that was correct."""
    step = state.step + 1
    resting = dict(state.resting)
    for problem, accuracy in accuracies:
        solved = rule.skip_solved is not None and accuracy >= rule.skip_solved
        unsolved = rule.skip_unsolved is not None and accuracy <= rule.skip_unsolved
        if solved or unsolved:
            resting[problem] = step + rule.re_entry_steps
    return replace(state, step=step, resting=tuple(sorted(resting.items())))


def take(problem_count: int, position: int, count: int, seed: int) -> list[int]:
    """Indices of the `count` problems after the first `position`; every epoch holds each problem once."""
    return next_problems(SamplerState(position), SamplerRule(seed), problem_count, count)[0]


def band_ranks(bands: Sequence[str | None], order: Sequence[str]) -> tuple[int, ...]:
    """The place of each problem's band in a curriculum. Raises ValueError for a band that is not in `order`."""
    places = {name: place for place, name in enumerate(order)}
    unknown = next((band for band in bands if band not in places), None)
    if unknown is not None or None in bands:
        raise ValueError(f"a problem is in the band {unknown!r}")
    return tuple(places[band] for band in bands if band is not None)


def _order(problem_count: int, epoch: int, seed: int, ranks: Sequence[int] | None) -> list[int]:
    order = list(range(problem_count))
    random.Random(f"problems/{seed}/{epoch}").shuffle(order)
    if ranks is not None:
        order.sort(key=lambda problem: ranks[problem])
    return order
