"""The cap on completion tokens: published stages, and the rule that follows what is measured."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from frugalrl.config.stability_schema import LengthScheduleSettings
from frugalrl.training.length_schedule import (
    LengthState,
    Means,
    bounds,
    first_state,
    length_from_json,
    length_to_json,
    observe_length,
    staged_cap,
    stages_of,
)

ADAPTIVE = LengthScheduleSettings(every=2, factor=1.5)


def measured(truncated: float, reward: float, tokens: float) -> dict[str, float]:
    return {"completion/truncated_frac": truncated, "reward/mean": reward, "completion/mean_tokens": tokens}


def caps(steps: list[dict[str, float]], schedule: LengthScheduleSettings = ADAPTIVE, first: int = 100) -> list[int]:
    """The cap of each step, and of the one after the last."""
    state = first_state(schedule, first, len(steps))
    found = [state.cap_tokens]
    for step, metrics in enumerate(steps, start=1):
        state = observe_length(state, step, metrics, schedule, first, len(steps))
        found.append(state.cap_tokens)
    return found


def test_deepscaler_as_published():
    """8k for 1,040 steps, 16k for 480, 24k for 230: 1,750 in all."""
    stages = stages_of(LengthScheduleSettings(kind="deepscaler"))
    by_step = [staged_cap(stages, step, 1750) for step in range(1750)]
    assert [by_step.count(cap) for cap in (8192, 16384, 24576)] == [1040, 480, 230]
    assert by_step == sorted(by_step)


def test_fastcurl_goes_back_to_16k_at_the_end():
    stages = stages_of(LengthScheduleSettings(kind="fastcurl"))
    by_step = [staged_cap(stages, step, 1560) for step in range(1560)]
    changes = [(step, cap) for step, cap in enumerate(by_step) if step == 0 or cap != by_step[step - 1]]
    assert changes == [(0, 8192), (160, 16384), (750, 24576), (980, 16384)]


def test_stages_stretch_to_the_run_and_published_caps_to_the_model():
    """100 steps of FastCuRL at a hundredth of the caps: 160/1560 is a tenth, and so on."""
    schedule = LengthScheduleSettings(kind="fastcurl", scale=0.01)
    found = caps([measured(0, 1, 10)] * 100, schedule)
    changes = [(step, cap) for step, cap in enumerate(found) if step == 0 or cap != found[step - 1]]
    assert changes == [(0, 82), (10, 164), (48, 246), (63, 164)]
    assert bounds(schedule, 100) == (82, 246)


def test_stages_of_ones_own():
    schedule = LengthScheduleSettings.model_validate_json(
        '{"kind": "stages", "stages": [{"cap_tokens": 40, "steps": 1}, {"cap_tokens": 20, "steps": 3}]}'
    )
    assert caps([measured(1, 0, 10)] * 8, schedule) == [40, 40, 20, 20, 20, 20, 20, 20, 20]


def test_the_cap_grows_while_answers_are_cut_and_the_reward_follows():
    """Every two steps x 1.5, up to twice the first cap."""
    steps = [measured(0.3, 0.1 * step, 50) for step in range(8)]
    assert caps(steps) == [100, 100, 150, 150, 200, 200, 200, 200, 200]


def test_growth_that_bought_no_reward_is_not_repeated_at_once():
    """Grown after step 2; at step 4 the reward is the same: held. At step 6 the last decision was to hold: grown."""
    assert caps([measured(0.3, 0.5, 50)] * 6) == [100, 100, 150, 150, 150, 150, 200]


def test_the_cap_shrinks_when_answers_grow_longer_and_not_better():
    """1.0 a completion of 40 tokens, then of 60: reward per token falls by a third. Half the first cap is the least."""
    steps = [measured(0, 1.0, 40)] * 2 + [measured(0, 1.0, 60)] * 2 + [measured(0, 1.0, 80)] * 2
    assert caps(steps) == [100, 100, 100, 100, 67, 67, 50]


def test_longer_and_better_answers_keep_their_room():
    steps = [measured(0, 1.0, 40)] * 2 + [measured(0, 1.5, 60)] * 2
    assert caps(steps) == [100] * 5


def test_nothing_shrinks_while_the_reward_is_negative():
    assert caps([measured(0, -1.0, 40)] * 2 + [measured(0, -1.0, 80)] * 2) == [100] * 5


def test_between_the_two_shares_the_cap_holds():
    assert caps([measured(0.1, 1.0, 40)] * 2 + [measured(0.1, 1.0, 90)] * 4) == [100] * 7


STEP = st.builds(measured, st.floats(0, 1), st.floats(-1, 3), st.floats(1, 500))


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=40), pause=st.integers(0, 39))
def test_the_cap_stays_in_bounds_and_a_state_survives_json(steps, pause):
    state = first_state(ADAPTIVE, 100, len(steps))
    for step, metrics in enumerate(steps, start=1):
        if step == pause:
            again = length_from_json(json.loads(json.dumps(length_to_json(state))))
            assert again == state
        state = observe_length(state, step, metrics, ADAPTIVE, 100, len(steps))
        assert 50 <= state.cap_tokens <= 200


def test_a_state_in_mid_interval_survives_json():
    state = LengthState(90, 1, 0.2, 1.0, 40.0, Means(0.1, 0.9, 41.0), True)
    assert length_from_json(json.loads(json.dumps(length_to_json(state)))) == state


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "stages"},
        {"kind": "adaptive", "stages": [{"cap_tokens": 1, "steps": 1}]},
        {"grow_above": 0.1, "shrink_below": 0.1},
        {"least_tokens": 10, "most_tokens": 9},
        {"factor": 1.0},
    ],
)
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(ValidationError):
        LengthScheduleSettings.model_validate_json(json.dumps(wrong))
