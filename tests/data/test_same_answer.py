"""Reworded problems with one answer are one problem; variants that share an answer by chance are two."""

import pytest

from frugalrl.data.decontamination import build_index, find_overlap
from frugalrl.data.duplicates import near_duplicate_groups
from frugalrl.data.same_answer import answer_key, same_with_answer
from frugalrl.data.statements import read_statement, same_problem

REWORDED = [
    (
        "other words",
        "A baker sells 24 rolls and 36 buns to 7 shops so that every shop gets at least 2 rolls. How many ways?",
        "In how many different ways can 24 rolls and 36 buns be sold by a baker to 7 shops, each shop getting at least "
        "2 rolls?",
        "5148",
    ),
    (
        "no more than",
        "29 boys and 15 girls went to a dance, where some boys danced with some girls, at most once with each "
        "partner. What is the maximum number of different counts reported by the children?",
        "29 boys and 15 girls went to a dance, where some boys danced with some girls, no more than once with "
        "each partner. What is the maximum number of different counts the children could report?",
        "29",
    ),
    (
        "a definition",
        "For how many positive integers $n \\le 800$ is "
        "$\\lfloor\\frac{798}{n}\\rfloor + \\lfloor\\frac{799}{n}\\rfloor"
        " + \\lfloor\\frac{800}{n}\\rfloor$ not divisible by $7$?",
        "How many positive integers $n \\le 800$ satisfy that $\\lfloor\\frac{798}{n}\\rfloor + "
        "\\lfloor\\frac{799}{n}\\rfloor + \\lfloor\\frac{800}{n}\\rfloor$ is not divisible by 7?",
        "\\frac{23}{7}",
    ),
]
VARIANTS = [
    (
        "exchanged numbers",
        "Ada has 24 apples and buys 5 boxes with 12 apples each. How many apples are there now?",
        "Ben has 24 stamps and buys 12 boxes with 5 stamps each. How many stamps are there now?",
        "84",
    ),
    ("another function", "Compute the value of $\\sin 45^\\circ$.", "Compute $\\cos 45^\\circ$.", "\\frac{\\sqrt2}{2}"),
    (
        "contraries",
        "A jar has 12 red and 9 green marbles, of which 5 are drawn. What is the smallest number of red ones?",
        "Of 12 red and 9 green marbles in a jar, 5 are drawn. What is the largest number of red ones?",
        "17",
    ),
    (
        "signs",
        "Find the distance between the two points $(-5,-2)$ and $(7,3)$ in the plane.",
        "How long is the segment between two points $(5,-3)$ and $(-2,7)$ in the plane?",
        "13",
    ),
    (
        "numbers",
        "How many positive integers less than $900$ are either a perfect cube or a perfect square?",
        "How many positive integers less than $800$ are either perfect cubes or perfect squares?",
        "35",
    ),
    (
        "one digit by chance",
        "How many ordered pairs $(x,y)$ of integers have $x+y=6$ and $xy=5$ at once?",
        "What is the number of integers $x$ with $x+6=5y$ for some square $y$?",
        "2",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "gold"), [case[1:] for case in REWORDED], ids=[case[0] for case in REWORDED])
def test_other_words_with_the_same_numbers_and_answer_are_one_problem(one, other, gold):
    ours, theirs = read_statement(one), read_statement(other)
    key = answer_key(gold)

    assert same_problem(ours, theirs) or same_with_answer(ours, theirs, key)
    assert near_duplicate_groups([one, other], golds=[gold, f"${gold}$"]) == [(0, 1)]


def test_the_answer_is_what_decides():
    _, one, other, gold = REWORDED[0]
    index = build_index({"exam": [("7", one, gold)]})

    assert near_duplicate_groups([one, other]) == []
    assert near_duplicate_groups([one, other], golds=[gold, "5149"]) == []
    assert find_overlap(index, other) is None
    assert find_overlap(index, other, gold="5149") is None
    found = find_overlap(index, other, gold="5148")
    assert found is not None
    assert (found.kind, found.row_id) == ("reworded", "7")


@pytest.mark.parametrize(("one", "other", "gold"), [case[1:] for case in VARIANTS], ids=[case[0] for case in VARIANTS])
def test_variants_that_share_their_answer_by_chance_are_two(one, other, gold):
    assert near_duplicate_groups([one, other], golds=[gold, gold]) == []
    assert find_overlap(build_index({"exam": [("7", one, gold)]}), other, gold=gold) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$x = \\dfrac{1}{2}$", "1/2"),
        ("025", "$25$"),
        ("7 + \\frac\\pi 2", "$7+\\dfrac{\\pi}{2}$"),
        ("\\(\\sqrt{7}\\)", "$\\sqrt7$"),
        ("5\\text{ cm}", "5"),
        ("$f(x)=x+1$", "f(x) = x + 1"),
        ("60^\\circ", "60"),
        ("\\left( 2, 3 \\right)", "(2,3)"),
        ("1{,}250", "1250"),
    ],
)
def test_spellings_of_one_answer_have_one_key(one, other):
    assert answer_key(one) == answer_key(other) != ""


@pytest.mark.parametrize("gold", ["", " ", "B", "(C)", "\\text{(D)}", "True", "yes", "$\\mathrm{(A)}$"])
def test_a_choice_says_nothing_about_the_problem(gold):
    assert answer_key(gold) == ""


def test_different_answers_have_different_keys():
    golds = ["-3", "3", "1/2", "2", "x+1", "x-1", "(1,2)", "(2,1)", "\\sqrt{2}", "2\\sqrt{2}", "0.5", "0.\\overline{5}"]

    assert len({answer_key(gold) for gold in golds}) == len(golds)


def test_two_questions_about_one_case_with_other_options_are_two():
    case = "Three firms own the towers. Which one of the following cannot be true, no matter how many trades are made? "
    one = "(A) The firm North owns the Garden Tower. (B) The firm South owns the River Tower. (C) None owns a tower."
    other = (
        "(A) The firm North owns the Market Tower. (B) The firm South owns the Harbour Tower. (C) None owns a tower."
    )

    assert near_duplicate_groups([case + one, case + other]) == []


def test_a_projection_is_no_reflection():
    one = "Find the matrix that corresponds to the projection onto the plane spanned by the first two axes of space."
    other = (
        "Find the matrix that corresponds to the reflection through the plane spanned by the first two axes of space."
    )

    assert near_duplicate_groups([one, other]) == []
