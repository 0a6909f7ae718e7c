"""The guard: steps and evaluations of a run in, decisions out.

A sign does not cause a rollback. It requests an evaluation, and the evaluation decides:

    observe(state, step, metrics, rule)  after each step: none, warn, or evaluate
    judge(state, look, rule)             after each evaluation: none, warn, rollback, or stop

1. A sign fires (`signs.py`), or the last evaluation is long ago: an evaluation is requested if there is credit for it.
   Steps earn credit by the tokens they sample, so that requested evaluations stay within a share of these.
2. An evaluation, requested or scheduled, is paired by problem with the best one so far and adds to the evidence of a
   sequential test (`statistics/sequential.py`), whose false-alarm rate over all looks of a run stays below
   `error_rate`. Half of that is spent on the test, half on how lucky the best evaluation may have been.
3. Once the evidence suffices, the drop must still be there `confirm_steps` later: policies dip and recover.
4. Then roll back to the best; after `max_rollbacks` stop.

Decisions:
- Only tokens and steps are counted, never seconds, so that a resumed run, or another machine, decides the same.
- Part of the credit is reserved for signs: without one, an evaluation is requested only with more credit. It finds what
  has no sign, such as a reward that pays wrong answers.
- The confirming evaluation is made even without credit; what it overdraws is paid back before the next.

Not covered: making evaluations and rollbacks (`training.hooks.guard`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Literal

from frugalrl.statistics.intervals import Correct, problem_means
from frugalrl.statistics.sequential import after_look, allowance, shows_a_fall, start_again
from frugalrl.training.guard.signs import (
    CHANGE_SIGNS,
    WARNING_SIGNS,
    answered,
    fires,
    is_over,
    nonfinite,
    relearned,
    step_change,
    step_warning,
    warning_limit,
)
from frugalrl.training.guard.state import GuardState, Reference, Rollback

Action = Literal["none", "warn", "evaluate", "clear", "rollback", "stop"]

CREDIT_FOR_A_SIGN = 1.0
CREDIT_WITHOUT_A_SIGN = 2.0
"""Credit needed, in evaluations: one is always reserved for a sign."""
MOST_CREDIT = 3.0
STEPS_AFTER, STEPS_BEFORE = 10, 5
"""Without a sign, no evaluation is requested within so many steps after another, or before a scheduled one."""

FEWEST_SAMPLES = 48
"""Of a requested evaluation: the standard error of an accuracy is then at most 7 points."""


@dataclass(frozen=True)
class GuardRule:
    """What is fixed for a run."""

    step_samples: int
    """Completions of a training step."""
    look_samples: int
    """Completions of an evaluation that the guard requests; 0 if there are no problems for one."""
    every: int | None
    """Steps between scheduled evaluations."""
    evaluation_share: float
    error_rate: float
    least_fall: float
    confirm_steps: int
    max_rollbacks: int
    lr_factor: float
    """These six as in the recipe's section `guard`."""


@dataclass(frozen=True)
class Look:
    """An evaluation of the current policy."""

    step: int
    correct: Correct
    """Samples of each problem whose verdict is known."""
    best: Correct
    """The reference's samples of the same problems; empty if there is no reference yet."""
    mean_tokens: float
    """Per completion."""
    called: bool
    """Whether the guard requested it, and pays for it; not the base's."""
    whole: bool
    """Whether it is on all problems, so that it may become the reference."""


@dataclass(frozen=True)
class Decision:
    """What to do after a step or an evaluation, and why."""

    step: int
    action: Action = "none"
    reason: str = ""
    """In sentences, with the numbers."""


def called_samples(step_samples: int, problems: int) -> int:
    """Validation problems of a requested evaluation, one sample each: about as many as a step has, but not too few to
    be informative.
    """
    return min(problems, max(step_samples, FEWEST_SAMPLES))


