"""Logs and evaluations made up for the guard's tests: a calm run, with something done to one metric."""

from collections.abc import Callable, Mapping

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.training.guard.rules import Decision, GuardRule, Look, judge, observe
from frugalrl.training.guard.state import GuardState

CALM = {
    "reward/mean": 1.0,
    "verdict/correct_frac": 0.5,
    "policy/kl": 0.03,
    "policy/entropy": 0.3,
    "policy/grad_norm": 0.4,
    "policy/skipped_updates": 0.0,
    "loss/total": 0.01,
    "completion/mean_tokens": 30.0,
    "completion/truncated_frac": 0.1,
    "meter/repeated_frac": 0.0,
    "meter/foreign_completion_frac": 0.05,
}
Line = tuple[int, Mapping[str, float]]


def rule(look_samples: int = 64, every: int | None = None, **settings: object) -> GuardRule:
    """Steps of 64 completions, called evaluations of as many."""
    given = GuardSettings(**settings).model_dump(exclude={"enabled", "held_out"})
    return GuardRule(64, look_samples, every, **given)


def calm_steps(steps: int) -> list[Line]:
    """A run whose reward and accuracy alternate by 0.02, so that they have a scale; all else stands still."""
    wave = {step: 0.02 * (-1) ** step for step in range(1, steps + 1)}
    return [(s, CALM | {"reward/mean": 1.0 + by, "verdict/correct_frac": 0.5 + by}) for s, by in wave.items()]


def changed(lines: list[Line], metric: str, value: Callable[[int, float], float]) -> list[Line]:
    """The same log with `value(step, before)` in one metric."""
    return [(step, {**metrics, metric: value(step, metrics[metric])}) for step, metrics in lines]


def solved(share: float, problems: int = 100) -> list[list[bool]]:
    """One sample of each problem, of which the first ones are right."""
    return [[index < share * problems] for index in range(problems)]


def look(step: int, share: float, best: float | None, called: bool = False, problems: int = 100) -> Look:
    """An evaluation, and the best one's samples of the same problems."""
    known = [] if best is None else solved(best, problems)
    return Look(step, solved(share, problems), known, 30.0, called, whole=not called)


def begun(best: float = 0.6) -> GuardState:
    """A run whose base was evaluated."""
    return judge(GuardState(), look(0, best, None), rule())[0]


def watch(lines: list[Line], state: GuardState, chosen: GuardRule) -> tuple[GuardState, list[Decision]]:
    """The state at the end, and every decision that was not to do nothing. What is asked for is not given."""
    decisions = []
    for step, metrics in lines:
        state, decision = observe(state, step, metrics, chosen)
        if decision.action != "none":
            decisions.append(decision)
    return state, decisions
