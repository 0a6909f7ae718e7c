"""The order of problems is a function of seed and state; the state is saved and restored exactly."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.data.sampler import SamplerRule, SamplerState, band_ranks, next_problems, observe, take


@given(st.integers(1, 40), st.integers(0, 200), st.integers(1, 50), st.integers(0, 5))
def test_going_on_from_a_position_is_going_straight_through(problems, position, count, seed):
    straight = take(problems, 0, position + count, seed)
    assert take(problems, position, count, seed) == straight[position:]


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 9))
def test_every_epoch_holds_every_problem_once(problems, epoch, seed):
    assert sorted(take(problems, epoch * problems, problems, seed)) == list(range(problems))


def test_seeds_and_epochs_differ():
    assert take(100, 0, 100, seed=1) != take(100, 0, 100, seed=2)
    assert take(100, 0, 100, seed=1) != take(100, 100, 100, seed=1)


def as_it_was(problem_count: int, position: int, count: int, seed: int) -> list[int]:
    """The sampler before it had options, word for word."""
    taken: list[int] = []
    while len(taken) < count:
        epoch, start = divmod(position + len(taken), problem_count)
        order = list(range(problem_count))
        random.Random(f"problems/{seed}/{epoch}").shuffle(order)
        taken += order[start : start + count - len(taken)]
    return taken


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 12), st.integers(0, 5))
def test_without_options_nothing_has_changed(problems, count, steps, seed):
    state, rule = SamplerState(), SamplerRule(seed)
    for step in range(steps):
        taken, state = next_problems(state, rule, problems, count)
        state = observe(state, rule, [(problem, 1.0) for problem in taken])
        assert taken == as_it_was(problems, step * count, count, seed)
    assert state == SamplerState(position=steps * count, step=steps)


@given(st.integers(2, 12), st.integers(1, 6), st.integers(1, 15), st.integers(0, 3), st.data())
def test_a_restored_state_goes_on_exactly(problems, count, steps, seed, data):
    rule = SamplerRule(seed, skip_solved=1.0, skip_unsolved=0.0, re_entry_steps=3)
    state = SamplerState()
    for _ in range(steps):
        restored = SamplerState.from_json(json.loads(json.dumps(state.to_json())))
        assert restored == state
        taken, after = next_problems(restored, rule, problems, count)
        assert (taken, after) == next_problems(state, rule, problems, count)
        assert len(taken) == count
        shares = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=count, max_size=count))
        state = observe(after, rule, zip(taken, shares, strict=True))


def test_a_curriculum_goes_through_its_bands_in_order_in_every_epoch():
    ranks = band_ranks(["hard", "easy", "hard", "easy", "medium"], ["easy", "medium", "hard"])
    assert ranks == (2, 0, 2, 0, 1)
    taken, _ = next_problems(SamplerState(), SamplerRule(0, ranks), 5, 10)
    assert [ranks[problem] for problem in taken] == [0, 0, 1, 2, 2] * 2
    assert sorted(taken[:5]) == sorted(taken[5:]) == [0, 1, 2, 3, 4]


def test_a_problem_without_a_known_band_is_refused():
    with pytest.raises(ValueError, match="band 'odd'"):
        band_ranks(["easy", "odd"], ["easy", "hard"])
    with pytest.raises(ValueError, match="band None"):
        band_ranks(["easy", None], ["easy", "hard"])


def test_a_solved_problem_rests_and_re_enters():
    """Four problems, two a step; problem 2 is solved in step 1 and rests for 3 steps."""
    rule = SamplerRule(0, skip_solved=1.0, re_entry_steps=3)
    state = observe(SamplerState(), rule, [(2, 1.0), (0, 0.75)])
    assert state.resting == ((2, 4),)
    met = []
    for _ in range(6):
        taken, state = next_problems(state, rule, 4, 2)
        met.append(2 in taken)
        state = observe(state, rule, [(problem, 0.5) for problem in taken])
    assert met[:3] == [False, False, False]
    assert any(met[3:])


def test_unsolved_ones_rest_too_and_what_lies_between_does_not():
    rule = SamplerRule(0, skip_solved=0.9, skip_unsolved=0.1, re_entry_steps=2)
    state = observe(SamplerState(), rule, [(0, 0.0), (1, 0.1), (2, 0.11), (3, 0.89), (4, 0.9)])
    assert [problem for problem, _ in state.resting] == [0, 1, 4]


def test_a_step_never_starves():
    """All five rest; two are needed, and the two that would re-enter first are woken."""
    rule = SamplerRule(0, skip_solved=1.0, re_entry_steps=10)
    state = SamplerState(step=1, resting=((0, 9), (1, 5), (2, 7), (3, 9), (4, 8)))
    taken, after = next_problems(state, rule, 5, 2)
    assert sorted(taken) == [1, 2]
    assert [problem for problem, _ in after.resting] == [0, 3, 4]
