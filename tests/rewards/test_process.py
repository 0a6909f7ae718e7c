"""The process reward: which equalities a text states, which of them hold, and what that pays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.config.schema import RewardTerm
from frugalrl.rewards.process import checks_of, process_reward
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.verify.steps.equalities import check, stated_equalities
from frugalrl.verify.steps.exact import MAX_EXPONENT, UnsupportedError, constant, evaluate, variables
from tests.rewards.reward_builders import data_rows, group_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12 * 7", "84"),
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("2 ^ 3 ^ 1", "8"),
        ("-2^2", "-4"),
        ("2^{-2}", "1/4"),
        ("7 / 2", "7/2"),
        ("1,234,567 + 1", "1234568"),
        ("\\frac{1}{2} + \\frac13", "5/6"),
        ("\\sqrt{16} + \\sqrt{\\frac{1}{4}}", "9/2"),
        ("\\binom{5}{2}", "10"),
        ("5!", "120"),
        ("20% * 50", "10"),
        ("3(4)(5)", "60"),
        (".5 * 4", "2"),
        ("--3", "3"),
    ],
)
def test_expressions_have_exact_values(text, value):
    assert str(constant(evaluate(text))) == value


@given(st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 99), st.sampled_from("+-*/"), st.sampled_from("+-*/"))
def test_values_agree_with_python(a, b, c, first, second):
    from fractions import Fraction

    if "/" in (first, second) and b == 0:
        return
    text = f"({a}) {first} ({b}) {second} {c}"
    python = eval(text, {}, {}) if "/" not in text else eval(f"F({a}) {first} F({b}) {second} F({c})", {"F": Fraction})
    assert constant(evaluate(text)) == python


@pytest.mark.parametrize(
    "text",
    [
        "9^{9^{9}}", f"2^{MAX_EXPONENT + 1}", "999999999999^64", "100!", "1/0", "0^0", "1" * 41, "1" * 300,
        "(" * 50 + "1" + ")" * 50, "1/2x", "3\\frac{1}{2}", "f(2)", "2 3", "", "+", "(1", "1)", "\0", "\\frac{1}",
        "__import__('os')", "x.__class__", "\\sin{2}", "(a+b+c+d+e)^9", "\\sqrt{2}", "x/y", "2^x",
    ],
)  # fmt: skip
def test_what_is_too_large_ambiguous_or_no_arithmetic_is_refused(text):
    with pytest.raises(UnsupportedError):
        evaluate(text)


@given(st.text(alphabet="0123456789+-*/^(){}\\fracsqxy!%. ,", max_size=80))
def test_any_text_is_a_value_or_refused(text):
    try:
        evaluate(text)
    except UnsupportedError:
        return


def test_polynomials_are_compared_as_polynomials():
    assert evaluate("(x + 1)(x - 1)") == evaluate("x^2 - 1")
    assert evaluate("2x + 3y - x") == evaluate("x + 3y")
    assert variables(evaluate("x + 3y - x")) == {"y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So 12 * 7 = 84.", [("12 * 7", "84", True)]),
        ("So $12 \\times 7 = 85$.", [("12  *  7", "85", False)]),
        ("48/2 = <<48/2=24>>24 clips", [("48/2", "24", True)]),
        ("3 + 4 = 7 = 14/2", [("3 + 4", "7", True), ("7", "14/2", True)]),
        ("10 / 3 = 3.33", [("10 / 3", "3.33", True)]),
        ("10 / 3 = 3.34", [("10 / 3", "3.34", False)]),
        ("10 / 3 = 3", [("10 / 3", "3", False)]),
        ("5/20 * 100 = 25%", [("5/20 * 100", "25%", True)]),
        ("(x+1)(x-1) = x^2 - 1", [("(x+1)(x-1)", "x^2 - 1", True)]),
        ("2x + 3 = 7", [("2x + 3", "7", None)]),
        ("3 x 4 = 12", [("3 * 4", "12", True)]),
        ("He has $5 * 3 = $15 left", [("5 * 3", "15", True)]),
        ("total = 5 + 3 = 8 apples", [("5 + 3", "8", True)]),
        ("12 * 7 = 84 and again 12*7 = 84", [("12 * 7", "84", True)]),
        ("20% of 50 = 10", []),
        ("the sum of 3 and 4 = 7", []),
        ("half of 10 + 4 = 9", []),
        ("12 apples * 7 = 84", []),
        ("17 / 5 = 3 remainder 2", []),
        ("3 + 4 = 2 times 3.5", []),
        ("7 = 7", []),
        ("x = 5", []),
        ("1. 5 + 3 = 8", [("5 + 3", "8", True)]),
    ],
)
def test_equalities_are_found_and_checked(text, expected):
    assert [(found.left, found.right, found.holds) for found in stated_equalities(text)] == expected


@pytest.mark.parametrize(
    "text", ["\\sin 30 + 1 = 1.5", "101_2 + 1 = 6", "|2 - 5| = 3", "f(2) = 3 + 4", "17 + 1 \\equiv 18 = 4 \\pmod{7}"]
)
def test_fragments_of_other_mathematics_are_never_called_wrong(text):
    assert not any(found.holds is False for found in stated_equalities(text))


def test_a_hostile_text_takes_no_time():
    import time

    start = time.perf_counter()
    stated_equalities("9^9^9^9 = " * 2000 + "(" * 5000 + "1 + 1 = 2 " * 3000)
    assert time.perf_counter() - start < 2.0


def test_the_reward_is_the_share_that_holds_gated_by_how_many_are_stated():
    assert process_reward([True, True, False]) == pytest.approx(2 / 3)
    assert process_reward([True, True]) is None
    assert process_reward([True, True], min_stated=2) == 1.0
    assert process_reward([]) is None
    with pytest.raises(ValueError, match="min_stated"):
        process_reward([], min_stated=0)
    with pytest.raises(ValueError, match="verifier_checks"):
        process_reward([], verifier_checks=-1)


def test_the_verifier_is_asked_for_constants_only_and_not_too_often():
    asked = []

    def verify(left, right):
        asked.append((left, right))
        return True

    text = "\\sqrt{2} * \\sqrt{8} = 4, \\sqrt{3} * \\sqrt{5} = 4, \\pi + \\sqrt{2} = x, 2x + 1 = 5, 1 + 1 = 2"
    assert checks_of(text, verify, verifier_checks=1) == [True, True]
    assert asked == [("\\sqrt{2} * \\sqrt{8}", "4")]
    assert checks_of(text) == [True]


def test_the_term_asks_the_answer_verifier():
    text = "2 * 3 = 6, 2 + 2 = 5, \\sqrt{2} * \\sqrt{8} = 4"
    rubric = build_rubric([RewardTerm(name="process")], 100)
    group = group_of([text, "2 * 3 = 6"])
    assert [scored.breakdown["process"] for scored in score_group(rubric, group).completions] == [
        pytest.approx(2 / 3),
        None,
    ]


@pytest.mark.parametrize(
    ("file", "field", "least"),
    [("bench/gsm8k_test.jsonl", "solution", 0.998), ("bench/math500.jsonl", "solution", 0.985)],
)
def test_what_written_solutions_state_holds(file, field, least, shared_data):
    checks = [check for row in data_rows(shared_data, file) for check in checks_of(row[field])]
    assert len(checks) > 400
    assert sum(checks) / len(checks) >= least


def test_it_tells_right_from_wrong_arithmetic(shared_data):
    """BIG-Bench-Mistake: multi-step arithmetic whose steps are all written out."""
    rows = data_rows(shared_data, "grading/bigbench_mistake_arith_300.jsonl")
    clean = {"correct": [], "incorrect": []}
    for row in rows:
        reward = process_reward(checks_of(row["completion"]), min_stated=2)
        assert reward is not None
        clean[row["label"]].append(reward == 1.0)
    assert sum(clean["correct"]) / len(clean["correct"]) > 0.95
    assert sum(clean["incorrect"]) / len(clean["incorrect"]) < 0.05


def test_check_leaves_equations_open():
    assert check("x^2 - 1", "0") is None
    assert check("1 + 1", "3") is False
