"""Single values: numbers, units, angles, names in front of them, and what only algebra can tell.

Called by `comparison`, which takes structures apart. Values are text; computer algebra is a function given in.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

from frugalrl.verify.maths.admission import is_admissible
from frugalrl.verify.maths.bases import read_based
from frugalrl.verify.maths.clocks import read_clock, same_hour
from frugalrl.verify.maths.exact_numbers import ExactNumber, TooLargeError, read_number
from frugalrl.verify.maths.latex_text import compact
from frugalrl.verify.maths.phrases import spelled_out, strip_lead_in
from frugalrl.verify.maths.rounding import same_number
from frugalrl.verify.maths.scopes import letters, renamed
from frugalrl.verify.maths.shapes import is_name, sides
from frugalrl.verify.maths.text_answers import holds_long_word, holds_words, is_text, same_words
from frugalrl.verify.maths.units import Unit, conversion, is_number, split_unit

Outcome = Literal["same", "different", "undecided", "bad_gold"]
Symbolic = Callable[[str, str], Outcome]
"""Answer and gold, both single values in cleaned LaTeX, to an outcome."""

MAX_SYMBOLIC_CHARS = 1_000
"""Longest value that computer algebra is asked about; the longest gold of the benchmarks has 280."""
_LONE_VARIABLE = re.compile(r"[a-df-hj-zA-Z](?: ?_ ?\{?\w{1,3}\}?)?")
"""No number is a variable; e and i are numbers."""
_VARIABLE = re.compile(r"(?<![\\A-Za-z])[a-df-hj-zA-Z](?![A-Za-z])")
_MAX_SPELLED_BITS = 3_000
_FUNCTION_SIDE = re.compile(r"y|[a-zA-Z] ?\( ?[a-z] ?\)")
_CALL = re.compile(r"([A-Za-z]'{0,2}) ?(?:\( ?(?P<argument>[a-z]) ?\)|_ ?\{? ?(?P<index>[a-z]) ?\}?)")
"""``f(x)`` and ``a_n``: a name with a variable that it binds."""


class GoldTooLargeError(Exception):
    """The gold is beyond the bounds, whatever the answer is."""


def compare_values(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    if compact(answer) == compact(gold):
        return "same"
    gold_sides, answer_sides = sides(gold), sides(answer)
    if len(gold_sides) == 1 and len(answer_sides) == 1:
        return _compare_plain(answer, gold, symbolic)
    gold_name, gold_value = _named(gold_sides)
    if gold_value is None:
        return "different" if len(answer_sides) == 1 else ask(answer, gold, symbolic)
    answer, answer_sides = _with_same_argument(answer, answer_sides, gold_name)
    answer_name = answer_sides[0] if len(answer_sides) > 1 and is_name(answer_sides[0]) else ""
    if gold_name and answer_name and not _same_name(gold_name, answer_name):
        return "different"
    if len(answer_sides) == 2 and not answer_name and gold_name and _VARIABLE.search(gold_value):
        return ask(answer, gold, symbolic)  # "2x - y = 3" for "y = 2x - 3"
    members = answer_sides[1:] if answer_name else answer_sides
    outcomes = [_compare_plain(member, gold_value, symbolic) for member in members]
    for outcome in ("bad_gold", "different", "undecided"):
        if outcome in outcomes:
            return outcome
    return "same"


def _with_same_argument(answer: str, answer_sides: list[str], gold_name: str) -> tuple[str, list[str]]:
    """``f(t) = t^2`` as ``f(x) = x^2`` where the gold says f(x), if x is free: an argument is a name like any other."""
    gold_call, answer_call = _CALL.fullmatch(gold_name), _CALL.fullmatch(answer_sides[0])
    if gold_call is None or answer_call is None or gold_call.group(1) != answer_call.group(1):
        return answer, answer_sides
    old, new = _bound(answer_call), _bound(gold_call)
    if old == new or new in letters(answer):
        return answer, answer_sides
    answer = renamed(answer, old, new)
    return answer, sides(answer)


def _bound(call: re.Match[str]) -> str:
    return call.group("argument") or call.group("index")


def _named(gold_sides: list[str]) -> tuple[str, str | None]:
    """Name and value of a gold; no value if it is an equation that names nothing."""
    if len(gold_sides) == 1:
        return "", gold_sides[0]
    return (gold_sides[0], gold_sides[-1]) if is_name(gold_sides[0]) else ("", None)


def _same_name(one: str, other: str) -> bool:
    """Whether two left sides may name the same thing: equal, or both a function's value (y, f(x))."""
    one_call, other_call = _CALL.fullmatch(one), _CALL.fullmatch(other)
    if one_call and other_call and one_call.group(1) == other_call.group(1) and _bound(one_call) != _bound(other_call):
        return False  # the argument could not be renamed
    if (
        sorted(compact(one).split("+")) == sorted(compact(other).split("+"))
        or "\\text" in one + other
        or min(len(one), len(other)) > 8
    ):
        return True
    return _FUNCTION_SIDE.fullmatch(one) is not None and _FUNCTION_SIDE.fullmatch(other) is not None


