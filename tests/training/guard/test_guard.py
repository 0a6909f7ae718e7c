"""The guard on logs made up for it: what makes it act, what does not, and when."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.training.guard.replay import replay
from frugalrl.training.guard.rules import guard_metrics, last_good, observe, rolled_back
from frugalrl.training.guard.signals import METRICS, SIGNALS, Reading, deviation, step_noise
from frugalrl.training.guard.state import GuardState, Rollback, Score, from_json, to_json
from tests.training.guard.guard_logs import CALM, actions, calm_steps, changed, evaluation, watch, with_evaluations

ONLY = {name: {"action": "none"} for name in SIGNALS}


def only(signal: str, **changes: object) -> GuardSettings:
    """Settings in which one signal may act."""
    sections = {**ONLY, signal: {}}
    return GuardSettings.model_validate_json(json.dumps({**sections, **changes}))


def test_a_calm_run_is_left_alone():
    assert actions(with_evaluations(calm_steps(100), {0: 0.4, 25: 0.6, 50: 0.62, 75: 0.6})) == []


@pytest.mark.parametrize("metric", sorted(set(METRICS.values())))
def test_a_single_step_changes_nothing_however_wild(metric):
    spiked = changed(calm_steps(60), metric, lambda step, before: 1e6 if step == 30 else before)
    assert actions(spiked) == []


def test_the_run_is_compared_with_its_own_first_steps():
    """A truncated share of 0.5 is no news in a run that began with 0.4, and is in one that began with 0.1."""
    for early, expected in ((0.4, []), (0.1, ["warn", "rollback"])):
        lines = changed(
            calm_steps(50), "completion/truncated_frac", lambda step, _, early=early: 0.5 if step > 25 else early
        )
        assert [one[1] for one in actions(lines)][:2] == expected


def test_two_wild_steps_of_five_change_nothing_either():
    """The median of five steps is not moved by two of them. KL did this in healthy runs: 0.94 once, 0.03 before."""
    spiked = changed(calm_steps(60), "policy/kl", lambda step, before: 0.94 if step in (30, 32) else before)
    assert actions(spiked) == []


def test_a_slow_drift_is_warned_of_first_and_rolled_back_then():
    """KL from 0.03 by 0.02 a step from step 31: the limit of 0.3 = 10 x 0.03 is passed at step 45.

    The median of five lags two steps behind, and five of the last eight must be over: 45 + 2 + 4 = 51. Five more
    steps make a rollback. It counts from step 45, the first that was over.
    """
    drift = changed(calm_steps(80), "policy/kl", lambda step, before: 0.03 + 0.02 * max(0, step - 31))
    found = watch(drift)[1]
    assert [(one.step, one.action, one.signals) for one in found[:2]] == [
        (51, "warn", ("kl",)),
        (56, "rollback", ("kl",)),
    ]
    assert found[1].before == 45
    assert found[0].reason == (
        "kl: policy/kl over its limit in 5 of the last 8 smoothed steps, since step 45: "
        "now 0.39, limit 0.3, early level 0.03."
    )


def test_a_jump_far_over_the_limit_is_rolled_back_without_a_warning():
    jump = changed(calm_steps(60), "policy/kl", lambda step, before: 2.0 if step >= 30 else before)
    # The median of five is over from step 32, and in five smoothed steps at step 36.
    assert actions(jump)[0] == (36, "rollback", ("kl",))


@pytest.mark.parametrize("period", [2, 4, 6, 10, 20])
def test_swinging_about_the_limit_makes_at_most_one_warning(period):
    """0.33 and 0.27 about the limit of 0.3, clearing only below 0.165: no flapping at any period."""
    swing = changed(
        calm_steps(200),
        "policy/kl",
        lambda step, _: 0.03 if step < 20 else 0.33 if step % period < period / 2 else 0.27,
    )
    found = actions(swing, only("kl", kl={"action": "warn"}))
    assert len(found) <= 1


def test_what_clears_and_comes_back_is_warned_of_again():
    twice = changed(calm_steps(120), "policy/kl", lambda step, before: 0.4 if 30 <= step < 45 or step >= 80 else before)
    found = actions(twice, only("kl", kl={"action": "warn"}))
    assert found == [(36, "warn", ("kl",)), (86, "warn", ("kl",))]


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("policy/skipped_updates", 1.0),
        ("policy/grad_norm", math.nan),
        ("policy/grad_norm", math.inf),
        ("loss/total", math.nan),
    ],
)
def test_what_is_not_finite_acts_at_once(metric, value):
    broken = changed(calm_steps(10), metric, lambda step, before: value if step == 3 else before)
    found = watch(broken)[1]
    assert [(one.step, one.action, one.before) for one in found] == [(3, "rollback", 3)]
    assert found[0].reason == f"nonfinite: {metric} is {value:g}."


@pytest.mark.parametrize(
    ("signal", "bad"),
    [
        ("kl", 2.0),
        ("entropy_low", 0.001),
        ("entropy_high", 5.0),
        ("grad_norm", 50.0),
        ("clipped", 0.7),
        ("truncated", 0.95),
        ("repetition", 0.6),
        ("language", 0.9),
        ("reward", 0.2),
    ],
)
def test_each_signal_alone(signal, bad):
    """At step 30 one metric jumps far over its limit and stays there: it is named, with what it was before."""
    jump = changed(calm_steps(60), METRICS[signal], lambda step, before: bad if step >= 30 else before)
    found = watch(jump, only(signal, **{signal: {"action": "rollback"}}))[1]
    assert (found[0].action, found[0].signals) == ("rollback", (signal,))
    assert 33 <= found[0].step <= 40
    assert METRICS[signal] in found[0].reason
    assert watch(jump, GuardSettings.model_validate({signal: {"action": "none"}}))[0].signals[signal].fired_at is None


def test_groups_that_are_all_alike_and_no_better_are_a_sign_of_collapse():
    """0.2 goes to 1: the limit is 0.45, and 1 is more than three times as far."""
    dead = changed(calm_steps(80), "group/zero_std_frac", lambda step, before: 1.0 if step >= 30 else before)
    dead = changed(dead, "reward/mean", lambda step, before: 0.99 if step >= 25 else before)
    assert actions(dead, only("zero_std"))[0] == (36, "rollback", ("zero_std",))


def test_groups_that_are_all_right_are_no_bad_sign():
    mastered = changed(calm_steps(80), "group/zero_std_frac", lambda step, before: 1.0 if step >= 30 else before)
    mastered = changed(mastered, "reward/mean", lambda step, before: 1.5 if step >= 25 else before)
    assert actions(mastered) == []


def test_validation_far_below_its_best_is_rolled_back():
    """Intervals of +-0.05 make a noise of 0.071; 2 x that is the limit: 0.141 below the best of 0.6."""
    fallen = with_evaluations(calm_steps(60), {0: 0.4, 10: 0.6, 20: 0.54, 30: 0.2})
    found = watch(fallen)[1]
    assert [(one.step, one.action, one.signals) for one in found] == [(30, "rollback", ("validation",))]
    assert found[0].before == 21, "the checkpoint of step 20 was as good as the best, within the noise"
    assert found[0].reason == "validation: validation/avg_at_k now 0.2, limit 0.4586, best 0.6."


def test_validation_below_its_best_is_warned_of_the_second_time_and_rolled_back_the_third():
    fallen = with_evaluations(calm_steps(60), {0: 0.4, 10: 0.6, 20: 0.45, 30: 0.45, 40: 0.45})
    found = watch(fallen)[1]
    assert [(one.step, one.action, one.signals) for one in found] == [
        (30, "warn", ("validation",)),
        (40, "rollback", ("validation",)),
    ]
    assert found[1].before == 11, "since the evaluation after step 10, which was good"


def test_who_has_just_recovered_is_not_rolled_back():
    """Below the limit at 20 and 30, back at 40: two of the last three were over, and the newest is good."""
    back = {0: 0.4, 10: 0.6, 20: 0.45, 30: 0.45, 40: 0.58}
    assert actions(with_evaluations(calm_steps(45), back)) == [(30, "warn", ("validation",))]


def test_a_dip_of_one_evaluation_changes_nothing():
    """A mini run of experiment 2 went 0.78, 0.68, 0.59, 0.78 and on to 0.81. A later dip begins anew."""
    dips = {0: 0.44, 10: 0.775, 20: 0.69, 30: 0.592, 40: 0.779, 50: 0.77, 60: 0.78, 70: 0.6, 80: 0.79}
    state, decisions = watch(with_evaluations(calm_steps(90), dips))
    assert decisions == []
    twice = with_evaluations(calm_steps(110), {**dips, 90: 0.79, 100: 0.3})
    assert watch(twice)[1][0].before == 91
    assert state.signals["validation"].severities == pytest.approx((-0.007, 1.273, -0.071), abs=0.001)


def test_a_reward_that_rises_while_validation_falls_is_gaming():
    """Two falls of 0.16, more than 3 x 0.05, the score's own interval; they are over validation's own limit too."""
    gamed = changed(calm_steps(40), "reward/mean", lambda step, before: before + (0.5 if step > 12 else 0.0))
    found = watch(with_evaluations(gamed, {0: 0.4, 10: 0.6, 20: 0.44, 30: 0.44}))[1]
    assert [(one.step, one.action, one.signals) for one in found] == [(30, "warn", ("validation", "gaming"))]
    assert "while the training reward rose" in found[0].reason
    honest = watch(with_evaluations(calm_steps(40), {0: 0.4, 10: 0.6, 20: 0.44, 30: 0.44}))[1]
    assert [one.signals for one in honest] == [("validation",)]


def test_a_good_evaluation_after_the_crossing_holds_a_rollback_back():
    """KL is over its limit from step 30, and at step 40 the policy is the best so far: it may warn, no more."""
    high = changed(calm_steps(80), "policy/kl", lambda step, before: 0.4 if step >= 30 else before)
    trusted = with_evaluations(high, {0: 0.4, 20: 0.6, 40: 0.65, 50: 0.66, 60: 0.66, 70: 0.66})
    assert actions(trusted) == [(36, "warn", ("kl",)), (41, "rollback", ("kl",))][:1]
    assert (41, "rollback", ("kl",)) in actions(trusted, GuardSettings(trust_validation=False))


def test_another_language_is_warned_of_and_not_rolled_back():
    drift = changed(calm_steps(80), "meter/foreign_completion_frac", lambda step, _: 0.9 if step >= 30 else 0.05)
    assert actions(drift) == [(36, "warn", ("language",))]


def test_all_signals_that_fire_are_listed():
    both = changed(calm_steps(60), "policy/kl", lambda step, before: 2.0 if step >= 30 else before)
    both = changed(both, "meter/repeated_frac", lambda step, before: 0.9 if step >= 30 else before)
    first = watch(both)[1][0]
    assert first.signals == ("kl", "repetition")
    assert first.reason.count("over its limit") == 2


def test_without_a_reference_there_is_no_kl_and_not_a_kl_of_nought():
    bare = [(step, {key: value for key, value in m.items() if key != "policy/kl"}) for step, m in calm_steps(60)]
    state, decisions = watch(bare)
    assert decisions == []
    assert state.signals["kl"].early == ()
    assert state.signals["kl"].reading is None


def test_rollbacks_are_counted_and_the_third_is_a_stop():
    lost = with_evaluations(calm_steps(100), {0: 0.5, 10: 0.1, 20: 0.1, 30: 0.1, 40: 0.1})
    state, decisions = watch(lost)
    assert [(one.step, one.action) for one in decisions] == [(10, "rollback"), (20, "rollback"), (30, "stop")]
    assert state.lr_factor == 0.25
    assert state.stopped is not None
    assert state.stopped.endswith("2 rollbacks have been made, as many as the recipe allows.")
    assert guard_metrics(state)["guard/rollbacks"] == 2


def test_no_rollbacks_allowed_means_the_first_is_a_stop():
    lost = with_evaluations(calm_steps(30), {0: 0.5, 10: 0.1})
    assert actions(lost, GuardSettings(max_rollbacks=0)) == [(10, "stop", ("validation",))]


def test_after_a_rollback_nothing_is_done_for_a_while():
    lost = with_evaluations(calm_steps(40), {0: 0.5, 10: 0.1, 12: 0.1, 19: 0.1, 20: 0.1})
    assert [(one[0], one[1]) for one in actions(lost)] == [(10, "rollback"), (20, "rollback")]


@pytest.mark.parametrize("pause", [3, 17, 30, 31, 36, 41, 45, 60])
def test_a_state_that_went_through_json_goes_on_as_if_it_had_not(pause):
    drift = changed(calm_steps(70), "policy/kl", lambda step, before: 0.03 + 0.03 * max(0, step - 20))
    lines = with_evaluations(drift, {0: 0.4, 20: 0.6, 40: 0.3, 50: 0.2, 60: 0.1})
    straight = watch(lines)
    state, decisions = GuardState(), []
    for number, (step, metrics) in enumerate(lines):
        if number == pause:
            state = from_json(json.loads(json.dumps(to_json(state), allow_nan=False)))
        state, decision = observe(state, step, metrics, GuardSettings())
        decisions += [decision] if decision.action != "none" else []
    assert (state, decisions) == straight
    assert any(one.action == "rollback" for one in decisions)


METRIC_NAMES = sorted({*METRICS.values(), "policy/skipped_updates", "loss/total"})
LINES = st.lists(
    st.dictionaries(
        st.sampled_from(METRIC_NAMES),
        st.floats(0, 1) | st.sampled_from([0.0, 1.0, 5.0, 1e9, math.nan, math.inf]),
        min_size=5,
    ),
    min_size=20,
    max_size=60,
)


@settings(max_examples=25, deadline=None)
@given(lines=LINES, seed=st.integers(0, 99))
def test_the_order_of_the_metrics_does_not_matter(lines, seed):
    shuffled = []
    for metrics in lines:
        pairs = list(metrics.items())
        random.Random(seed).shuffle(pairs)
        shuffled.append(dict(pairs))
    assert watch(list(enumerate(lines, start=1))) == watch(list(enumerate(shuffled, start=1)))


@settings(max_examples=25, deadline=None)
@given(lines=LINES, pause=st.integers(0, 59))
def test_any_log_resumes_through_json_at_any_line(lines, pause):
    numbered = list(enumerate(lines, start=1))
    state = watch(numbered[:pause])[0]
    again = from_json(json.loads(json.dumps(to_json(state), allow_nan=False)))
    assert again == state
    for step, metrics in numbered[pause:]:
        state, first = observe(state, step, metrics, GuardSettings())
        again, second = observe(again, step, metrics, GuardSettings())
        assert first == second
    assert again == state


def test_the_newest_checkpoint_before_the_crossing_is_gone_back_to():
    state = GuardState(rollbacks=(Rollback(46, 41, ""),))
    assert last_good(state, 41, [10, 20, 30, 40, 50]) == 40
    assert last_good(state, 40, [10, 20, 30, 40]) == 30
    assert last_good(state, 5, [10, 20]) == 0, "the base model"


def test_a_checkpoint_whose_validation_had_fallen_is_passed_over():
    """Best 0.6 at step 20; the noise of +-0.05 twice is 0.071: step 30's 0.3 is below 0.529, step 20's is the best."""
    scores = (Score(0, 0.4, 0.05, None), Score(20, 0.6, 0.05, 1.0), Score(30, 0.3, 0.05, 1.0))
    state = GuardState(scores=scores, rollbacks=(Rollback(46, 41, ""),))
    assert last_good(state, 41, [10, 20, 30, 40]) == 20, "40's newest evaluation is that of 30"
    assert last_good(state, 19, [10]) == 0, "0.4 of the base is what step 10 can show, far below 0.6"


def test_a_stretch_that_was_abandoned_is_not_gone_back_to():
    state = GuardState(rollbacks=(Rollback(40, 25, ""), Rollback(70, 62, "")))
    assert last_good(state, 62, [20, 30, 40]) == 20
    assert last_good(state, 62, [20, 30, 40, 50, 60]) == 60


def test_a_rollback_is_pending_until_it_has_been_made():
    state = watch(with_evaluations(calm_steps(30), {0: 0.5, 10: 0.1}))[0]
    assert state.pending
    assert not rolled_back(state).pending


def test_severity_is_one_at_the_limit_in_either_direction():
    assert Reading(value=0.5, level=0.05, limit=0.5).severity == 1
    assert Reading(value=0.4, level=0.6, limit=0.5).severity == pytest.approx(2)
    # A tenth is the limit; a nineteenth is twice as far: 19 - 1 = 2 x (10 - 1).
    assert Reading(0.01, 0.1, 0.01, falls_by_ratio=True).severity == pytest.approx(1)
    assert Reading(0.1 / 19, 0.1, 0.01, falls_by_ratio=True).severity == pytest.approx(2)
    assert math.isfinite(Reading(0.0, 0.1, 0.01, falls_by_ratio=True).severity)


def test_deviations_by_hand():
    """1 2 3 4 100: median 3, distances 2 1 0 1 97, their median 1. Neighbours differ by 1 1 1 96: median 1."""
    assert deviation([1, 2, 3, 4, 100]) == pytest.approx(1.4826)
    assert step_noise([1, 2, 3, 4, 100]) == pytest.approx(1.4826 / math.sqrt(2))


def test_a_noisy_start_raises_the_limit():
    """Truncation of 0 and 0.4 in turn: median 0.2, deviation 0.2965, and 3 x that is beyond halfway to 1: 0.6."""
    noisy = changed(calm_steps(20), "completion/truncated_frac", lambda step, _: 0.4 * (step % 2))
    reading = watch(noisy)[0].signals["truncated"].reading
    assert reading is not None
    assert reading.limit == pytest.approx(0.2 + 0.4)


def test_an_evaluation_without_an_interval_decides_nothing():
    lines = [evaluation(0, 0.9), (1, CALM), (1, {"validation/avg_at_k": 0.0, "validation/ci_low": math.nan})]
    assert actions(lines) == []


def test_the_replay_finds_what_the_guard_decided_and_the_worst_of_each_signal():
    fallen = with_evaluations(calm_steps(60), {0: 0.4, 10: 0.6, 20: 0.5, 30: 0.2})
    found = replay(fallen, GuardSettings())
    assert list(found.decisions) == watch(fallen)[1]
    worst = {one.signal: one for one in found.worst}
    assert worst["validation"].step == 30
    assert worst["validation"].reading is not None
    assert worst["validation"].reading.value == 0.2
    assert worst["nonfinite"].reading is None
