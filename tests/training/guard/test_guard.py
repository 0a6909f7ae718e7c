"""The guard on logs and evaluations made up for it: what makes it evaluate, what makes it act, and what does not."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.training.guard.replay import Stored, replay, sign_rows
from frugalrl.training.guard.rules import Look, called_samples, guard_metrics, judge, observe, rolled_back
from frugalrl.training.guard.signs import (
    CHANGE_SIGNS,
    WARNING_SIGNS,
    Detector,
    Watch,
    answered,
    fires,
    long_run_scale,
    step_change,
    step_warning,
    warning_limit,
)
from frugalrl.training.guard.state import GuardState, from_json, to_json
from tests.training.guard.guard_logs import CALM, begun, calm_steps, changed, look, rule, solved, watch

# ------------------------------------------------------------------------------------------------------------ signs


def test_a_calm_run_is_evaluated_only_for_want_of_a_look_and_within_the_share():
    """1 + 0.05 a step: 2 at step 20. What is asked for is not given here, so it is asked once."""
    state, decisions = watch(calm_steps(100), begun(), rule())
    assert [(one.step, one.action) for one in decisions] == [(20, "evaluate")]
    assert decisions[0].reason == "No evaluation since step 0."
    assert state.credit == 3.0, "no more is saved up"


@pytest.mark.parametrize("name", CHANGE_SIGNS)
def test_a_single_step_is_no_sign_however_wild_and_a_lasting_change_is(name):
    sign = CHANGE_SIGNS[name]
    worse = CALM[sign.metric] + sign.direction * 0.3
    once = changed(calm_steps(60), sign.metric, lambda step, before: worse if step == 30 else before)
    lasting = changed(calm_steps(60), sign.metric, lambda step, before: worse if step >= 30 else before)
    better = changed(calm_steps(60), sign.metric, lambda step, before: 2 * before - worse if step >= 30 else before)
    rows = {which: {row.sign: row for row in sign_rows(lines)} for which, lines in
            {"once": once, "lasting": lasting, "better": better}.items()}  # fmt: skip
    assert rows["once"][name].fired == ()
    assert rows["lasting"][name].fired[0] in (31, 32)
    assert rows["better"][name].fired == ()


def test_a_sign_calls_for_an_evaluation_and_does_nothing_else():
    fallen = changed(calm_steps(60), "reward/mean", lambda step, before: before - 0.5 * (step >= 12))
    state, decisions = watch(fallen, begun(), rule())
    assert (decisions[0].step, decisions[0].action) == (13, "evaluate")
    assert decisions[0].reason == "reward: reward/mean falling since step 11, now 0.48."  # 11 is a low one of the wave
    assert state.rollbacks == ()


def test_without_problems_to_evaluate_on_a_sign_only_warns():
    fallen = changed(calm_steps(30), "reward/mean", lambda step, before: before - 0.5 * (step >= 12))
    _, decisions = watch(fallen, GuardState(), rule(look_samples=0))
    assert {one.action for one in decisions} == {"warn"}
    assert decisions[0].reason.endswith("There are no problems to evaluate it on.")


@pytest.mark.parametrize(
    ("metric", "value"),
    [("policy/skipped_updates", 1.0), ("policy/grad_norm", math.nan), ("loss/total", math.inf)],
)
def test_what_is_not_finite_is_a_sign_at_once(metric, value):
    broken = changed(calm_steps(4), metric, lambda step, before: value if step == 3 else before)
    decision = watch(broken, begun(), rule())[1][0]
    assert (decision.step, decision.action) == (3, "evaluate")
    assert decision.reason == f"nonfinite: {metric} is {value:g}."


def test_a_scale_counts_what_one_step_tells_of_the_next():
    """The long-run deviation of AR(1) noise with r is that of a step times root((1 + r) / (1 - r)): 3 at 0.8."""
    found = {}
    for r in (0.0, 0.8):
        ratios = []
        for seed in range(20):
            rng, noise, detector = np.random.default_rng(seed), 0.0, Detector()
            for step in range(1, 400):
                noise = r * noise + rng.normal() * 0.1 * math.sqrt(1 - r**2)
                detector = step_change(detector, 0.5 + noise, step, CHANGE_SIGNS["reward"])
            ratios.append(long_run_scale(detector) / math.sqrt(detector.variance))
        found[r] = float(np.median(ratios))
    assert 1.0 <= found[0.0] < 1.3
    assert 1.8 < found[0.8] < 3.3


def test_a_collapse_does_not_hide_in_the_scale_it_makes():
    """A fall over 60 steps, the reviewer's: every one of twenty is seen before the reward is half gone."""
    late = []
    for seed in range(20):
        rng, detector = np.random.default_rng(seed), Detector()
        for step in range(1, 161):
            value = 0.45 * min(1.0, max(0.0, (160 - step) / 60)) + 0.06 * rng.normal()
            detector = step_change(detector, value, step, CHANGE_SIGNS["reward"])
            if step > 100 and fires(detector):
                break
            detector = answered(detector) if fires(detector) else detector
        late.append(step - 100)
    assert max(late) <= 30