def _compare_plain(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    """Single values without an equals sign: numbers, text, and what only algebra can tell."""
    answer = _before_approximation(strip_lead_in(answer))
    if compact(answer) == compact(gold):
        return "same"
    if is_text(gold):
        return "same" if same_words(answer, gold) else "different"
    based = _compare_based(answer, gold)
    if based is not None:
        return based
    clock = read_clock(answer)
    if clock is not None:
        return "same" if same_hour(clock, gold) else "different"
    answer_value, answer_unit = split_unit(spelled_out(answer))
    gold_value, gold_unit = split_unit(spelled_out(gold))
    factor = conversion(answer_unit, gold_unit)
    if factor is None:
        ours, theirs = _angle_in_radians(answer_value, answer_unit), _angle_in_radians(gold_value, gold_unit)
        return "different" if ours is None or theirs is None else ask(ours, theirs, symbolic)
    if factor != 1:
        answer_value = _scaled(answer_value, factor)
    gold_number = _gold_number(gold_value)
    answer_number = read_number(answer_value)
    if gold_number is not None and answer_number is not None:
        return "same" if same_number(answer_number, gold_number) else "different"
    if gold_number is not None and _LONE_VARIABLE.fullmatch(answer_value):
        return "different"
    if holds_long_word(gold_value):
        return "same" if same_words(answer, gold) else "different"
    if not answer_value or holds_words(answer_value):
        return "different"
    answer_value, gold_value = _without_percent(answer_value, gold_value)
    return ask(_spelled(answer_value, answer_number), _spelled(gold_value, gold_number), symbolic)


def _without_percent(answer: str, gold: str) -> tuple[str, str]:
    """Expressions without their percent signs; a sign on the answer alone divides it by 100."""
    if read_number(answer) is not None or not answer.endswith("%"):
        return answer, gold.removesuffix("%") if not is_number(gold) else gold
    answer = answer.removesuffix("%").strip()
    return (answer, gold.removesuffix("%").strip()) if gold.endswith("%") else (f"({answer})\\frac{{1}}{{100}}", gold)


def _angle_in_radians(value: str, unit: Unit) -> str | None:
    """An angle whose unit is said, as a text in radians."""
    if unit.words not in ("degree", "radian"):
        return None
    return f"({value})\\frac{{\\pi}}{{180}}" if unit.words == "degree" else value


def _scaled(text: str, factor: Fraction) -> str:
    """A value in another unit: an exact decimal again if it was one, so that it may still be a rounded one."""
    number = read_number(text)
    if number is None:
        return f"({text})\\frac{{{factor.numerator}}}{{{factor.denominator}}}"
    value = number.value * factor
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def _spelled(text: str, number: ExactNumber | None) -> str:
    """An exact number as a plain fraction: the parser knows no mixed numbers and no thousands."""
    if number is None or (number.significant_digits is not None and not number.percent):
        return text
    if max(number.value.numerator.bit_length(), number.value.denominator.bit_length()) > _MAX_SPELLED_BITS:
        raise TooLargeError
    return f"\\frac{{{number.value.numerator}}}{{{number.value.denominator}}}"


def _gold_number(text: str) -> ExactNumber | None:
    try:
        return read_number(text)
    except TooLargeError:
        raise GoldTooLargeError from None


def _before_approximation(text: str) -> str:
    """The exact side of ``\\frac{\\sqrt{3}}{3} \\approx 0.577``; the value of ``x \\approx 5``."""
    left, sign, right = text.partition("\\approx")
    if not sign or not left.strip():
        return right.strip() if sign else text
    return right.strip() if is_name(left.strip()) else left.strip()


def _compare_based(answer: str, gold: str) -> Outcome | None:
    """Numbers in a stated base; None if neither side is one."""
    gold_based, answer_based = read_based(gold), read_based(answer)
    if gold_based is not None and answer_based is not None:
        return "same" if gold_based == answer_based else "different"
    if gold_based is not None:
        digits = compact(answer).lower().lstrip("0")
        return "same" if digits == gold_based.digits else "different"
    if answer_based is not None:
        gold_number = _gold_number(gold)
        if gold_number is None:
            return "different" if answer_based.value is not None else None
        return "same" if answer_based.value == gold_number.value else "different"
    return None


def ask(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    if len(gold) > MAX_SYMBOLIC_CHARS:
        raise GoldTooLargeError
    if len(answer) > MAX_SYMBOLIC_CHARS:
        raise TooLargeError
    if not is_admissible(gold):
        return "bad_gold"
    if not is_admissible(answer):
        return "different"
    return symbolic(answer, gold)
