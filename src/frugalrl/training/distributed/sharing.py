"""What a run's processes share beside rollouts: verdicts and rewards, the rows of an update, and sums."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from frugalrl.rewards.rubric import Rubric, score_groups
from frugalrl.tasks.judging import Judge, judge_groups
from frugalrl.training.distributed.world import World
from frugalrl.types import RolloutGroup, ScoredCompletion, ScoredGroup, Verdict

T = TypeVar("T")


def shared_scores(
    world: World, rubric: Rubric, groups: Sequence[RolloutGroup], seconds_left: Callable[[], float], judge: Judge
) -> list[ScoredGroup]:
    """`score_groups`, each process some of the groups: a reward is called once, and is the same in every process.

    judge: what gives the verdicts where one process has all groups.
    """
    if world.size == 1:
        return score_groups(rubric, groups, seconds_left, judge)
    scored = _shared(world, groups, lambda own: score_groups(rubric, own, seconds_left), _packed_scores)
    return [
        ScoredGroup(group.prompt, tuple(map(_scored_completion, group.completions, values)))
        for group, values in zip(groups, scored, strict=True)
    ]


def shared_verdicts(world: World, groups: Sequence[RolloutGroup]) -> list[list[Verdict]]:
    """`judge_groups`, each process some of the groups: a verdict is made once, and is the same in every process."""
    if world.size == 1:
        return judge_groups(groups)
    judged = _shared(world, groups, judge_groups, lambda verdicts: [_packed_verdict(one) for one in verdicts])
    return [[Verdict(*verdict) for verdict in verdicts] for verdicts in judged]


def added_up(world: World, values: Mapping[str, float]) -> dict[str, float]:
    """The sums of some values over all processes, by name, in the order of the ranks: the same bits in each."""
    if world.size == 1:
        return dict(values)
    all_values: list[Mapping[str, float]] = world.each(lambda: dict(values))
    names = dict.fromkeys(name for one in all_values for name in one)
    return {name: sum(one.get(name, 0.0) for one in all_values) for name in names}


def even_counts(world: World, own: Sequence[T], idle: Callable[[], T]) -> list[T]:
    """Pieces of work for this process, filled up with idle ones to as many as any other has: all compute together."""
    if world.size == 1:
        return list(own)
    most = max(world.each(lambda: len(own)))
    return [*own, *(idle() for _ in range(most - len(own)))]


def _shared(
    world: World, groups: Sequence[RolloutGroup], work: Callable[[Sequence[RolloutGroup]], Sequence[Any]], pack: Any
) -> list[Any]:
    """Results for all groups, in order; group i is worked on by process i modulo their number."""
    own = groups[world.rank :: world.size]
    parts = world.each(lambda: [pack(one) for one in work(own)] if own else [])
    return [parts[index % world.size][index // world.size] for index in range(len(groups))]


def _packed_scores(group: ScoredGroup) -> list[Any]:
    return [[one.reward, dict(one.breakdown), _packed_verdict(one.verdict)] for one in group.completions]


def _scored_completion(completion: Any, values: Sequence[Any]) -> ScoredCompletion:
    reward, breakdown, verdict = values
    return ScoredCompletion(completion, reward, breakdown, Verdict(*verdict))


def _packed_verdict(verdict: Verdict) -> list[Any]:
    return [verdict.label, verdict.extracted, verdict.reason]


def largest(world: World, values: Sequence[float]) -> float:
    """The largest value of all processes, some of which may have none."""
    return max(one for own in world.each(lambda: [max(values)] if values else []) for one in own)
