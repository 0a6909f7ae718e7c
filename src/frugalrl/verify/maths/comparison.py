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
from typing import Literal

from frugalrl.verify.maths.admission import is_admissible
from frugalrl.verify.maths.exact_numbers import (
    ExactNumber,
    TooLargeError,
    based_number,
    is_clock,
    read_number,
    value_in_base,
)
from frugalrl.verify.maths.extraction import unboxed
from frugalrl.verify.maths.latex_text import clean, compact, is_balanced, nesting_depth
from frugalrl.verify.maths.rounding import same_number
from frugalrl.verify.maths.shapes import Shape, TooManyItemsError, is_name, is_reversed_interval, read_shape, sides
from frugalrl.verify.maths.text_answers import (
    choice_letter,
    chooses,
    holds_long_word,
    holds_words,
    is_text,
    same_clock,
    same_words,
)
from frugalrl.verify.maths.units import split_unit, strip_lead_in, units_clash, with_magnitude

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
    cleaned = cleaned.strip(" ,;")
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
        return "same" if chooses(answer, letter) else "different"
    stripped = strip_lead_in(answer)
    gold = strip_lead_in(gold)
    if compact(stripped) == compact(gold):
        return "same"
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
    if is_clock(gold) or is_clock(answer):
        return "same" if same_clock(answer, gold) else "different"
    based = _compare_based(answer, gold)
    if based is not None:
        return based
    answer_value, answer_unit = split_unit(with_magnitude(answer))
    gold_value, gold_unit = split_unit(with_magnitude(gold))
    if units_clash(answer_unit, gold_unit):
        return "different"
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
    return _ask(_spelled(answer_value, answer_number), _spelled(gold_value, gold_number), symbolic)


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
    gold_based, answer_based = based_number(gold), based_number(answer)
    if gold_based is not None and answer_based is not None:
        return "same" if gold_based == answer_based else "different"
    if gold_based is not None:
        digits = compact(answer).lower().lstrip("0")
        return "same" if digits == gold_based[0] else "different"
    if answer_based is not None:
        gold_number = _gold_number(gold)
        if gold_number is None:
            return None
        return "same" if value_in_base(*answer_based) == gold_number.value else "different"
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
