"""The guard: a run's metrics in, a decision out.

Every line of the run's log is observed once, in order: each training step, and each validation after it. What a
signal reads is in `signals.py`, what is remembered in `state.py`. The actions, in order:

1. warn, when a signal is over its limit in `patience` of the last `window` smoothed steps;
2. roll back, when it still is `escalate_steps` later, or was far over it from the start (`severe`);
3. stop, when a rollback is called for and `max_rollbacks` have been made.

Decisions:
- Smoothing is by the median, so one step alone, however wild, changes nothing. A value that is not finite acts at once.
- A signal clears only when as many steps lie below a lower level: hovering about a limit makes one warning, not many.
- Validation is the thing itself and the other signals are signs: where an evaluation taken after a signal's first
  crossing is as good as the best, that signal may warn and not roll back (`trust_validation`).
- A validation needs no smoothing: it rests on hundreds of samples, and its interval is its noise. It fires when two of
  the last three are below the limit, since a healthy run dips and comes back, or at once when one is far below.
- A decision never looks at more than the log holds, so that a replay over the log finds what the run found.

Not covered: carrying decisions out (`trainer`, `actions`).
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Literal

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.training.guard.signals import (
    METRICS,
    VALIDATION_METRIC,
    Reading,
    Score,
    gaming_reading,
    is_nonfinite,
    settings_of,
    step_reading,
    validation_reading,
)
from frugalrl.training.guard.state import GuardState, Rollback, SignalState

Action = Literal["none", "warn", "rollback", "stop"]

_FROM_VALIDATION = ("validation", "gaming")
_NOT_WORSE = 1.0
"""Joint half-widths below the best that an accuracy may lie and still be called as good: the noise of both."""
_EVALUATIONS = (2, 3)
"""Evaluations over the limit, of how many, that make a signal of the validation fire: dips of one recover."""


@dataclass(frozen=True)
class Decision:
    """What to do after a line of the log, and why."""

    step: int
    action: Action = "none"
    signals: tuple[str, ...] = ()
    """All that fire."""
    reason: str = ""
    """A sentence for each of them, with its numbers."""
    before: int | None = None
    """For a rollback: checkpoints of this step or later are not good."""


def observe(
    state: GuardState, step: int, metrics: Mapping[str, float], settings: GuardSettings
) -> tuple[GuardState, Decision]:
    """Look at one line of the log: a training step, or an evaluation after it (``validation/...``).

    step: counted from 1; an evaluation of the base has 0. Metrics that a signal does not find, or that are not finite,
    leave the signal as it is: without a reference there is no KL, which is not a KL of 0.
    """
    if state.stopped is not None:
        return state, Decision(step)
    broken = is_nonfinite(metrics) if settings.nonfinite.action != "none" else None
    state, fresh = _remember_step(state, step, metrics, settings)
    if VALIDATION_METRIC in metrics:
        state, seen = _remember_validation(state, step, metrics, settings)
        fresh |= seen
    if step < state.quiet_until:
        fresh = set()
    before = state.signals
    held = {name: _hold(name, before[name], step, settings) for name in fresh}
    if METRICS["reward"] in metrics:
        held["nonfinite"] = _broken(before["nonfinite"], broken, step)
    state = replace(state, signals={**before, **held})
    fired_now = {name for name, signal in held.items() if signal.fired_at is not None and before[name].fired_at is None}
    to_roll_back = {name for name in held if _calls_for_rollback(name, state, step, settings)}
    return _decide(state, step, fired_now, to_roll_back, broken, settings)


def rolled_back(state: GuardState) -> GuardState:
    """The state once the pending rollback has been made."""
    return replace(state, pending=False)


def last_good(state: GuardState, before: int, checkpoint_steps: Collection[int]) -> int:
    """The step of the checkpoint to go back to: the newest that is good; 0 for the base model.

    Good is: saved before step `before`, not on a stretch that an earlier rollback abandoned, and with a validation
    (the newest one up to it) not below the best by more than the noise of both. Without validations the first two
    decide.
    """
    for step in sorted(checkpoint_steps, reverse=True):
        abandoned = any(one.before <= step <= one.step for one in state.rollbacks)
        if 0 < step < before and not abandoned and _was_as_good_as_the_best(state, step):
            return step
    return 0


def needed(state: GuardState, checkpoint_steps: Collection[int], settings: GuardSettings) -> set[int]:
    """The steps of the checkpoints to which a rollback would go: one that is pending, that an excursion under way would
    call for, that a bad validation next would, or that anything would which begins now."""
    beginnings = [signal.crossed_at for signal in state.signals.values() if signal.crossed_at is not None]
    if state.pending:
        beginnings.append(state.rollbacks[-1].before)
    beginnings += [score.step + 1 for score in state.scores[-1:]]
    newest = max(checkpoint_steps, default=0)
    earliest_now = newest + 1 - max(settings.smoothing, settings.window) // 2
    found = {last_good(state, before, checkpoint_steps) for before in (*beginnings, earliest_now)}
    return found - {0}


def guard_metrics(state: GuardState) -> dict[str, float]:
    """What the run log says of the guard at a step."""
    readings = [signal.reading for signal in state.signals.values() if signal.reading is not None]
    return {
        "guard/severity": max((reading.severity for reading in readings), default=0.0),
        "guard/firing": float(len(state.firing)),
        "guard/rollbacks": float(len(state.rollbacks)),
        "guard/lr_factor": state.lr_factor,
    }


def _remember_step(
    state: GuardState, step: int, metrics: Mapping[str, float], settings: GuardSettings
) -> tuple[GuardState, set[str]]:
    """The state with a training step's values in it, and the signals that have a new reading."""
    signals, fresh = dict(state.signals), set()
    kept = max(settings.smoothing, settings.window)
    for name, metric in METRICS.items():
        value = metrics.get(metric, math.nan)
        if not math.isfinite(value):
            continue
        before = signals[name]
        early = (*before.early, value) if len(before.early) < settings.baseline_steps else before.early
        signals[name] = replace(before, early=early, recent=(*before.recent, value)[-kept:])
        if len(early) == settings.baseline_steps:
            fresh.add(name)
    for name in sorted(fresh):
        signal = signals[name]
        reading = step_reading(name, signal.early, signal.recent, signal.best, settings)
        if name == "reward" and len(signal.recent) >= settings.window:
            level = median(signal.recent[-settings.window :])
            signal = replace(signal, best=level if signal.best is None else max(signal.best, level))
        if reading is None:
            signals[name] = signal
            fresh.discard(name)
        elif name == "zero_std" and _reward_has_risen(signals["reward"]):
            # Groups in which all are right are alike too: only without progress are they a bad sign.
            signals[name] = _with(name, signal, replace(reading, value=reading.level), step, settings)
        else:
            looked_at = settings.window if name == "reward" else settings.smoothing
            signals[name] = _with(name, signal, reading, max(1, step - looked_at // 2), settings)
    return replace(state, signals=signals), fresh


def _remember_validation(
    state: GuardState, step: int, metrics: Mapping[str, float], settings: GuardSettings
) -> tuple[GuardState, set[str]]:
    value = metrics[VALIDATION_METRIC]
    low, high = metrics.get("validation/ci_low", math.nan), metrics.get("validation/ci_high", math.nan)
    half_width = max(high - value, value - low)  # the side that was not cut at 0 or 1
    if not (math.isfinite(value) and math.isfinite(half_width)):
        return state, set()
    rewards = state.signals["reward"].recent
    score = Score(step, value, half_width, fmean(rewards) if rewards else None)
    best, previous = state.best, state.scores[-1] if state.scores else None
    state = replace(state, scores=(*state.scores, score))
    if best is None or previous is None:
        return state, set()
    signals = dict(state.signals)
    fall = validation_reading(score, best, settings.validation.threshold)
    gamed = gaming_reading(score, best, settings.gaming.threshold) or replace(fall, value=fall.level)
    for name, reading in (("validation", fall), ("gaming", gamed)):
        signals[name] = _with(name, signals[name], reading, previous.step + 1, settings)
    return replace(state, signals=signals), {"validation", "gaming"}


def _with(name: str, signal: SignalState, reading: Reading, crossing: int, settings: GuardSettings) -> SignalState:
    """The signal with a new reading. crossing: the step from which it counts as crossed, if it crosses now."""
    _, window = _patience(name, settings)
    earlier = signal.severities[-(window - 1) :] if window > 1 else ()
    is_new = signal.fired_at is None and max(earlier, default=0.0) < 1
    crossed_at = None if is_new else signal.crossed_at
    if reading.severity >= 1 and crossed_at is None:
        crossed_at = crossing
    severities = (*earlier, reading.severity)
    return replace(signal, reading=reading, severities=severities, crossed_at=crossed_at)


def _patience(name: str, settings: GuardSettings) -> tuple[int, int]:
    """How many readings over the limit, of how many, make a signal fire."""
    return _EVALUATIONS if name in _FROM_VALIDATION else (settings.patience, settings.window)


def _is_over(name: str, signal: SignalState, settings: GuardSettings) -> bool:
    patience, _ = _patience(name, settings)
    return sum(severity >= 1 for severity in signal.severities) >= patience or _is_far_over(name, signal, settings)


def _is_far_over(name: str, signal: SignalState, settings: GuardSettings) -> bool:
    patience = 1 if name in _FROM_VALIDATION else settings.patience
    newest = signal.severities[-1:] if name in _FROM_VALIDATION else signal.severities
    return sum(severity >= settings.severe for severity in newest) >= patience


def _hold(name: str, signal: SignalState, step: int, settings: GuardSettings) -> SignalState:
    """Fire or clear, with hysteresis."""
    if settings_of(name, settings).action == "none":
        return signal
    if signal.fired_at is None:
        return replace(signal, fired_at=step) if _is_over(name, signal, settings) else signal
    patience, _ = _patience(name, settings)
    calm = sum(severity < settings.clear_at for severity in signal.severities)
    return replace(signal, fired_at=None, crossed_at=None) if calm >= patience else signal


def _broken(signal: SignalState, broken: str | None, step: int) -> SignalState:
    """The signal of numbers that are not finite: it fires and clears with the step."""
    if broken is None:
        return replace(signal, fired_at=None, crossed_at=None)
    return replace(signal, fired_at=signal.fired_at or step, crossed_at=signal.crossed_at or step)


def _calls_for_rollback(name: str, state: GuardState, step: int, settings: GuardSettings) -> bool:
    signal, section = state.signals[name], settings_of(name, settings)
    if signal.fired_at is None or section.action != "rollback":
        return False
    if name == "nonfinite":
        return True
    if signal.severities[-1] < 1 or not _is_over(name, signal, settings):
        return False
    has_lasted = step - signal.fired_at >= settings.escalate_steps
    if not has_lasted and not _is_far_over(name, signal, settings):
        return False
    return name in _FROM_VALIDATION or not _validation_disagrees(signal, state, settings)


def _validation_disagrees(signal: SignalState, state: GuardState, settings: GuardSettings) -> bool:
    """Whether an evaluation since the signal's first crossing was as good as the best."""
    newest = state.scores[-1] if state.scores else None
    if not settings.trust_validation or newest is None or signal.crossed_at is None or newest.step < signal.crossed_at:
        return False
    return _was_as_good_as_the_best(state, newest.step)


def _was_as_good_as_the_best(state: GuardState, step: int) -> bool:
    earlier = [score for score in state.scores if score.step <= step]
    if not earlier or state.best is None or earlier[-1].step == state.best.step:
        return True
    return validation_reading(earlier[-1], state.best, _NOT_WORSE).severity < 1


def _reward_has_risen(reward: SignalState) -> bool:
    return bool(reward.recent) and fmean(reward.recent) > median(reward.early)


def _decide(
    state: GuardState,
    step: int,
    fired_now: set[str],
    to_roll_back: set[str],
    broken: str | None,
    settings: GuardSettings,
) -> tuple[GuardState, Decision]:
    if not fired_now and not to_roll_back:
        return state, Decision(step)
    reason = " ".join(_sentence(name, state.signals[name], broken, settings) for name in state.firing)
    if not to_roll_back:
        return state, Decision(step, "warn", state.firing, reason)
    before = min(state.signals[name].crossed_at or step for name in to_roll_back)
    if len(state.rollbacks) >= settings.max_rollbacks:
        made = "1 rollback has" if len(state.rollbacks) == 1 else f"{len(state.rollbacks)} rollbacks have"
        why = f"{reason} {made} been made, as many as the recipe allows."
        return replace(state, stopped=why), Decision(step, "stop", state.firing, why, before)
    decision = Decision(step, "rollback", state.firing, reason, before)
    return _forget(state, decision, settings), decision


def _forget(state: GuardState, decision: Decision, settings: GuardSettings) -> GuardState:
    """The state after a rollback: early levels and validations stay, what the lost policy did is forgotten."""
    rollback = Rollback(decision.step, decision.before or decision.step, decision.reason)
    return replace(
        state,
        signals={name: SignalState(early=one.early, reading=one.reading) for name, one in state.signals.items()},
        rollbacks=(*state.rollbacks, rollback),
        lr_factor=state.lr_factor * settings.lr_factor,
        quiet_until=decision.step + settings.cooldown_steps,
        pending=True,
    )


def _sentence(name: str, signal: SignalState, broken: str | None, settings: GuardSettings) -> str:
    """What a signal saw, with its numbers."""
    if name == "nonfinite":
        return f"nonfinite: {broken}."
    reading = signal.reading
    if reading is None:
        return f"{name}: fires since step {signal.fired_at}."
    side = "over" if reading.limit > reading.level else "under"
    numbers = f"now {reading.value:.4g}, limit {reading.limit:.4g}"
    if name in _FROM_VALIDATION:
        rose = " while the training reward rose" if name == "gaming" else ""
        return f"{name}: {VALIDATION_METRIC} {numbers}, best {reading.level:.4g}{rose}."
    over = sum(severity >= 1 for severity in signal.severities)
    level = "best" if name == "reward" else "early level"
    return (
        f"{name}: {METRICS[name]} {side} its limit in {over} of the last {len(signal.severities)} smoothed steps, "
        f"since step {signal.crossed_at}: {numbers}, {level} {reading.level:.4g}."
    )
