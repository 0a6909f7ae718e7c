"""Where the answer is read: one stated policy, and what it says about every odd case."""

import pytest

from frugalrl.verify.maths.extraction import AnswerPolicy, extract_answer, gold_from_solution, last_boxed, unboxed

STATED = AnswerPolicy(without_box="stated")


@pytest.mark.parametrize(
    ("completion", "answer", "reason"),
    [
        (r"so \boxed{5}", "5", "boxed"),
        (r"\boxed{5} no, \boxed{ 7 }", "7", "boxed"),
        (r"\boxed{\frac{1}{2}}.", r"\frac{1}{2}", "boxed"),
        (r"$\boxed5$", "5", "boxed"),
        (r"<think>\boxed{5}</think> so \boxed{7}", "7", "boxed"),
        (r"<think>\boxed{5}</think> so seven", None, "no_box"),
        (r"<think>\boxed{5}", None, "unclosed_reasoning"),
        (r"</think>\boxed{5}<think> hm", None, "unclosed_reasoning"),
        (r"\boxed{}", None, "empty_box"),
        (r"\boxed{5", None, "no_box"),
        (r"\boxed{5} and \boxed{\frac{1}{2", "5", "boxed"),
        (r"\boxed{1} and \boxed{2}", "1, 2", "boxed"),
        (r"$\boxed{1}$, $\boxed{2}$", "1, 2", "boxed"),
        (r"\boxed{1} then \boxed{2}", "2", "boxed"),
        (r"\boxed{1}\boxed{2}", "2", "boxed"),
        ("", None, "no_box"),
    ],
)
def test_the_last_box_after_the_reasoning_is_the_answer(completion: str, answer: str | None, reason: str) -> None:
    extraction = extract_answer(completion)
    assert (extraction.answer, extraction.reason) == (answer, reason)


def test_a_template_that_opened_the_reasoning_must_see_it_closed() -> None:
    assert extract_answer(r"so \boxed{5}", reasoning_open=True).reason == "unclosed_reasoning"
    assert extract_answer(r"so</think>\boxed{5}", reasoning_open=True).answer == "5"


def test_the_policy_for_several_boxes_is_an_argument() -> None:
    text = r"\boxed{5} no, \boxed{7}"
    assert extract_answer(text, policy=AnswerPolicy(several_boxes="first")).answer == "5"
    refused = extract_answer(text, policy=AnswerPolicy(several_boxes="refuse"))
    assert (refused.answer, refused.reason) == (None, "several_boxes")
    assert extract_answer(r"\boxed{7}", policy=AnswerPolicy(several_boxes="refuse")).answer == "7"


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("She makes 18 dollars.\n#### 18", "18"),
        ("9 * 2 = 18\nA: 18", "18"),
        ("So the answer is 12.", "12"),
        ("The final answer is $\\frac{1}{2}$. I hope it is correct.", r"\frac{1}{2}"),
        ("**Answer:** 42", "42"),
        ("The answer is 3. No, the answer is 4.", "4"),
        ("Therefore $x \\ge 5$", r"x \ge 5"),
        (r"and so \[ 9 \]", "9"),
        ("12 apples", "12 apples"),
        (r"The answer is 3, \boxed{4}", "4"),
        ("We had $18 + 53 = 71$ before. " + "However, that step was wrong. " * 6, None),
        ("", None),
    ],
)
def test_an_answer_may_be_read_where_it_is_stated(completion: str, answer: str | None) -> None:
    assert extract_answer(completion, policy=STATED).answer == answer


def test_golds_come_out_of_solutions() -> None:
    assert gold_from_solution(r"Thus \boxed{\frac{3}{4}}.") == r"\frac{3}{4}"
    assert gold_from_solution("6 * 3 = 18\n#### 18") == "18"
    assert gold_from_solution("no answer at all") is None
    assert gold_from_solution("#### ") is None


def test_a_gold_may_bring_its_box() -> None:
    assert unboxed(r"\boxed{7}") == "7"
    assert unboxed(r"\boxed{2}, \boxed{3}") == "2, 3"
    assert unboxed("7") == "7"
    assert unboxed(r"\boxed{7") == r"\boxed{7"


def test_the_last_box_is_the_outermost_one() -> None:
    assert last_boxed(r"\boxed{1} \boxed{2+\boxed{3}}") == r"2+\boxed{3}"
    assert last_boxed("none") is None