@pytest.mark.parametrize(
    ("name", "early", "limit"),
    [("kl", 0.01, 0.3), ("kl", 0.05, 0.5), ("kl", 0.377, 1.0), ("entropy_low", 0.3, 0.03), ("entropy_low", 2.0, 0.05)],
)
def test_a_bad_start_does_not_raise_a_limit_beyond_its_bound(name, early, limit):
    """An early KL of 0.377 made a limit of 3.77 once."""
    seen = Watch()
    for _ in range(10):
        seen = step_warning(seen, early)
    assert warning_limit(seen, WARNING_SIGNS[name]) == pytest.approx(limit)


@pytest.mark.parametrize("name", WARNING_SIGNS)
def test_what_cannot_be_calibrated_warns_once_and_no_more(name):
    sign = WARNING_SIGNS[name]
    bad = 1000.0 if sign.factor > 1 else 1e-5
    bad = 1.0 if sign.metric.startswith("meter") else bad
    lines = changed(calm_steps(60), sign.metric, lambda step, before: bad if step >= 30 else before)
    _, decisions = watch(lines, begun(), rule(look_samples=10_000))
    assert [(one.step, one.action) for one in decisions] == [(32, "warn")]
    assert decisions[0].reason.startswith(f"{name}: the median of {sign.metric} over 5 steps is")


def test_without_a_reference_model_there_is_no_kl_and_not_a_kl_of_nought():
    bare = [(step, {key: value for key, value in m.items() if key != "policy/kl"}) for step, m in calm_steps(60)]
    state, _ = watch(bare, begun(), rule())
    assert state.watches["kl"] == Watch()


# ------------------------------------------------------------------------------------------------------- evaluations


def test_a_fall_is_found_confirmed_and_rolled_back_to_the_best():
    chosen = rule()
    state, found = judge(begun(0.6), look(10, 0.1, 0.6), chosen)
    assert found.action == "warn"
    assert found.reason.startswith(
        "The policy has become worse: accuracy 0.100 on 100 problems, where step 0 had 0.600"
    )
    state, asked = watch(calm_steps(15)[10:], state, chosen)
    assert [(one.step, one.action) for one in asked] == [(15, "evaluate")]
    state, done = judge(state, look(15, 0.1, 0.6, called=True), chosen)
    assert (done.action, state.pending, state.lr_factor) == ("rollback", True, 0.5)
    assert (state.rollbacks[0].step, state.rollbacks[0].to) == (15, 0)
    assert not rolled_back(state).pending


def test_a_dip_that_is_made_good_is_left_alone():
    state, _ = judge(begun(0.6), look(10, 0.1, 0.6), rule())
    state, early = judge(state, look(12, 0.1, 0.6), rule())
    assert early.action == "none", "too soon to confirm"
    state, good = judge(state, look(15, 0.6, 0.6), rule())
    assert good.action == "clear"
    assert state.suspect_since is None
    assert state.evidence.log_wealth == ()


def test_a_fall_within_the_allowance_is_left_alone_however_often_it_is_seen():
    """4 points below the best, 100 times."""
    state = begun(0.6)
    for number in range(1, 101):
        state, decision = judge(state, look(5 * number, 0.56, 0.6), rule())
        assert decision.action == "none"


def test_a_confirmation_is_made_without_credit_which_is_paid_back():
    state, _ = judge(begun(0.6), look(10, 0.1, 0.6), rule())
    state = from_json(to_json(state) | {"credit": 0.0})
    state, asked = watch(calm_steps(15)[10:], state, rule())
    assert [one.action for one in asked] == ["evaluate"]
    state, _ = judge(state, look(15, 0.6, 0.6, called=True), rule())
    assert state.credit == pytest.approx(5 * 0.05 - 1)


