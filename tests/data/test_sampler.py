"""The order of problems is a function of seed and state; the state is saved and restored exactly."""

import json
import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.data.sampler import (
    SamplerRule,
    SamplerState,
    band_ranks,
    next_problems,
    observe,
    shuffled_epochs,
    take,
)
from frugalrl.types import Problem


def rule_of(count: int, seed: int = 0, bands=(), columns=None, **settings) -> SamplerRule:
    """Our sampler over problems that are only numbers, or have a band each."""
    columns = columns or [None] * count
    problems = tuple(Problem(str(at), "", "", {"band": band} if band else {}) for at, band in enumerate(columns))
    return SamplerRule(seed, problems, partial(shuffled_epochs, bands=bands, **settings))


def through_json(state: SamplerState) -> SamplerState:
    return SamplerState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False)))


def skipped(state: SamplerState) -> list[int]:
    return [problem for problem, _ in state.memory["skipped"]]


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
    state, rule = SamplerState(), rule_of(problems, seed)
    for step in range(steps):
        taken, state = next_problems(state, rule, count)
        state = observe(state, [(problem, 1.0) for problem in taken])
        assert taken == as_it_was(problems, step * count, count, seed)
    assert state.memory == {"position": steps * count, "skipped": []}
    assert state.step == steps


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 15), st.integers(0, 3), st.booleans(), st.data())
def test_a_restored_state_goes_on_exactly(problems, count, steps, seed, banded, data):
    """At any point: after a draw, and after a step; with a second draw in a step, as dynamic sampling makes."""
    bands = {"bands": ("easy", "hard"), "columns": ["easy", "hard"] * problems} if banded else {}
    bands = {**bands, "columns": bands["columns"][:problems]} if banded else {}
    rule = rule_of(problems, seed, **bands, skip_solved=1.0, skip_unsolved=0.0, re_entry_steps=3)
    state = SamplerState()
    shares = st.sampled_from([0.0, 0.5, 1.0, float("nan")])
    for _ in range(steps):
        assert through_json(state) == state
        taken, after = next_problems(state, rule, count)
        assert (taken, after) == next_problems(through_json(state), rule, count)
        again, after_two = next_problems(after, rule, 1)
        assert (again, after_two) == next_problems(through_json(after), rule, 1)
        assert len(taken) == count
        given_shares = data.draw(st.lists(shares, min_size=count + 1, max_size=count + 1))
        state = observe(after_two, zip(taken + again, given_shares, strict=True))


@given(st.integers(1, 25), st.integers(0, 5), st.lists(st.integers(1, 7), min_size=1, max_size=30), st.booleans())
def test_every_epoch_holds_each_problem_once_however_it_is_drawn(problems, seed, counts, banded):
    bands = [("easy", "hard")[at % 2] for at in range(problems)]
    rule = rule_of(problems, seed, ("hard", "easy"), bands) if banded else rule_of(problems, seed)
    state, drawn = SamplerState(), []
    for count in counts:
        taken, state = next_problems(through_json(state), rule, count)
        drawn += taken
    for start in range(0, len(drawn) - problems + 1, problems):
        epoch = drawn[start : start + problems]
        assert sorted(epoch) == list(range(problems))
        assert not banded or [bands[at] for at in epoch] == sorted([bands[at] for at in epoch], reverse=True)


@given(st.integers(2, 12), st.integers(1, 20), st.integers(1, 4), st.data())
def test_a_skipped_problem_stays_away_for_its_steps_unless_a_step_would_starve(problems, steps, re_entry, data):
    rule = rule_of(problems, 1, skip_solved=1.0, re_entry_steps=re_entry)
    state, back = SamplerState(), {}
    for step in range(steps):
        (taken,), state = next_problems(state, rule, 1)
        if len([until for until in back.values() if until > step]) < problems:
            assert back.get(taken, 0) <= step
        solved = data.draw(st.booleans())
        state = observe(state, [(taken, float(solved))])
        if solved:
            back[taken] = step + 1 + re_entry


def test_a_draw_leaves_the_state_before_it_as_it_was():
    """Also where a sampler of the user's writes into its memory."""

    def careless(memory, draw):
        memory["calls"] = memory.get("calls", 0) + 1
        return list(range(draw.count)), memory

    rule = SamplerRule(0, (Problem("a", "", ""),), careless)
    first = SamplerState({"calls": 5})
    _, second = next_problems(first, rule, 1)
    assert (first.memory, second.memory) == ({"calls": 5}, {"calls": 6})


def test_a_curriculum_goes_through_its_bands_in_order_in_every_epoch():
    columns, order = ["hard", "easy", "hard", "easy", "medium"], ("easy", "medium", "hard")
    assert band_ranks(columns, order) == (2, 0, 2, 0, 1)
    taken, _ = next_problems(SamplerState(), rule_of(5, 0, order, columns), 10)
    assert [columns[problem] for problem in taken] == ["easy", "easy", "medium", "hard", "hard"] * 2
    assert sorted(taken[:5]) == sorted(taken[5:]) == [0, 1, 2, 3, 4]


def test_a_problem_without_a_known_band_is_refused():
    with pytest.raises(ValueError, match="band 'odd'"):
        band_ranks(["easy", "odd"], ["easy", "hard"])
    with pytest.raises(ValueError, match="band None"):
        band_ranks(["easy", None], ["easy", "hard"])


def test_without_a_problem_there_is_nothing_to_take():
    with pytest.raises(ValueError, match="no problem"):
        next_problems(SamplerState(), rule_of(0), 1)


def test_a_solved_problem_is_skipped_and_re_enters():
    """Four problems, two a step; problem 2 is solved in step 1 and is skipped for 3 steps."""
    rule = rule_of(4, skip_solved=1.0, re_entry_steps=3)
    state = observe(SamplerState(), [(2, 1.0), (0, 0.75)])
    met = []
    for step in range(6):
        taken, state = next_problems(state, rule, 2)
        assert step or state.memory["skipped"] == [[2, 4]]
        met.append(2 in taken)
        state = observe(state, [(problem, 0.5) for problem in taken])
    assert met[:3] == [False, False, False]
    assert any(met[3:])


def test_unsolved_ones_are_skipped_too_and_what_lies_between_is_not():
    rule = rule_of(9, skip_solved=0.9, skip_unsolved=0.1, re_entry_steps=2)
    state = observe(SamplerState(), [(0, 0.0), (1, 0.1), (2, 0.11), (3, 0.89), (4, 0.9), (5, float("nan"))])
    assert skipped(next_problems(state, rule, 1)[1]) == [0, 1, 4]


def test_a_step_never_starves():
    """All five are skipped; two are needed, and the two that would re-enter first are taken back."""
    rule = rule_of(5, skip_solved=1.0, re_entry_steps=10)
    memory = {"position": 0, "skipped": [[0, 9], [1, 5], [2, 7], [3, 9], [4, 8]]}
    taken, after = next_problems(SamplerState(memory, step=1), rule, 2)
    assert sorted(taken) == [1, 2]
    assert skipped(after) == [0, 3, 4]
