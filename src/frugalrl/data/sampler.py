"""Which problems come next: a pure function of a memory and a request; a recipe may name a user's function.

The default, `shuffled_epochs`, is a seeded order of each epoch, optionally by difficulty band, without problems that
are skipped for now. A frozen state goes in and the next one comes out; its JSON is all that a checkpoint has to save.

Decisions:
- A problem whose group was (nearly) all right or all wrong has no gradient in GRPO. It is skipped for a number of steps
  and then re-enters, since the policy has changed by then.
- A step never runs out: if too few problems are left, those that would re-enter first are used.
- A curriculum orders each epoch by band, shuffled within bands; it leaves nothing out.
- A memory passes through JSON after every draw, so that a resumed run sees exactly what an uninterrupted one does.
"""

import json
import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from frugalrl.errors import RecipeError
from frugalrl.types import Problem

Memory = Mapping[str, Any]
"""A sampler's memory: values that JSON represents exactly; empty at the start."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a sampled problem."""

    problem: int
    accuracy: float | None
    """The share of its group that was correct; None without known verdicts."""


@dataclass(frozen=True)
class Draw:
    """A request to a sampler."""

    problems: Sequence[Problem]
    """All training problems, the same in every draw; a sampler returns indices into them."""
    count: int
    """Number of problems wanted."""
    step: int
    """Completed steps."""
    seed: int
    """The run's seed."""
    outcomes: tuple[Outcome, ...]
    """Those of the previous step, in order; empty at the first step, and if a step draws again."""


Sampler = Callable[[Memory, Draw], tuple[Sequence[int], Memory]]
"""The indices of `count` problems, and the memory after them. Pure: random numbers are made from the seed."""


@dataclass(frozen=True)
class SamplerRule:
    """What is fixed for a run."""

    seed: int
    problems: Sequence[Problem]
    sampler: Sampler


@dataclass(frozen=True)
class SamplerState:
    """The sampler's position: everything the next choice depends on, apart from the rule."""

    memory: Memory = field(default_factory=dict)
    """The sampler function's memory."""
    step: int = 0
    """Steps observed."""
    outcomes: tuple[Outcome, ...] = ()
    """Of the last step, until the sampler has seen them."""

    def to_json(self) -> dict[str, Any]:
        """Values that JSON represents exactly."""
        outcomes = [[one.problem, one.accuracy] for one in self.outcomes]
        return {"memory": dict(self.memory), "step": self.step, "outcomes": outcomes}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "SamplerState":
        """The state that `to_json` wrote."""
        outcomes = tuple(Outcome(int(problem), accuracy) for problem, accuracy in values["outcomes"])
        return SamplerState(values["memory"], int(values["step"]), outcomes)


def next_problems(state: SamplerState, rule: SamplerRule, count: int) -> tuple[list[int], SamplerState]:
    """Indices of the next `count` problems, and the state after them.

    Raises ValueError without any problem, and RecipeError for a sampler that violates its protocol.
    """
    if not rule.problems:
        raise ValueError("there is no problem to take")
    answer = rule.sampler(
        _through_json(state.memory), Draw(rule.problems, count, state.step, rule.seed, state.outcomes)
    )
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[1], Mapping):
        raise RecipeError(f"The sampler gave {answer!r}. Return the indices of problems and the memory after them.")
    taken = list(answer[0])
    if len(taken) != count or not all(type(index) is int and 0 <= index < len(rule.problems) for index in taken):
        raise RecipeError(
            f"The sampler gave {taken!r}. Return {count} whole numbers from 0 to {len(rule.problems) - 1}."
        )
    return taken, SamplerState(_through_json(answer[1]), state.step)


def observe(state: SamplerState, accuracies: Iterable[tuple[int, float]]) -> SamplerState:
    """The state after a step.

    accuracies: each sampled problem and the share of its group that was correct, NaN if no verdict is known.
    """
    seen = tuple(Outcome(problem, None if math.isnan(share) else share) for problem, share in accuracies)
    return replace(state, step=state.step + 1, outcomes=seen)


