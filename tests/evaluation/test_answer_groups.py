"""Votes: equal answers are one, right or wrong, however they are written."""

import pytest

from frugalrl.evaluation.answer_groups import votes
from frugalrl.evaluation.records import SampleRecord
from frugalrl.statistics.intervals import majority_at_k


def sample(answer: str | None, is_correct: bool = False) -> SampleRecord:
    return SampleRecord("p", 0, 1, 5, "stop", answer, "correct" if is_correct else "incorrect", "", "")


@pytest.mark.parametrize(
    "same",
    [
        ("0.5", "1/2", "\\frac{1}{2}"),
        ("1000", "1,000", "1000.0"),
        ("(1,2)", "( 1, 2 )"),
        ("A", "(A)"),
        ("No solution", "no solution"),
    ],
)
def test_equal_wrong_answers_have_one_name(same):
    assert len(set(votes([sample(one) for one in same]))) == 1


def test_what_differs_and_what_is_missing_stays_apart():
    found = votes([sample("7"), sample("8"), sample(None), sample("7", is_correct=True)])
    assert found == [("7", False), ("8", False), (None, False), ("7", True)]


def test_wrong_answers_in_two_spellings_outvote_a_right_one():
    """Two right, three wrong: one answer in three spellings."""
    samples = [sample("3", True)] * 2 + [sample("0.5"), sample("1/2"), sample("\\frac12")]
    assert majority_at_k([votes(samples)]).value == 0.0


def test_garbage_is_compared_in_bounded_work():
    samples = [sample(f"{number} \\frac{{" * 20) for number in range(300)]
    assert len(votes(samples)) == 300
