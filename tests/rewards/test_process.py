"""The process reward: which equalities a text states, which of them hold, and what that pays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.config.schema import RewardTerm
from frugalrl.rewards.process import NOTHING_STATED, checks_of, process_derivation, process_reward
from frugalrl.rewards.rubric import build_rubric, score_group
from frugalrl.verify.maths.extraction import AnswerPolicy, extract_answer
from frugalrl.verify.steps.derivation import Derivation, numbers_given
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


EGGS = "Janet's ducks lay 16 eggs. She eats three and bakes with four. She sells the rest at $2 each. How much a day?"
RIGHT = "She has 16 - 3 = 13 left, then 13 - 4 = 9. She makes 9 * 2 = $18.\nA: 18"


def paid(text, problem=EGGS):
    answer = extract_answer(text, policy=AnswerPolicy(without_box="stated")).answer
    return process_reward(process_derivation(text, problem, answer))


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (RIGHT, 1.0),
        ("16 - 3 = 13. 13 * 2 = 26.\nA: 26", 3 / 4),  # four was left out
        ("16 - 3 = 13, 13 - 4 = 8, 8 * 2 = 16\nA: 16", 1 / 4 * 1 / 2),  # only 8 * 2 = 16 reaches the answer
        ("1 + 1 = 2. 5 + 6 = 11. 20 * 5 = 100.\nA: 18", 0.0),
        ("18 + 0 = 18, 18 * 1 = 18, 18 = 18\nA: 18", 0.0),
        ("5 + 8 = 13, 13 + 5 = 18\nA: 18", 0.0),  # true, and out of no number of the problem
        ("16 - 3 = 13\n13 - 4 = 9\n9 * 2 = 18", 1.0),  # a short text without a marker is its own answer
        ("16 - 3 = 13\n13 - 4 = 9\n1 + 1 = 2", 0.0),  # and then only what it ends in counts
        ("The answer is eighteen, since x = 18.\nA: 18", None),
        ("", None),
    ],
)
def test_the_reward_follows_the_problems_numbers_to_the_answer(text, reward):
    assert paid(text) == (None if reward is None else pytest.approx(reward))


@given(st.lists(st.tuples(st.integers(1000, 9999), st.integers(1000, 9999)), max_size=8), st.booleans())
def test_true_sums_beside_the_point_change_nothing_wherever_they_stand(pairs, before):
    padding = " ".join(f"{a} + {b} = {a + b}." for a, b in pairs)
    assert paid(f"{padding}\n{RIGHT}" if before else RIGHT.replace("A:", f"{padding}\nA:")) == 1.0


def test_repeating_a_solution_changes_nothing_and_a_wrong_sum_counts_wherever_it_stands():
    assert paid(f"{RIGHT}\n{RIGHT}") == 1.0
    assert paid(f"500 + 1 = 502\n{RIGHT}") == pytest.approx(3 / 4)
    trivial = " ".join(f"{n} + 1 = {n + 1}." for n in range(1, 13))
    assert paid(f"500 + 1 = 502\n{trivial}\n{RIGHT}") <= 12 / 13


def test_percentages_and_number_words_are_numbers_of_the_problem():
    problem = "A coat of $80 is reduced by 30%. What do a dozen coats cost?"
    assert numbers_given(problem) == {80, 30, 12}
    assert paid("0.3 * 80 = 24, 80 - 24 = 56, 56 * 12 = 672\n\\boxed{672}", problem) == 1.0
    assert paid("0.7 * 80 = 56, 56 * 12 = 672\n\\boxed{672}", problem) == 1.0
    assert numbers_given("One duck has 0 eggs; twenty-two twins.") == {20, 2}


def test_an_answer_of_several_numbers_is_reached_part_by_part():
    assert paid("3 + 4 = 7, 3 * 4 = 12\n\\boxed{(7, 12)}", "Sum and product of 3 and 4?") == 1.0


def test_a_calculators_last_digits_are_no_mistake():
    assert check("11/18*162", "99.00000000000001") is True
    assert check("11/18*162", "99.00000010000001") is False
    assert check("0.1 + 0.2", "0.30000000000000004") is True
    assert check("11/18*162", "99.01") is False


def test_the_formula_is_two_shares_multiplied():
    assert process_reward(Derivation(stated=4, carried=3, wrong=1, given=4, given_used=2)) == 3 / 8
    assert process_reward(Derivation(stated=4, carried=3, wrong=1, given=0, given_used=0)) == 3 / 4
    assert process_reward(Derivation(stated=4, carried=0, wrong=0, given=4, given_used=0)) == 0.0
    assert process_reward(NOTHING_STATED) is None
    with pytest.raises(ValueError, match="verifier_checks"):
        process_reward(NOTHING_STATED, verifier_checks=-1)


@given(st.text(alphabet="0123456789+-*/=^(){}\\fracsqx!%. ,$A:\n", max_size=200), st.text(max_size=60))
def test_any_text_is_paid_within_bounds(text, problem):
    reward = paid(text, problem)
    assert reward is None or 0.0 <= reward <= 1.0


def test_the_verifier_is_asked_for_constants_only_and_not_too_often():
    asked = []

    def verify(left, right):
        asked.append((left, right))
        return True

    text = "\\sqrt{2} * \\sqrt{8} = 4, \\sqrt{3} * \\sqrt{5} = 4, \\pi + \\sqrt{2} = x, 2x + 1 = 5, 1 + 1 = 2"
    assert checks_of(text, verify, verifier_checks=1) == [True, True]
    assert asked == [("\\sqrt{2} * \\sqrt{8}", "4")]
    assert checks_of(text) == [True]


def test_the_term_reads_the_problem_and_asks_the_answer_verifier():
    rubric = build_rubric([RewardTerm(name="process")], 100)
    texts = [
        "2 + 2 = 4. \\boxed{4}",
        "2 + 2 = 4, 2 * 3 = 5 \\boxed{4}",
        "2 + 2 = 4, \\sqrt{2} * \\sqrt{8} = 5 \\boxed{4}",
        "\\boxed{4}",
    ]
    group = group_of(texts)
    assert group.prompt.problem.text == "What is 2 + 2?"
    assert [scored.breakdown["process"] for scored in score_group(rubric, group).completions] == [1.0, 0.5, 0.5, None]


@pytest.mark.parametrize(
    ("file", "field", "least"),
    [("bench/gsm8k_test.jsonl", "solution", 0.998), ("bench/math500.jsonl", "solution", 0.985)],
)
def test_what_written_solutions_state_holds(file, field, least, shared_data):
    checks = [check for row in data_rows(shared_data, file) for check in checks_of(row[field])]
    assert len(checks) > 400
    assert sum(checks) / len(checks) >= least


@pytest.mark.parametrize(
    ("file", "least"),
    [("grading/bigbench_mistake_arith_300.jsonl", 0.9), ("grading/gsm8k_example_solutions.jsonl.gz", 0.63)],
)
def test_it_tells_right_from_wrong_solutions_as_far_as_the_documentation_says(file, least, shared_data):
    """The area under the ROC curve, None as 0, by scipy's rank statistic."""
    from scipy.stats import mannwhitneyu

    rewards = {"correct": [], "incorrect": []}
    for row in data_rows(shared_data, file)[:1500]:
        rewards[row["label"]].append(paid(row["completion"], row["question"]) or 0.0)
    right, wrong = rewards["correct"], rewards["incorrect"]
    assert mannwhitneyu(right, wrong).statistic / len(right) / len(wrong) > least


def test_check_leaves_equations_open():
    assert check("x^2 - 1", "0") is None
    assert check("1 + 1", "3") is False