def observe(state: GuardState, step: int, metrics: Mapping[str, float], rule: GuardRule) -> tuple[GuardState, Decision]:
    """Process a training step, counted from 1.

    Metrics that are missing or not finite leave a sign unchanged: without a reference model there is no KL, which is
    not a KL of 0.
    """
    if state.stopped is not None:
        return state, Decision(step)
    state, found = _watch_for_changes(state, step, metrics)
    state, warnings = _watch_for_limits(state, step, metrics)
    state = replace(state, credit=min(MOST_CREDIT, state.credit + _earned(state, metrics, rule)))
    if found is not None:
        state = replace(state, sign=found)
    if state.asked:
        return state, Decision(step)
    if rule.look_samples == 0 or state.reference is None:
        reasons = [*warnings] if found is None else [f"{found} There are no problems to evaluate it on.", *warnings]
        state = replace(state, sign=None)
        return state, Decision(step, "warn" if reasons else "none", " ".join(reasons))
    why = _why_evaluate(state, step, rule)
    if why is not None:
        return replace(state, asked=True), Decision(step, "evaluate", " ".join([why, *warnings]))
    return state, Decision(step, "warn" if warnings else "none", " ".join(warnings))


def judge(state: GuardState, look: Look, rule: GuardRule) -> tuple[GuardState, Decision]:
    """Process an evaluation. All are passed, in order, including that of the base."""
    if state.stopped is not None:
        return state, Decision(look.step)
    paid = look.called and look.step > 0
    state = replace(
        state,
        asked=False,
        sign=None,
        last_look=look.step,
        look_tokens=look.mean_tokens,
        called=state.called + paid,
        credit=state.credit - paid,
        detectors={name: answered(one) for name, one in state.detectors.items()},
    )
    if not any(look.correct):
        return state, Decision(look.step, "warn", "No sample of the evaluation has a verdict, so it decides nothing.")
    reference = state.reference
    if reference is None:
        return _candidate(state, look, rule), Decision(look.step)
    shift = max(rule.least_fall, reference.allowance)
    levels = [fmean(samples) - shift for samples in look.best]
    state = replace(state, evidence=after_look(state.evidence, levels, look.correct, -shift))
    accuracy, level = float(problem_means(look.correct).mean()), fmean(levels)
    odds = math.exp(min(state.evidence.log_value, 50.0))
    numbers = (
        f"accuracy {accuracy:.3f} on {len(levels)} problems, where step {reference.step} had {level + shift:.3f} "
        f"(allowance {shift:.3f}, evidence {odds:.3g} to 1)"
    )
    state, decision = _decide(state, look, accuracy < level, numbers, reference.step, rule)
    return _candidate(state, look, rule), decision


def rolled_back(state: GuardState) -> GuardState:
    """The state after the pending rollback was carried out."""
    return replace(state, pending=False)


def guard_metrics(state: GuardState) -> dict[str, float]:
    """The guard's metrics in the run log."""
    return {
        "guard/evaluations": float(state.called),
        "guard/log_evidence": max(state.evidence.log_value, -50.0),
        "guard/rollbacks": float(len(state.rollbacks)),
        "guard/lr_factor": state.lr_factor,
    }


def _watch_for_changes(state: GuardState, step: int, metrics: Mapping[str, float]) -> tuple[GuardState, str | None]:
    """The state after a step, and the sentence of the signs that fire."""
    detectors, sentences = dict(state.detectors), []
    for name, sign in CHANGE_SIGNS.items():
        value = metrics.get(sign.metric, math.nan)
        if not math.isfinite(value):
            continue
        before = detectors[name]
        detectors[name] = after = step_change(before, value, step, sign)
        if fires(after):
            verb = "rising" if sign.direction == 1 else "falling"
            sentences.append(f"{name}: {sign.metric} {verb} since step {after.since}, now {value:.4g}.")
            detectors[name] = answered(after)
    broken = nonfinite(metrics)
    if broken is not None:
        sentences.append(f"nonfinite: {broken}.")
    return replace(state, detectors=detectors), " ".join(sentences) or None


def _watch_for_limits(state: GuardState, step: int, metrics: Mapping[str, float]) -> tuple[GuardState, list[str]]:
    """The state after a step, and a sentence for each limit that is passed for the first time."""
    watches, sentences = dict(state.watches), []
    for name, sign in WARNING_SIGNS.items():
        value = metrics.get(sign.metric, math.nan)
        if not math.isfinite(value):
            continue
        watches[name] = watch = step_warning(watches[name], value)
        if is_over(watch, sign) and not watch.warned:
            watches[name] = replace(watch, warned=True)
            limit = warning_limit(watch, sign)
            sentences.append(
                f"{name}: the median of {sign.metric} over {len(watch.recent)} steps is {median(watch.recent):.4g}, "
                f"limit {limit:.4g}, early level {median(watch.early):.4g}."
            )
    return replace(state, watches=watches), sentences


