"""The slice of the training problems that a run is watched by."""

from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.data.holdout import FEWEST, hold_out
from frugalrl.types import Problem, Prompt


def prompts(count: int) -> list[Prompt]:
    return [Prompt(Problem(f"p{index}", f"What is {index}?", str(index)), "?", (1,)) for index in range(count)]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 600), st.integers(0, 200), st.integers(0, 5))
def test_the_slice_is_a_part_within_its_bounds_and_the_rest_stays(count, most, seed):
    pool = prompts(count)
    stay, held = hold_out(pool, most, seed)
    number = {prompt.problem.id: index for index, prompt in enumerate(pool)}
    assert sorted([*stay, *held], key=lambda one: number[one.problem.id]) == pool
    assert len(held) <= min(most, count / 10)
    assert len(held) == 0 or len(held) >= FEWEST


def test_the_slice_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    pool = prompts(400)
    held = hold_out(pool, 30, 1)[1]
    assert {one.problem.id for one in hold_out(pool[::-1], 30, 1)[1]} == {one.problem.id for one in held}
    assert hold_out(pool, 30, 2)[1] != held
    assert hold_out(prompts(199), 30, 1)[1] == []
