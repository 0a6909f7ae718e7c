"""Equations as answers: the same one in another form is accepted, another one and an unsolved one are not."""

import pytest

from frugalrl.verify.answers import judge


@pytest.mark.parametrize(
    ("answer", "gold", "label"),
    [
        ("x+y=3", "y+x=3", "correct"),
        ("2x-y=3", "y=2x-3", "correct"),
        ("2x-y-3=0", "y=2x-3", "correct"),
        ("4x-2y=6", "y=2x-3", "correct"),
        ("x^2+y^2=4", "y^2+x^2-4=0", "correct"),
        ("2x-y=3", "y=2x+3", "incorrect"),
        ("x^2+y^2=5", "y^2+x^2-4=0", "incorrect"),
        ("x+y=4", "x+y=3", "incorrect"),
        ("x+y=3", "x-y=3", "incorrect"),
        ("y=2x+1", "x=2y+1", "incorrect"),
        ("2x=10", "x=5", "incorrect"),  # not solved
        ("0=0", "y=2x-3", "incorrect"),
        ("y=y", "y=2x-3", "incorrect"),
    ],
)
def test_an_equation_is_the_gold_up_to_moving_terms_and_a_factor(answer, gold, label):
    assert judge(f"\\boxed{{{answer}}}", gold).label == label