def _earned(state: GuardState, metrics: Mapping[str, float], rule: GuardRule) -> float:
    """The fraction of an evaluation that a step earns."""
    step_tokens = metrics.get("completion/mean_tokens", math.nan)
    look_tokens = state.look_tokens or step_tokens
    if rule.look_samples == 0 or not (step_tokens > 0 and look_tokens > 0):
        return 0.0
    return rule.evaluation_share * rule.step_samples * step_tokens / (rule.look_samples * look_tokens)


def _why_evaluate(state: GuardState, step: int, rule: GuardRule) -> str | None:
    if state.suspect_since is not None:
        is_time = step >= state.suspect_since + rule.confirm_steps
        return f"The drop found after step {state.suspect_since} needs confirmation." if is_time else None
    if state.sign is not None and state.credit >= CREDIT_FOR_A_SIGN:
        return state.sign
    until_scheduled = STEPS_BEFORE if rule.every is None else -step % rule.every
    is_due = step - state.last_look >= STEPS_AFTER and until_scheduled >= STEPS_BEFORE
    if state.credit >= CREDIT_WITHOUT_A_SIGN and is_due:
        return f"No evaluation since step {state.last_look}."
    return None


def _candidate(state: GuardState, look: Look, rule: GuardRule) -> GuardState:
    """The state after considering an evaluation of all problems as the reference; of equals the first is kept."""
    if not look.whole:
        return state
    number = state.evaluations + 1
    accuracy = float(problem_means(look.correct).mean())
    if state.reference is not None and accuracy <= state.reference.accuracy:
        return replace(state, evaluations=number)
    luck = allowance(look.correct, number, rule.error_rate / 2)
    return replace(state, evaluations=number, reference=Reference(look.step, accuracy, luck))


def _decide(
    state: GuardState, look: Look, fell: bool, numbers: str, best_step: int, rule: GuardRule
) -> tuple[GuardState, Decision]:
    """The decision after an evaluation. fell: it lies below the reference by more than the allowance."""
    since = state.suspect_since
    if since is None and fell and shows_a_fall(state.evidence, rule.error_rate / 2):
        reason = f"The policy has become worse: {numbers}. It is evaluated again in {rule.confirm_steps} steps."
        return replace(state, suspect_since=look.step), Decision(look.step, "warn", reason)
    if since is None or look.step < since + rule.confirm_steps:
        action: Action = "clear" if look.called else "none"
        return state, Decision(look.step, action, f"Not shown to be worse: {numbers}." if look.called else "")
    state = replace(state, suspect_since=None, evidence=start_again(state.evidence))
    if not fell:
        return state, Decision(look.step, "clear", f"The drop found after step {since} has recovered: {numbers}.")
    reason = f"The policy has become worse, found after step {since} and confirmed: {numbers}."
    if len(state.rollbacks) >= rule.max_rollbacks:
        made = "1 rollback has" if len(state.rollbacks) == 1 else f"{len(state.rollbacks)} rollbacks have"
        reason = f"{reason} {made} been made, as many as the recipe allows."
        return replace(state, stopped=reason), Decision(look.step, "stop", reason)
    return _left(state, Rollback(look.step, best_step, reason), rule), Decision(look.step, "rollback", reason)


def _left(state: GuardState, rollback: Rollback, rule: GuardRule) -> GuardState:
    """The state after a rollback: the reference and the scales stay, the history of the abandoned policy is dropped."""
    return replace(
        state,
        detectors={name: relearned(one) for name, one in state.detectors.items()},
        watches={name: replace(one, recent=(), warned=False) for name, one in state.watches.items()},
        rollbacks=(*state.rollbacks, rollback),
        lr_factor=state.lr_factor * rule.lr_factor,
        pending=True,
    )
