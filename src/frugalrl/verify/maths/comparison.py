"""Whether an answer is the gold answer: structure and exact numbers here, symbols through a function given in.

`compare` is three-valued on purpose. With the default `symbolic` it decides what needs no computer algebra and
says "undecided" for the rest; a worker process calls it again with one that can decide (`symbolic`). So both
places follow one policy, and the training process itself never evaluates what a model wrote.

The policy on meaning, each line held by tests:

- Numbers are compared exactly. A decimal may stand for a value that it rounds to: six significant digits are
  needed in an answer, three in a gold. There is no absolute tolerance.
- A percent sign is a factor of 1/100; a gold with the sign also accepts the bare number.
- A unit may be left away on either side; known units that differ are different answers. Degrees are a unit.
- A base is part of a number; an answer may leave the gold's base away.
- Lists and sets are unordered, tuples and intervals ordered with their brackets; a bare list in the gold's order
  passes for a tuple. An inequality is the interval it describes.
- "x = 5" names its value. In a chain of equations every member must equal the gold: "4 = 5" is no 5.
- Text is compared as words, a choice by its letter; nothing with words in it is ever computed.
- An answer beyond the bounds (length, nesting, size of its value) is incorrect; a gold beyond them is unreadable.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from frugalrl.verify.maths.admission import is_admissible
from frugalrl.verify.maths.exact_numbers import (
    ExactNumber,
    TooLargeError,
    read_number,
)
from frugalrl.verify.maths.bases import read_based
from frugalrl.verify.maths.clocks import read_clock, same_clock, same_hour
from frugalrl.verify.maths.extraction import unboxed
from frugalrl.verify.maths.latex_text import clean, compact, is_balanced, join_thousands, nesting_depth
from frugalrl.verify.maths.phrases import spelled_out, strip_lead_in
from frugalrl.verify.maths.rounding import same_number
from frugalrl.verify.maths.shapes import Shape, TooManyItemsError, is_name, is_reversed_interval, read_shape, sides
from frugalrl.verify.maths.text_answers import (
    choice_letter,
    choice_text,
    chooses,
    holds_long_word,
    holds_words,
    is_text,
    names_choice,
    same_words,
)
from frugalrl.verify.maths.units import Unit, conversion, currency_sign, is_number, split_unit

Outcome = Literal["same", "different", "undecided", "bad_gold"]
Symbolic = Callable[[str, str], Outcome]
"""Answer and gold, both single values in cleaned LaTeX, to an outcome."""

MAX_ANSWER_CHARS = 20_000
"""Longer answers are incorrect unread; a sum of 5,000 terms still fits."""
MAX_SYMBOLIC_CHARS = 1_000
"""Longest value that computer algebra is asked about; the longest gold of the benchmarks has 280."""
MAX_NESTING = 40
_DECIMAL_COMMA = re.compile(r"-?\d+,(?:\d{1,2}|\d{4,})")
"""``1000,99``: no number of thousands; a decimal where the gold is a single value."""
_STRUCTURED = re.compile(r"\\(?:begin|cap|mid|le|ge)(?![A-Za-z])|[<>]")
_LONE_VARIABLE = re.compile(r"[a-df-hj-zA-Z](?: ?_ ?\{?\w{1,3}\}?)?")
"""No number is a variable; e and i are numbers."""
_VARIABLE = re.compile(r"(?<![\\A-Za-z])[a-df-hj-zA-Z](?![A-Za-z])")
_MAX_SPELLED_BITS = 3_000
_FUNCTION_SIDE = re.compile(r"y|[a-zA-Z] ?\( ?[a-z] ?\)")


@dataclass(frozen=True)
class Comparison:
    """An outcome with its reason in a word or two."""

    outcome: Outcome
    reason: str


class _GoldTooLargeError(Exception):
    """The gold is beyond the bounds, whatever the answer is."""


_MOST_TELLING: tuple[Outcome, ...] = ("same", "undecided", "different", "bad_gold")


def most_telling(comparisons: Sequence[Comparison]) -> Comparison:
    """One comparison for several accepted answers: any match is enough.

    Without a match, one that might have matched and came to no end leaves it undecided; an answer that differs
    from a readable gold is different, whatever the unreadable ones say.
    """
    for outcome in _MOST_TELLING:
        for comparison in comparisons:
            if comparison.outcome == outcome:
                return comparison
    return Comparison("bad_gold", "empty_gold")


def undecided(_answer: str, _gold: str) -> Outcome:
    """The symbolic comparison of a process that must not do any."""
    return "undecided"


def compare(answer: str, gold: str, symbolic: Symbolic = undecided) -> Comparison:
    """Whether an extracted answer is equivalent to one accepted gold answer."""
    readable_gold = prepared_gold(gold)
    if readable_gold is None:
        return Comparison("bad_gold", "unparseable_gold" if gold.strip() else "empty_gold")
    if len(answer) > MAX_ANSWER_CHARS:
        return Comparison("different", "too_long")
    cleaned = clean(unboxed(answer))
    if cleaned is None:
        return Comparison("different", "unreadable_characters")
    cleaned = _with_currency(unboxed(answer), cleaned.strip(" ,;"))
    readable_gold = _with_currency(unboxed(gold), readable_gold)
    if compact(cleaned) == compact(readable_gold):
        return Comparison("same", "equal")
    if nesting_depth(cleaned) > MAX_NESTING:
        return Comparison("different", "too_deep")
    if not is_balanced(cleaned) and not is_reversed_interval(cleaned):
        return Comparison("different", "unbalanced")
    try:
        outcome = _compare_prepared(cleaned, readable_gold, symbolic)
    except _GoldTooLargeError:
        return Comparison("bad_gold", "gold_beyond_limits")
    except (TooLargeError, TooManyItemsError):
        return Comparison("different", "beyond_limits")
    reason = {"same": "equal", "bad_gold": "unparseable_gold"}.get(outcome, outcome)
    return Comparison(outcome, reason)


def _with_currency(stored: str, cleaned: str) -> str:
    """An amount of money with its currency in words; cleaning drops the sign."""
    sign = currency_sign(stored)
    if not sign:
        return cleaned
    amount = cleaned.strip("€£¥₹₽ ")
    return f"{amount} \\text{{ {sign}}}" if is_number(spelled_out(amount)) else cleaned


def prepared_gold(gold: str) -> str | None:
    """A gold in cleaned form, or None if nobody could say what it accepts."""
    if len(gold) > MAX_ANSWER_CHARS:
        return None
    cleaned = clean(unboxed(gold))
    if cleaned is None:
        return None
    cleaned = cleaned.strip(" ,;")
    if not re.search(r"[^\W_]|\\infty|\\emptyset|\\\{ ?\\\}", cleaned):
        return None
    if nesting_depth(cleaned) > MAX_NESTING:
        return None
    if not is_balanced(cleaned) and not is_reversed_interval(cleaned) and not choice_letter(cleaned):
        return None
    return cleaned


def _compare_prepared(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    letter = choice_letter(gold)
    if letter is not None:
        text = choice_text(gold)
        if chooses(answer, letter):
            return "same"
        return _compare_prepared(answer, text, symbolic) if text and not names_choice(answer) else "different"
    stripped = join_thousands(strip_lead_in(answer))
    gold = join_thousands(strip_lead_in(gold))
    if compact(stripped) == compact(gold):
        return "same"
    clock = read_clock(gold)
    if clock is not None:
        answer_clock = read_clock(stripped)
        is_same = same_clock(answer_clock, clock) if answer_clock else same_hour(clock, stripped)
        return "same" if is_same else "different"
    if is_text(gold):
        return "same" if same_words(stripped, gold) else _compare_as_lists(stripped, gold, symbolic)
    try:
        gold_shape = read_shape(gold)
    except TooManyItemsError:
        raise _GoldTooLargeError from None
    if gold_shape.kind == "value" and _DECIMAL_COMMA.fullmatch(stripped):
        stripped = stripped.replace(",", ".")
    return _compare_shapes(read_shape(stripped), gold_shape, symbolic)


def _compare_as_lists(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    """Text golds of several parts ("red and blue"), in any order."""
    gold_shape, answer_shape = read_shape(gold), read_shape(answer)
    if gold_shape.kind != "list" or not answer_shape.is_collection:
        return "different"
    return _compare_shapes(answer_shape, gold_shape, symbolic)


# ---------------------------------------------------------------------------------------------- structures


def _compare_shapes(answer: Shape, gold: Shape, symbolic: Symbolic) -> Outcome:
    if gold.kind == "value" and answer.kind == "value":
        return _compare_values(answer.text, gold.text, symbolic)
    if answer.kind == "value" and len(gold.items) == 1 and gold.is_collection:
        return _compare_shapes(answer, gold.items[0], symbolic)
    if gold.kind == "value" and len(answer.items) == 1 and answer.is_collection:
        return _compare_shapes(answer.items[0], gold, symbolic)
    if gold.kind == "value" or answer.kind == "value":
        return _compare_mixed_kinds(answer, gold, symbolic)
    if gold.is_collection and answer.is_collection:
        items = _without_repeats(answer.items) if len(answer.items) > len(gold.items) else list(answer.items)
        return _compare_unordered(items, gold.items, symbolic) if len(items) == len(gold.items) else "different"
    if len(answer.items) != len(gold.items):
        return "different"
    if not _same_kind_of_tuple(answer, gold):
        return "different"
    return _compare_in_order(answer.items, gold.items, symbolic)


def _without_repeats(items: tuple[Shape, ...]) -> list[Shape]:
    """A collection without what it names twice in the same words."""
    return list({compact(item.text): item for item in items}.values())


def _compare_mixed_kinds(answer: Shape, gold: Shape, symbolic: Symbolic) -> Outcome:
    """One side is a structure and the other a single value that may name one, such as a set difference."""
    if "\\setminus" in answer.text + gold.text or "\\mathbb" in answer.text + gold.text:
        return _ask(answer.text, gold.text, symbolic)
    if gold.kind == "value" and not is_text(gold.text) and _has_structure(gold.text):
        return _ask(answer.text, gold.text, symbolic)
    if answer.kind == "value" and _has_structure(answer.text):
        return _ask(answer.text, gold.text, symbolic)
    return "different"


def _has_structure(text: str) -> bool:
    return _STRUCTURED.search(text) is not None


def _same_kind_of_tuple(answer: Shape, gold: Shape) -> bool:
    if "set" in (answer.kind, gold.kind) or "union" in (answer.kind, gold.kind):
        return False
    if answer.variable and gold.variable and answer.variable != gold.variable:
        return False
    return answer.brackets == gold.brackets or "list" in (answer.kind, gold.kind) or len(gold.items) > 2


def _compare_in_order(answers: tuple[Shape, ...], golds: tuple[Shape, ...], symbolic: Symbolic) -> Outcome:
    outcomes: list[Outcome] = []
    for answer, gold in zip(answers, golds, strict=True):
        outcome = _compare_shapes(answer, gold, symbolic)
        if outcome in ("different", "bad_gold"):
            return outcome
        outcomes.append(outcome)
    return "undecided" if "undecided" in outcomes else "same"


def _compare_unordered(answers: list[Shape], golds: tuple[Shape, ...], symbolic: Symbolic) -> Outcome:
    """Every gold item takes one answer item that is the same; the exact and textual matches are taken first."""
    left = list(golds)
    for gold in golds:
        twin = next((answer for answer in answers if compact(answer.text) == compact(gold.text)), None)
        if twin is not None:
            answers.remove(twin)
            left.remove(gold)
    doubtful = False
    for gold in left:
        outcomes = []
        for answer in answers:
            outcomes.append(_compare_shapes(answer, gold, symbolic))
            if outcomes[-1] in ("same", "bad_gold"):
                break
        if "bad_gold" in outcomes:
            return "bad_gold"
        if outcomes[-1] == "same":
            del answers[len(outcomes) - 1]
        elif "undecided" in outcomes:
            doubtful = True
        else:
            return "different"
    return "undecided" if doubtful else "same"


# -------------------------------------------------------------------------------------------------- values


def _compare_values(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    if compact(answer) == compact(gold):
        return "same"
    gold_sides, answer_sides = sides(gold), sides(answer)
    if len(gold_sides) == 1 and len(answer_sides) == 1:
        return _compare_plain(answer, gold, symbolic)
    gold_name, gold_value = _named(gold_sides)
    if gold_value is None:
        return "different" if len(answer_sides) == 1 else _ask(answer, gold, symbolic)
    answer_name = answer_sides[0] if len(answer_sides) > 1 and is_name(answer_sides[0]) else ""
    if gold_name and answer_name and not _same_name(gold_name, answer_name):
        return "different"
    if len(answer_sides) == 2 and not answer_name and gold_name and _VARIABLE.search(gold_value):
        return _ask(answer, gold, symbolic)  # "2x - y = 3" for "y = 2x - 3"
    members = answer_sides[1:] if answer_name else answer_sides
    outcomes = [_compare_plain(member, gold_value, symbolic) for member in members]
    for outcome in ("bad_gold", "different", "undecided"):
        if outcome in outcomes:
            return outcome
    return "same"


def _named(gold_sides: list[str]) -> tuple[str, str | None]:
    """Name and value of a gold; no value if it is an equation that names nothing."""
    if len(gold_sides) == 1:
        return "", gold_sides[0]
    return (gold_sides[0], gold_sides[-1]) if is_name(gold_sides[0]) else ("", None)


def _same_name(one: str, other: str) -> bool:
    """Whether two left sides may name the same thing: equal, or both a function's value (y, f(x))."""
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
        in_radians = _angle_in_radians(answer_value, answer_unit), _angle_in_radians(gold_value, gold_unit)
        return "different" if None in in_radians else _ask(*in_radians, symbolic)
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
    return _ask(_spelled(answer_value, answer_number), _spelled(gold_value, gold_number), symbolic)


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
        raise _GoldTooLargeError from None


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


def _ask(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    if len(gold) > MAX_SYMBOLIC_CHARS:
        raise _GoldTooLargeError
    if len(answer) > MAX_SYMBOLIC_CHARS:
        raise TooLargeError
    if not is_admissible(gold):
        return "bad_gold"
    if not is_admissible(answer):
        return "different"
    return symbolic(answer, gold)