def test_a_better_evaluation_becomes_the_reference_and_a_called_one_does_not():
    state, _ = judge(begun(0.4), look(10, 0.5, 0.4, called=True), rule())
    assert state.reference.step == 0
    state, _ = judge(state, look(20, 0.5, 0.4), rule())
    state, _ = judge(state, look(30, 0.5, 0.5), rule())
    assert (state.reference.step, state.reference.accuracy, state.evaluations) == (20, 0.5, 3)


def test_the_third_fall_is_a_stop():
    state, chosen, actions = begun(0.6), rule(), []
    for step in range(10, 70, 10):
        state, decision = judge(rolled_back(state), look(step, 0.05, 0.6), chosen)
        actions.append(decision.action)
    assert actions == ["warn", "rollback", "warn", "rollback", "warn", "stop"]
    assert state.stopped.endswith("2 rollbacks have been made, as many as the recipe allows.")
    assert state.lr_factor == 0.25
    assert guard_metrics(state)["guard/rollbacks"] == 2
    assert judge(state, look(80, 0.9, 0.6), chosen) == (state, judge(state, look(80, 0.9, 0.6), chosen)[1])
    assert observe(state, 80, CALM, chosen)[1].action == "none"


def test_an_evaluation_without_a_verdict_decides_nothing():
    state, decision = judge(begun(), Look(10, [], [], 30.0, called=True, whole=False), rule())
    assert decision.action == "warn"
    assert state.evidence.looks == 0


def test_no_evaluation_is_called_beside_a_scheduled_one():
    """Saved up at step 20; 23 would be two before a scheduled one at 25: it waits until that has been made."""
    state, decisions = watch(calm_steps(24), begun(), rule(every=25, evaluation_share=0.045))
    assert decisions == []
    assert state.credit > 2


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_a_called_evaluation_is_no_larger_than_a_step_or_what_there_is(step_samples, problems):
    assert called_samples(step_samples, problems) <= min(problems, max(step_samples, 48))


# --------------------------------------------------------------------------------------------------------- the state


def random_run(seed: int, pause: int | None):
    """A run of 60 steps with random metrics and evaluations; through JSON at a pause."""
    rng, state, chosen, decisions = np.random.default_rng(seed), GuardState(), rule(), []
    best: dict[int, list[list[bool]]] = {}

    def given_look(step: int, called: bool) -> Look:
        correct = (rng.random((100, 1)) < rng.choice([0.1, 0.5, 0.8])).tolist()
        known = [] if state.reference is None else best[state.reference.step]
        if not called:
            best[step] = correct
        return Look(step, correct, known, float(rng.uniform(10, 90)), called, not called)

    state, _ = judge(state, given_look(0, False), chosen)
    for step in range(1, 61):
        metrics = {name: float(rng.normal() * rng.choice([0.01, 1, 1e6, math.nan])) for name in CALM}
        state, decision = observe(rolled_back(state), step, metrics, chosen)
        decisions.append(decision)
        for called in [False] * (step % 10 == 0) + [True] * state.asked:
            state, decision = judge(state, given_look(step, called), chosen)
            decisions.append(decision)
        if step == pause:
            state = from_json(json.loads(json.dumps(to_json(state), allow_nan=False)))
    return state, decisions


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60))
def test_a_state_that_went_through_json_is_equal_and_goes_on_as_if_it_had_not(seed, pause):
    straight, resumed = random_run(seed, None), random_run(seed, pause)
    assert straight == resumed
    assert from_json(json.loads(json.dumps(to_json(straight[0]), allow_nan=False))) == straight[0]


# ------------------------------------------------------------------------------------------------------------ replay


def stored(step: int, share: float, called: bool = False) -> Stored:
    verdicts = {f"p{index}": samples for index, samples in enumerate(solved(share))}
    return Stored(step, verdicts, 30.0, called, whole=not called)


def test_a_replay_judges_what_was_stored_and_says_what_was_not_there():
    evaluations = [stored(0, 0.5), stored(10, 0.7), stored(40, 0.1), stored(45, 0.1, called=True)]
    found = replay(calm_steps(60), evaluations, rule(every=10))
    acts = [(one.step, one.action) for one in found.decisions]
    assert (40, "warn") in acts
    assert (45, "rollback") in acts
    assert found.state.rollbacks[0].to == 10
    alone = replay(calm_steps(60), [stored(0, 0.5)], rule())
    assert alone.unanswered == (20, 40, 60)
