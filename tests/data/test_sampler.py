"""The order of problems is a function of the seed and the position."""

from hypothesis import given
from hypothesis import strategies as st

from frugalrl.data.sampler import take


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
