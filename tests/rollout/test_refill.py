"""Dynamic sampling: what is replaced, what it may cost, and what happens when no group has a signal."""

from hypothesis import given
from hypothesis import strategies as st

from frugalrl.rollout.refill import fill_batch, has_learning_signal
from frugalrl.types import Completion, Problem, Prompt, ScoredCompletion, ScoredGroup, Verdict


def group(name: int, useful: bool) -> ScoredGroup:
    """Two completions, of different rewards if it is useful."""
    completions = tuple(
        ScoredCompletion(Completion("", (), (), "stop", (), 0), reward, {}, Verdict("unknown", None, "given"))
        for reward in (1.0, 0.0 if useful else 1.0)
    )
    return ScoredGroup(Prompt(Problem(str(name), "", ""), "", ()), completions)


class Data:
    """Problems in order, some of them useful; notes what was asked for."""

    def __init__(self, useful: list[bool]) -> None:
        self.groups = [group(number, flag) for number, flag in enumerate(useful)]
        self.asked: list[tuple[int, int]] = []

    def __call__(self, count: int, round_number: int) -> list[ScoredGroup]:
        start = sum(before for before, _ in self.asked)
        self.asked.append((count, round_number))
        return self.groups[start : start + count]


def names(groups) -> list[int]:
    return [int(group.prompt.problem.id) for group in groups]


def test_dull_groups_are_replaced_by_the_problems_that_follow():
    data = Data([True, False, False, True, True, False, True, True])
    batch = fill_batch(data, wanted=4, max_extra_groups=8)
    assert data.asked == [(4, 0), (2, 1), (1, 2)]  # two are missing, then one
    assert names(batch.kept) == [0, 3, 4, 6]
    assert names(batch.sampled) == [0, 1, 2, 3, 4, 5, 6]
    assert (batch.refilled, batch.extra_frac) == (2, 0.75)


def test_the_cap_on_cost_leaves_a_batch_short_rather_than_diluted():
    data = Data([True, False, False, False, False, False, True])
    batch = fill_batch(data, wanted=3, max_extra_groups=3)
    assert data.asked == [(3, 0), (2, 1), (1, 2)]
    assert names(batch.kept) == [0]
    assert (batch.refilled, batch.extra_frac) == (0, 1.0)


def test_if_no_group_has_a_signal_the_batch_stays_as_it_came():
    batch = fill_batch(Data([False] * 9), wanted=3, max_extra_groups=6)
    assert names(batch.kept) == [0, 1, 2]
    assert (batch.refilled, batch.extra_frac) == (0, 2.0)


def test_without_leave_to_sample_more_nothing_is_left_out():
    batch = fill_batch(Data([True, False, True]), wanted=3, max_extra_groups=0)
    assert names(batch.kept) == names(batch.sampled) == [0, 1, 2]


@given(st.lists(st.booleans(), min_size=60, max_size=60), st.integers(1, 10), st.integers(0, 50))
def test_the_batch_is_as_full_as_the_budget_allows(useful, wanted, max_extra):
    data = Data(useful)
    batch = fill_batch(data, wanted, max_extra)
    assert 1 <= len(batch.kept) <= wanted
    assert len(batch.sampled) == sum(count for count, _ in data.asked) <= wanted + max_extra
    if max_extra and any(map(has_learning_signal, batch.sampled)):
        assert all(map(has_learning_signal, batch.kept))
        assert len(batch.kept) == wanted or len(batch.sampled) == wanted + max_extra
