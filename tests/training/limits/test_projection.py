"""What is left of a run, from the steps it has made."""

import math

import pytest

from frugalrl.training.limits.projection import Projection, project, steps_within, usual_steps
from frugalrl.training.projecting import first_projection


def test_there_is_none_before_the_third_step():
    assert project([10.0, 10.0], 2, 100, 0.0) is None
    assert project([10.0] * 3, 3, 100, 0.0) is not None


def test_equal_steps_leave_what_a_change_of_lengths_may_do_and_the_usual_spread():
    """97 steps of 10 s. Drift 0.5 sqrt(0.97); spread 0.25 sqrt(3 / 5), times t of 5 degrees of freedom, over 3 steps
    and 97."""
    found = project([10.0] * 3, 3, 100, 0.0)
    assert found is not None
    width = math.hypot(0.5 * math.sqrt(0.97), 0.25 * math.sqrt(3 / 5) * 2.57 * math.sqrt(1 / 3 + 1 / 97))
    assert found.left == pytest.approx(970)
    assert found.high == pytest.approx(970 * math.exp(width))
    assert found.low == pytest.approx(970 / math.exp(width))


@pytest.mark.parametrize(
    ("recent", "steps", "came"),
    [
        ((9.13, 0.45, 0.40), 100, 42.9),  # of a run that compiled kernels in its first step
        ((0.95, 1.14, 1.08, 0.89, 0.97, 1.19, 1.25, 1.42, 41.9), 20, 12.3),  # the next odd one is not known of
        ((0.4, 0.45, 0.46, 0.4, 0.41, 0.43, 0.39, 75.35, 0.48, 0.42), 20, 4.1),
        ((33.68, 4.68, 2.13), 37, 184.1),  # two that are long may be what is to come
    ],
)
def test_one_odd_step_does_not_spoil_a_projection(recent, steps, came):
    """Seconds of recorded runs on shared machines, and what their remaining steps then took."""
    found = project(recent, len(recent), steps, 0.0)
    assert found is not None
    assert found.low < came < found.high
    assert found.high < 6 * found.low
    assert found.left == pytest.approx(came, rel=0.4)


def test_two_long_steps_are_no_accident():
    assert usual_steps([1.0, 5.0, 1.0, 1.0, 5.0]) == [1.0, 5.0, 1.0, 1.0, 5.0]
    assert usual_steps([1.0, 1.9, 1.0]) == [1.0, 1.9, 1.0]
    assert usual_steps([1.0, 2.1, 1.0]) == [1.0, 1.0]
    assert usual_steps([]) == []


def test_it_narrows_as_the_run_nears_its_end_and_widens_with_the_spread_of_its_steps():
    def width(recent: list[float], done: int) -> float:
        found = project(recent, done, 100, 0.0)
        assert found is not None
        return (found.high - found.low) / found.left

    even, uneven = [10.0] * 10, [5.0, 15.0] * 5
    assert width(even, 90) < width(even, 50) < width(even, 10)
    assert width(uneven, 10) > 1.2 * width(even, 10)


def test_evaluations_to_come_count_with_a_quarter_of_room():
    assert project([1.0] * 3, 100, 100, 40.0) == Projection(40.0, 30.0, 50.0)
    with_them, without = project([1.0] * 3, 50, 100, 40.0), project([1.0] * 3, 50, 100, 0.0)
    assert with_them is not None
    assert without is not None
    assert with_them.left - without.left == 40.0


def test_what_was_spent_is_added_to_both_ends():
    assert Projection(10.0, 5.0, 20.0).in_all(100.0) == Projection(110.0, 105.0, 120.0)


def test_steps_that_a_cap_holds():
    """100 s left, 20 for the end, 4 a step: 20 more after the 5 that are done."""
    assert steps_within(100.0, [4.0] * 3, 5, 20.0) == 25
    assert steps_within(10.0, [4.0] * 3, 5, 20.0) == 5


def test_a_summary_holds_the_first_projection_of_the_whole_run():
    lines = [
        {"step": 2, "cost/seconds": 20.0},
        {"step": 3, "cost/seconds": 30.0, "cost/seconds_left": 70.0, "cost/seconds_left_low": 50.0,
         "cost/seconds_left_high": 110.0},
        {"step": 4, "cost/seconds": 40.0, "cost/seconds_left": 1.0, "cost/seconds_left_low": 1.0,
         "cost/seconds_left_high": 1.0},
    ]  # fmt: skip
    assert first_projection(lines) == {"step": 3, "seconds": 100.0, "seconds_low": 80.0, "seconds_high": 140.0}
    assert first_projection(lines[:1]) is None
