"""One spelling for what LaTeX, Unicode and editors spell in many ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.data.normalise import canonical, without_answer_format, without_variable_names, words


def test_words_of_a_formula_are_its_numbers_and_signs():
    assert words(r"1. Find $\dfrac{1}{2}+x$.") == ("find", "1", "/", "2", "+", "x")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"Find $\frac12$ of $x^2$.", r"Find \( \dfrac{1}{2} \) of \(x^{2}\)"),
        (r"$\left( a+b \right)^{2} \leq 10{,}000$", r"$(a+b)^2 \leqslant 10,000$"),
        ("Solve x² − 1 ≥ 0", r"Solve $x^2-1 \ge 0$."),
        ("(2003 AIME Problem 5) What is $7+5$?", "What is $7+5$?"),
        ("Problem 3. What is $7+5$?", "What is 7 + 5"),
        ("[5 points] What is $7+5$?", "What is $7 + 5$ ?"),
        (r"A $60^\circ$ angle $ABC$", r"A 60° angle $A B C$"),
        ("a non-negative three-digit number", "a non negative 3-digit number"),
        (r"For \displaystyle x \neq 2", r"For $x \not= 2$"),
    ],
)
def test_two_spellings_of_one_text_are_one_key(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$2^{x+1}$", "$2^x+1$"),
        ("$88/(4/2)$", "$88/4/2$"),
        ("$x < 3$", "$x \\le 3$"),
        ("$n!$", "$n$"),
        ("the numbers 1, 2", "the number 12"),
        ("10.25 people", "25 people"),
    ],
)
def test_what_changes_a_problem_stays_in_its_key(one, other):
    assert canonical(one) != canonical(other)


def test_renamed_variables_are_the_same_and_the_article_is_no_variable():
    one = without_variable_names(words("Let $x+y=3$. Find a number $x$."))
    assert one == without_variable_names(words("Let $p+q=3$. Find a number $p$."))
    assert one != without_variable_names(words("Let $p+q=3$. Find a number $q$."))
    assert "a" in one


def test_how_to_write_the_answer_is_taken_out_and_the_question_stays():
    text = "How long is it? Express your answer in simplest radical form."
    assert without_answer_format(text).strip() == "How long is it?"
    assert without_answer_format("Express your answer in base 2.") == "Express your answer in base 2."


def test_another_drawing_is_another_key_and_no_words():
    drawing = '[asy] draw((0,0)--(1,1)); label("$8$", (0,0)); [/asy]'
    assert words(f"Find $x$. {drawing}") == ("find", "x")
    assert canonical(f"Find $x$. {drawing}") != canonical(f"Find $x$. {drawing.replace('8', '9')}")


@given(st.text(max_size=80))
def test_any_text_has_words_and_normalising_twice_the_same_text_gives_the_same(text):
    assert words(text) == words(text)
    assert all(word and not word.isspace() for word in words(text))
