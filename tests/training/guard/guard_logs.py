"""Logs made up for the guard's tests: a calm run, with something done to one metric."""

from collections.abc import Callable, Mapping

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.training.guard.rules import Decision, observe
from frugalrl.training.guard.state import GuardState

CALM = {
    "reward/mean": 1.0,
    "policy/kl": 0.03,
    "policy/entropy": 0.3,
    "policy/clipped_frac": 0.0,
    "policy/grad_norm": 0.4,
    "policy/skipped_updates": 0.0,
    "loss/total": 0.01,
    "completion/truncated_frac": 0.1,
    "group/zero_std_frac": 0.2,
    "meter/repeated_frac": 0.0,
    "meter/foreign_completion_frac": 0.05,
}

Line = tuple[int, Mapping[str, float]]


def calm_steps(steps: int) -> list[Line]:
    """A run whose reward alternates about 1 by 0.02, so that it has a noise to compare with; all else stands still."""
    return [(step, CALM | {"reward/mean": 1.0 + 0.02 * (-1) ** step}) for step in range(1, steps + 1)]


def changed(lines: list[Line], metric: str, value: Callable[[int, float], float]) -> list[Line]:
    """The same log with `value(step, before)` in one metric of the training steps."""
    return [
        (step, {**metrics, metric: value(step, metrics[metric])}) if metric in metrics else (step, metrics)
        for step, metrics in lines
    ]


def evaluation(step: int, accuracy: float, half_width: float = 0.05) -> Line:
    values = {"avg_at_k": accuracy, "ci_low": accuracy - half_width, "ci_high": accuracy + half_width}
    return step, {f"validation/{name}": value for name, value in values.items()}


def with_evaluations(lines: list[Line], accuracies: Mapping[int, float]) -> list[Line]:
    """The log with an evaluation after each of the steps; step 0 comes first."""
    found = [evaluation(0, accuracies[0])] if 0 in accuracies else []
    for step, metrics in lines:
        found.append((step, metrics))
        if step in accuracies:
            found.append(evaluation(step, accuracies[step]))
    return found


def watch(lines: list[Line], settings: GuardSettings | None = None) -> tuple[GuardState, list[Decision]]:
    """The state at the end, and every decision that was not to do nothing."""
    state, decisions = GuardState(), []
    for step, metrics in lines:
        state, decision = observe(state, step, metrics, settings or GuardSettings())
        if decision.action != "none":
            decisions.append(decision)
    return state, decisions


def actions(lines: list[Line], settings: GuardSettings | None = None) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(one.step, one.action, one.signals) for one in watch(lines, settings)[1]]
