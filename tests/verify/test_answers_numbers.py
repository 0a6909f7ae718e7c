"""Exact numbers: what Python's own arithmetic says, written in many ways; and bounds that hold."""

import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.verify.maths.bases import read_based
from frugalrl.verify.maths.comparison import compare
from frugalrl.verify.maths.exact_numbers import ExactNumber, TooLargeError, read_number
from frugalrl.verify.maths.latex_text import clean
from frugalrl.verify.maths.rounding import same_number

integers = st.integers(-(10**30), 10**30)
fractions = st.fractions(max_denominator=10**6)


def _value(text: str) -> Fraction | None:
    cleaned = clean(text)
    assert cleaned is not None
    number = read_number(cleaned)
    return number.value if number else None


@given(integers)
def test_an_integer_is_read_in_every_spelling(number: int) -> None:
    for text in (
        str(number),
        f"{number:,}",
        f"{number:,}".replace(",", "{,}"),
        f"{number}.",
        f"{number}.0",
        f"({number})",
    ):
        assert _value(text) == number


@given(fractions)
def test_a_fraction_is_read_in_every_spelling(number: Fraction) -> None:
    top, bottom = number.numerator, number.denominator
    sign = "-" if top < 0 else ""
    for text in (
        f"\\frac{{{top}}}{{{bottom}}}",
        f"{sign}\\dfrac{{{abs(top)}}}{{{bottom}}}",
        f"{top}/{bottom}",
        f"{3 * top} \\div {3 * bottom}",
    ):
        assert _value(text) == number


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_decimal_is_read_exactly(number: Decimal) -> None:
    assert _value(f"{number:f}") == Fraction(number)


@given(st.integers(1, 999), st.integers(1, 98), st.integers(2, 99))
def test_a_mixed_number_is_its_sum(whole: int, top: int, bottom: int) -> None:
    if top < bottom:
        assert _value(f"{whole}\\frac{{{top}}}{{{bottom}}}") == whole + Fraction(top, bottom)
        assert _value(f"{whole} {top}/{bottom}") == whole + Fraction(top, bottom)


@given(
    st.recursive(
        st.integers(0, 99).map(str),
        lambda part: st.tuples(part, st.sampled_from("+-*"), part).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        max_leaves=12,
    )
)
def test_arithmetic_agrees_with_python(expression: str) -> None:
    assert _value(expression) == eval(expression)  # of our own making: digits, brackets, + - *


@given(fractions, fractions)
def test_two_numbers_are_the_same_answer_only_if_they_are_equal(one: Fraction, other: Fraction) -> None:
    verdict = compare(f"\\frac{{{one.numerator}}}{{{one.denominator}}}", str(other))
    assert (verdict.outcome == "same") == (one == other)


@given(st.text(max_size=200))
def test_no_text_breaks_the_comparison(text: str) -> None:
    for gold in ("5", r"\frac{1}{2}", "A", r"\text{Yes}", "(1, 2]", r"\{1, 2\}", "x^2+1"):
        assert compare(text, gold).outcome in ("same", "different", "undecided")
    assert compare("5", text).outcome in ("same", "different", "undecided", "bad_gold")


@given(st.text(alphabet="\\{}()[]^_$!%,;.+-*/=<>| 0159axe\n", max_size=120))
def test_no_soup_of_latex_breaks_the_comparison(text: str) -> None:
    for gold in ("5", "(1, 2]", r"\{1, 2\}", "x^2+1"):
        assert compare(text, gold).outcome in ("same", "different", "undecided")


@pytest.mark.parametrize("text", ["9^{9^9}", "100000!", r"\binom{10^9}{10^8}", "1e99999", "7" * 5_000, "9!!!!!!"])
def test_what_is_too_large_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(TooLargeError):
        read_number(text)
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize(
    "text", ["x", "1/0", "0/0", "0^0", "(1", "1 2", "sqrt(4)", "__import__", "1,2", "12:30", r"\sqrt{2}", "", "."]
)
def test_what_is_no_arithmetic_is_none(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize("text", ["101_2", "101_{2}", "101 base two", r"101_{\text{two}}", "101 (base 2)", "0101_2"])
def test_a_base_is_read_in_every_spelling(text: str) -> None:
    number = read_based(text)
    assert number is not None
    assert (number.digits, number.base, number.value) == ("101", "2", 5)


def test_what_has_an_index_is_no_number_in_a_base() -> None:
    assert read_based("x_1") is None
    assert read_based("a_n") is None


def test_a_digit_that_a_base_does_not_have_leaves_no_value() -> None:
    impossible = read_based("53_4")
    assert impossible is not None
    assert impossible.value is None


@pytest.mark.parametrize(
    ("answer", "gold", "is_same"),
    [
        ("0.333333", "1/3", True), ("0.33333", "1/3", False), ("0.333334", "1/3", False), ("1/3", "0.333", True),
        ("1/3", "0.33", False), ("2.0000004", "2", False), ("1.9999999", "2", False), ("0.0", "3e-7", False),
        ("0.066666793", "0.0666668", True), ("0.067", "0.066793", False), ("547001", "5.47e5", True),
        ("2/3", "0.666666", True),
    ],
)  # fmt: skip
def test_a_decimal_stands_for_what_rounds_to_it(answer: str, gold: str, is_same: bool) -> None:
    numbers: list[ExactNumber] = [number for text in (answer, gold) if (number := read_number(text)) is not None]
    assert same_number(*numbers) is is_same


def test_a_gold_with_a_huge_denominator_ends_in_a_verdict() -> None:
    """1/2004! has a denominator of 5,749 digits, more than Python writes out; it stands in a public pool."""
    assert compare("\\begin{pmatrix}8&1\\\\8&1\\end{pmatrix}", "1 / 2004!").reason == "beyond_limits"
    assert compare("\\frac{1}{2004!}", "1 / 2004!").outcome == "same"
