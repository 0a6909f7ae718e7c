"""What the guard would have done in a run, from its log and its stored evaluations: a pure replay.

Decisions: everything is observed and judged as in the trainer, so the replay of a guarded run reproduces its decisions.
Where the guard would have requested an evaluation that was not made, it is shown and paid for, and the replay continues
without its result. After a rollback that did not happen, the log continues with the policy that would have been
abandoned; what is found later is still shown.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from frugalrl.training.guard.rules import Decision, GuardRule, Look, judge, observe, rolled_back
from frugalrl.training.guard.signs import (
    ALARM_AT,
    CHANGE_SIGNS,
    WARNING_SIGNS,
    Detector,
    Watch,
    answered,
    fires,
    is_over,
    step_change,
    step_warning,
    warning_limit,
)
from frugalrl.training.guard.state import GuardState

Line = tuple[int, Mapping[str, float]]
"""A step, and the metrics of its line in the log."""


@dataclass(frozen=True)
class Stored:
    """An evaluation that a run stored."""

    step: int
    verdicts: Mapping[str, list[bool]]
    """Known ones, by problem."""
    mean_tokens: float
    called: bool
    """Whether the guard of that run requested it."""
    whole: bool


@dataclass(frozen=True)
class SignRow:
    """A sign over a complete run."""

    sign: str
    metric: str
    calls: bool
    """Whether it requests an evaluation; otherwise it warns."""
    limit: float | None
    """Of the summed deviations, or of the metric's median; None while there was no early level."""
    worst: tuple[float, int] | None
    """The value closest to the limit, and its step; None if the metric was never logged."""
    fired: tuple[int, ...]
    """Steps at which it exceeded the limit."""


@dataclass(frozen=True)
class Replay:
    """The outcome of a replay."""

    decisions: tuple[Decision, ...]
    """All decisions except "none", in order."""
    unanswered: tuple[int, ...]
    """Steps after which an evaluation would have been requested that the run does not have."""
    state: GuardState
    """At the end of the log."""


def replay(lines: Sequence[Line], evaluations: Sequence[Stored], rule: GuardRule) -> Replay:
    """Go through all lines of a log in order, and through the evaluations after their steps."""
    state, decisions, unanswered = GuardState(), [], []
    by_step: dict[int, list[Stored]] = {}
    for one in sorted(evaluations, key=lambda one: (one.step, one.called)):
        by_step.setdefault(one.step, []).append(one)
    whole: dict[int, Stored] = {}
    for step, metrics in [(0, {}), *lines]:
        if step > 0:
            state, decision = observe(rolled_back(state), step, metrics, rule)
            decisions.append(decision)
        for one in by_step.get(step, []):
            state, decision = judge(state, _look(one, state, whole), rule)
            decisions.append(decision)
            if one.whole:
                whole[step] = one
        if state.asked:
            unanswered.append(step)
            state = replace(state, asked=False, sign=None, credit=state.credit - 1, last_look=step)
    return Replay(tuple(one for one in decisions if one.action != "none"), tuple(unanswered), state)


def sign_rows(lines: Sequence[Line]) -> list[SignRow]:
    """Every sign by itself, in the order of the tables, as if the guard had never acted."""
    return [_change_row(name, lines) for name in CHANGE_SIGNS] + [_warning_row(name, lines) for name in WARNING_SIGNS]


def _change_row(name: str, lines: Sequence[Line]) -> SignRow:
    sign, detector = CHANGE_SIGNS[name], Detector()
    sums, fired = [], []
    for step, value in _values(lines, sign.metric):
        detector = step_change(detector, value, step, sign)
        sums.append((detector.sum, step))
        if fires(detector):
            fired.append(step)
            detector = answered(detector)
    worst = max(sums, key=lambda one: (one[0], -one[1]), default=None)
    return SignRow(name, sign.metric, True, ALARM_AT, worst, tuple(fired))


def _warning_row(name: str, lines: Sequence[Line]) -> SignRow:
    sign, watch, was_over = WARNING_SIGNS[name], Watch(), False
    medians, fired = [], []
    for step, value in _values(lines, sign.metric):
        watch = step_warning(watch, value)
        if warning_limit(watch, sign) is not None:
            medians.append((median(watch.recent), step))
        if is_over(watch, sign) and not was_over:
            fired.append(step)
        was_over = is_over(watch, sign)
    pick = max if sign.factor > 1 else min
    worst = pick(medians, default=None)
    return SignRow(name, sign.metric, False, warning_limit(watch, sign), worst, tuple(fired))


def _values(lines: Sequence[Line], metric: str) -> list[tuple[int, float]]:
    return [(step, values[metric]) for step, values in lines if math.isfinite(values.get(metric, math.nan))]


def _look(one: Stored, state: GuardState, whole: Mapping[int, Stored]) -> Look:
    best = {} if state.reference is None else whole[state.reference.step].verdicts
    names = [name for name in one.verdicts if not best or name in best]
    return Look(
        one.step,
        [one.verdicts[name] for name in names],
        [best[name] for name in names] if best else [],
        one.mean_tokens,
        one.called,
        one.whole,
    )
