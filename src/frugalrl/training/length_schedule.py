"""The cap on completion tokens over the run: staged as published, or adapted to what is measured.

Pure: a state and the metrics of a step in, the state after it out. The cap applies to rollouts only; evaluations keep
one cap from the base to the end, or their numbers could not be compared.

The measured schedule looks at the means of the last `every` steps, at truncation and at reward per token:

- it grows by `factor` if at least `grow_above` of the completions were truncated, unless the cap has just grown and the
  reward did not: then room was not what was lacking;
- it shrinks by `factor` if at most `shrink_below` were truncated and reward per token fell by more than `tolerance`
  since the last decision: answers got longer and not better;
- it holds otherwise, and within `least_tokens` and `most_tokens` always.

Reward per token means nothing while the mean reward is not positive; nothing shrinks then.

Not covered: FastCuRL's other half, which selects the problems of a stage by prompt length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Protocol


class Stage(Protocol):
    """One stage of a staged schedule."""

    @property
    def cap_tokens(self) -> int: ...

    @property
    def steps(self) -> int:
        """Relative to the other stages: together they span the run."""
        ...


class LengthStage(NamedTuple):
    """A stage of a published schedule."""

    cap_tokens: int
    steps: int


class LengthRule(Protocol):
    """How the cap moves; a recipe's section `length_schedule` is one, and documents each value."""

    @property
    def kind(self) -> str: ...

    @property
    def scale(self) -> float: ...

    @property
    def least_tokens(self) -> int | None: ...

    @property
    def most_tokens(self) -> int | None: ...

    @property
    def every(self) -> int: ...

    @property
    def factor(self) -> float: ...

    @property
    def grow_above(self) -> float: ...

    @property
    def shrink_below(self) -> float: ...

    @property
    def tolerance(self) -> float: ...

    @property
    def stages(self) -> Sequence[Stage]: ...


PUBLISHED: Mapping[str, tuple[tuple[int, int], ...]] = {
    # Model card of DeepScaleR-1.5B-Preview: 8k until step 1,040, 16k until 1,520, 24k until about 1,750.
    "deepscaler": ((8192, 1040), (16384, 480), (24576, 230)),
    # FastCuRL-1.5B-Preview (arXiv 2503.17287 and its training scripts): four stages, each in its own steps.
    "fastcurl": ((8192, 160), (16384, 590), (24576, 230), (16384, 580)),
}
"""Caps in tokens and steps, stage by stage."""


@dataclass(frozen=True)
class Means:
    """Means over the steps of an interval."""

    truncated: float
    reward: float
    tokens: float


@dataclass(frozen=True)
class LengthState:
    """The current cap and what the next decision is based on."""

    cap_tokens: int
    steps: int = 0
    """Measured since the last decision."""
    truncated: float = 0.0
    """Sums over these steps: of the truncated share,"""
    reward: float = 0.0
    """of the mean reward,"""
    tokens: float = 0.0
    """and of the mean length."""
    last: Means | None = None
    """The interval before the last decision."""
    grew: bool = False
    """Whether the last decision was to grow."""


def stages_of(settings: LengthRule) -> Sequence[Stage]:
    """The stages of a staged schedule, published ones scaled; empty for the measured one."""
    if settings.kind not in PUBLISHED:
        return settings.stages
    stages = PUBLISHED[settings.kind]
    return tuple(
        LengthStage(cap_tokens=max(1, round(settings.scale * cap_tokens)), steps=steps) for cap_tokens, steps in stages
    )


def staged_cap(stages: Sequence[Stage], step: int, total_steps: int) -> int:
    """The cap of a step, counted from 0, with the stages stretched so that together they span the run."""
    total, ended = sum(stage.steps for stage in stages), 0
    for stage in stages:
        ended += stage.steps
        if step < round(total_steps * ended / total):
            return stage.cap_tokens
    return stages[-1].cap_tokens


def bounds(settings: LengthRule, first_cap: int) -> tuple[int, int]:
    """The smallest and the largest cap that can occur, first_cap being `rollout.max_completion_tokens`."""
    stages = stages_of(settings)
    if stages:
        caps = [stage.cap_tokens for stage in stages]
        return min(caps), max(caps)
    return settings.least_tokens or max(1, first_cap // 2), settings.most_tokens or 2 * first_cap


def largest_cap(settings: LengthRule | None, first_cap: int) -> int:
    """The most tokens a completion can have, which is also the cap of evaluations."""
    return first_cap if settings is None else max(first_cap, bounds(settings, first_cap)[1])


def first_state(settings: LengthRule, first_cap: int, total_steps: int) -> LengthState:
    """The state before step 1."""
    stages = stages_of(settings)
    if stages:
        return LengthState(staged_cap(stages, 0, total_steps))
    least, most = bounds(settings, first_cap)
    return LengthState(min(max(first_cap, least), most))


def observe_length(
    state: LengthState,
    step: int,
    metrics: Mapping[str, float],
    settings: LengthRule,
    first_cap: int,
    total_steps: int,
) -> LengthState:
    """The state after a step, counted from 1: its cap is that of the next step.

    metrics: of the step; `completion/truncated_frac`, `reward/mean` and `completion/mean_tokens` are read.
    """
    stages = stages_of(settings)
    if stages:
        return LengthState(staged_cap(stages, step, total_steps))
    state = replace(
        state,
        steps=state.steps + 1,
        truncated=state.truncated + metrics["completion/truncated_frac"],
        reward=state.reward + metrics["reward/mean"],
        tokens=state.tokens + metrics["completion/mean_tokens"],
    )
    return state if state.steps < settings.every else _decide(state, settings, bounds(settings, first_cap))


def length_to_json(state: LengthState) -> dict[str, Any]:
    """Plain JSON values."""
    return asdict(state)


def length_from_json(values: Mapping[str, Any]) -> LengthState:
    """The inverse. Raises TypeError for anything else."""
    last = values["last"]
    return LengthState(**{**values, "last": None if last is None else Means(**last)})


def _decide(state: LengthState, settings: LengthRule, limits: tuple[int, int]) -> LengthState:
    now = Means(state.truncated / state.steps, state.reward / state.steps, state.tokens / state.steps)
    least, most = limits
    cap, grew = state.cap_tokens, False
    if now.truncated >= settings.grow_above:
        in_vain = state.grew and state.last is not None and now.reward <= state.last.reward
        if not in_vain:
            cap = min(most, round(cap * settings.factor))
            grew = cap > state.cap_tokens
    elif now.truncated <= settings.shrink_below and _reward_per_token_fell(state.last, now, settings.tolerance):
        cap = max(least, round(cap / settings.factor))
    return LengthState(cap, last=now, grew=grew)


def _reward_per_token_fell(before: Means | None, now: Means, tolerance: float) -> bool:
    if before is None or before.reward <= 0 or now.reward <= 0:
        return False
    return now.reward / now.tokens < (1 - tolerance) * before.reward / before.tokens