def shuffled_epochs(
    memory: Memory,
    draw: Draw,
    *,
    bands: Sequence[str] = (),
    skip_solved: float | None = None,
    skip_unsolved: float | None = None,
    re_entry_steps: int = 50,
) -> tuple[list[int], Memory]:
    """Each epoch reshuffled; without options the order is a function of the position alone (`take`).

    bands: of a curriculum, values of the column `band`, in order. skip_solved, skip_unsolved: skip a problem for
    `re_entry_steps` steps if at least, or at most, this share of its group was correct.
    Raises ValueError for a problem outside the bands.
    """
    problem_count = len(draw.problems)
    skipped = _skipped(memory, draw, skip_solved, skip_unsolved, re_entry_steps)
    missing = min(draw.count, problem_count) - (problem_count - len(skipped))
    if missing > 0:
        first_back = sorted(skipped, key=lambda pair: (pair[1], pair[0]))[:missing]
        skipped = [pair for pair in skipped if pair not in first_back]
    left_out = {problem for problem, _ in skipped}
    ranks = band_ranks([problem.columns.get("band") for problem in draw.problems], bands) if bands else None
    taken: list[int] = []
    position, order, known_epoch = int(memory.get("position", 0)), [0], -1
    while len(taken) < draw.count:
        epoch, place = divmod(position, problem_count)
        if epoch != known_epoch:
            order, known_epoch = _order(problem_count, epoch, draw.seed, ranks), epoch
        if order[place] not in left_out:
            taken.append(order[place])
        position += 1
    return taken, {"position": position, "skipped": skipped}


def take(problem_count: int, position: int, count: int, seed: int) -> list[int]:
    """Indices of the `count` problems after the first `position`; every epoch has each problem once."""
    epochs = range(position // problem_count, -(-(position + count) // problem_count))
    orders = [index for epoch in epochs for index in _order(problem_count, epoch, seed, None)]
    start = position % problem_count
    return orders[start : start + count]


def band_ranks(bands: Sequence[str | None], order: Sequence[str]) -> tuple[int, ...]:
    """The rank of each problem's band in a curriculum. Raises ValueError for a band that is not in `order`."""
    places = {name: place for place, name in enumerate(order)}
    unknown = next((band for band in bands if band not in places), None)
    if unknown is not None or None in bands:
        raise ValueError(f"a problem is in the band {unknown!r}")
    return tuple(places[band] for band in bands if band is not None)


def _skipped(
    memory: Memory, draw: Draw, skip_solved: float | None, skip_unsolved: float | None, re_entry_steps: int
) -> list[tuple[int, int]]:
    """Problems skipped now, each with the step from which it may come again; by problem."""
    until = {int(problem): int(step) for problem, step in memory.get("skipped", ())}
    for outcome in draw.outcomes:
        share = outcome.accuracy
        solved = None not in (share, skip_solved) and share >= skip_solved  # type: ignore[operator]  # neither is None
        unsolved = None not in (share, skip_unsolved) and share <= skip_unsolved  # type: ignore[operator]
        if solved or unsolved:
            until[outcome.problem] = draw.step + re_entry_steps
    return sorted((problem, step) for problem, step in until.items() if step > draw.step)


def _order(problem_count: int, epoch: int, seed: int, ranks: Sequence[int] | None) -> list[int]:
    order = list(range(problem_count))
    random.Random(f"problems/{seed}/{epoch}").shuffle(order)
    if ranks is not None:
        order.sort(key=lambda problem: ranks[problem])
    return order


def _through_json(memory: Memory) -> dict[str, Any]:
    """A copy, with tuples as lists and keys as text. Raises RecipeError for what JSON cannot represent exactly."""
    try:
        return json.loads(json.dumps(dict(memory), allow_nan=False))  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"The sampler's memory does not fit into JSON ({error}). Keep text, finite numbers and lists of them there."
        ) from None
