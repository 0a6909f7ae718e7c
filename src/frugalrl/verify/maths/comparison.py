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
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from frugalrl.verify.maths.clocks import read_clock, same_clock, same_hour
from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number
from frugalrl.verify.maths.extraction import unboxed
from frugalrl.verify.maths.latex_text import clean, compact, is_balanced, join_thousands, nesting_depth
from frugalrl.verify.maths.phrases import in_digits, spelled_out, strip_lead_in
from frugalrl.verify.maths.scopes import aligned, letters, read_statement, without_scope
from frugalrl.verify.maths.shapes import is_reversed_interval, read_shape
from frugalrl.verify.maths.structures import Shape, TooManyItemsError
from frugalrl.verify.maths.text_answers import choice_letter, choice_text, chooses, is_text, names_choice, same_words
from frugalrl.verify.maths.units import currency_sign, is_number
from frugalrl.verify.maths.values import GoldTooLargeError, Outcome, Symbolic, ask, compare_values
from frugalrl.verify.maths.vectors import read_axes

MAX_ANSWER_CHARS = 20_000
"""Longer answers are incorrect unread; a sum of 5,000 terms still fits."""
MAX_NESTING = 40
_DECIMAL_COMMA = re.compile(r"-?\d+,(?:\d{1,2}|\d{4,})")
"""``1000,99``: no number of thousands; a decimal where the gold is a single value."""
_CURRENCY_PREFIX = re.compile(r"^(?:USD?|AUD?|CAD?|HKD?|NTD?|SGD?) ?(?=\d)")
_MAX_BOUND = 3
_STRUCTURED = re.compile(r"\\(?:begin|cap|mid|le|ge)(?![A-Za-z])|[<>]")


@dataclass(frozen=True)
class Comparison:
    """An outcome with a short reason."""

    outcome: Outcome
    reason: str


_MOST_TELLING: tuple[Outcome, ...] = ("same", "undecided", "different", "bad_gold")


def most_telling(comparisons: Sequence[Comparison]) -> Comparison:
    """One comparison for several accepted answers: any match is enough.

    Without a match, a comparison that did not finish leaves it undecided; an answer that differs from a readable gold
    is different, whatever the unreadable ones say.
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
    is_choice = choice_letter(readable_gold) is not None
    if not is_choice and not is_balanced(cleaned) and not is_reversed_interval(cleaned):
        return Comparison("different", "unbalanced")
    try:
        outcome = _compare_prepared(cleaned, readable_gold, symbolic)
    except GoldTooLargeError:
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
    amount = _CURRENCY_PREFIX.sub("", cleaned.strip("€£¥₹₽ "))
    return f"{amount} \\text{{ {sign}}}" if is_number(spelled_out(amount)) else cleaned


def prepared_gold(gold: str) -> str | None:
    """A gold in cleaned form, or None if it is unclear what it accepts."""
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
    stripped = in_digits(join_thousands(strip_lead_in(answer)))
    gold = in_digits(join_thousands(strip_lead_in(gold)))
    if compact(stripped) == compact(gold):
        return "same"
    clock = read_clock(gold)
    if clock is not None:
        answer_clock = read_clock(stripped)
        is_same = same_clock(answer_clock, clock) if answer_clock else same_hour(clock, stripped)
        return "same" if is_same else "different"
    statement = read_statement(gold)
    if statement is not None:
        return _compare_statements(stripped, gold, symbolic)
    stripped, gold = _with_names_aligned(stripped, gold)
    if compact(stripped) == compact(gold):
        return "same"
    if is_text(gold):
        return "same" if same_words(stripped, gold) else _compare_as_lists(stripped, gold, symbolic)
    try:
        gold_shape = read_shape(gold)
    except TooManyItemsError:
        raise GoldTooLargeError from None
    if gold_shape.kind == "value" and _DECIMAL_COMMA.fullmatch(stripped):
        stripped = stripped.replace(",", ".")
    return _compare_shapes(read_shape(stripped), gold_shape, symbolic)


def _with_names_aligned(answer: str, gold: str) -> tuple[str, str]:
    """Both without what declares their names at the end, and with the same names for what is declared."""
    body, answer_names = without_scope(answer)
    gold_body, gold_names = without_scope(gold)
    if not answer_names and not gold_names:
        return answer, gold
    return aligned(body, gold_body, answer_names, gold_names), gold_body


def _compare_statements(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    """ "For all x in D: body": the quantifier, the domain and the body, whatever the name."""
    ours, theirs = read_statement(answer), read_statement(gold)
    if ours is None or theirs is None or (ours.quantifier, ours.domain) != (theirs.quantifier, theirs.domain):
        return "different"
    return _compare_prepared(aligned(ours.body, theirs.body, (ours.name,), (theirs.name,)), theirs.body, symbolic)


def _compare_as_lists(answer: str, gold: str, symbolic: Symbolic) -> Outcome:
    """Text golds of several parts ("red and blue"), in any order."""
    gold_shape, answer_shape = read_shape(gold), read_shape(answer)
    if gold_shape.kind != "list" or not answer_shape.is_collection:
        return "different"
    return _compare_shapes(answer_shape, gold_shape, symbolic)


# ---------------------------------------------------------------------------------------------- structures


def _compare_shapes(answer: Shape, gold: Shape, symbolic: Symbolic) -> Outcome:
    if gold.kind == "value" and answer.kind == "value":
        return compare_values(answer.text, gold.text, symbolic)
    if answer.kind == "value" and len(gold.items) == 1 and gold.is_collection:
        return _compare_shapes(answer, gold.items[0], symbolic)
    if gold.kind == "value" and len(answer.items) == 1 and answer.is_collection:
        return _compare_shapes(answer.items[0], gold, symbolic)
    if "chain" in (gold.kind, answer.kind):
        return _compare_chains(answer, gold, symbolic)
    if "builder" in (gold.kind, answer.kind):
        return _compare_builders(answer, gold, symbolic) if answer.kind == gold.kind else "different"
    if gold.brackets == "mod" and answer.brackets == "mod":
        return _compare_residues(answer, gold, symbolic)
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


def _compare_chains(answer: Shape, gold: Shape, symbolic: Symbolic) -> Outcome:
    """Chains of relations, member by member; what is written otherwise goes to algebra."""
    if answer.kind == gold.kind and answer.brackets == gold.brackets and len(answer.items) == len(gold.items):
        outcome = _compare_in_order(answer.items, gold.items, symbolic)
        if outcome != "different":
            return outcome
    is_relation = answer.kind == "chain" or (answer.variable and answer.kind == "tuple")
    is_gold_relation = gold.kind == "chain" or (gold.variable and gold.kind == "tuple")
    return ask(answer.text, gold.text, symbolic) if is_relation and is_gold_relation else "different"


def _compare_builders(answer: Shape, gold: Shape, symbolic: Symbolic) -> Outcome:
    """Sets by their elements and conditions, under any renaming of the letters that both only bind."""
    if len(answer.items) != len(gold.items):
        return "different"
    bound = _bound_letters(gold)
    own = _bound_letters(answer)
    if len(bound) != len(own) or len(bound) > _MAX_BOUND:
        return "different"
    best: Outcome = "different"
    for names in permutations(own):
        items = [
            Shape("value", aligned(item.text, "".join(bound), names, bound)) if names != bound else item
            for item in answer.items
        ]
        shapes = [read_shape(item.text) for item in items], [read_shape(item.text) for item in gold.items]
        outcome = _compare_shapes(shapes[0][0], shapes[1][0], symbolic)
        if outcome == "same":
            outcome = _compare_unordered(shapes[0][1:], tuple(shapes[1][1:]), symbolic)
        if outcome in ("same", "bad_gold"):
            return outcome
        best = "undecided" if "undecided" in (best, outcome) else best
    return best


def _bound_letters(builder: Shape) -> tuple[str, ...]:
    """The letters of the element, and those that a condition declares."""
    declared = [item.text.partition("\\in")[0] for item in builder.items[1:] if "\\in" in item.text]
    element = builder.items[0].text.partition("\\in")[0]
    return tuple(sorted(set().union(*(letters(text) for text in [element, *declared])) - {"e", "i"}))


def _compare_residues(answer: Shape, gold: Shape, symbolic: Symbolic) -> Outcome:
    """Congruences: the same modulus, and residues that differ by a multiple of it."""
    if answer.variable and gold.variable and answer.variable != gold.variable:
        return "different"
    numbers = [read_number(item.text) for item in (*answer.items, *gold.items)]
    if any(number is None for number in numbers):
        return _compare_in_order(answer.items, gold.items, symbolic)
    residue, modulus, gold_residue, gold_modulus = (number.value for number in numbers if number is not None)
    is_same = modulus == gold_modulus != 0 and (residue - gold_residue) % modulus == 0
    return "same" if is_same else "different"


def _without_repeats(items: tuple[Shape, ...]) -> list[Shape]:
    """A collection without what it names twice in the same words."""
    return list({compact(item.text): item for item in items}.values())


def _compare_mixed_kinds(answer: Shape, gold: Shape, symbolic: Symbolic) -> Outcome:
    """One side is a structure and the other a single value that may name one, such as a set difference."""
    if "tuple" in (gold.kind, answer.kind) and "value" in (gold.kind, answer.kind):
        tuple_side, value_side = (gold, answer) if gold.kind == "tuple" else (answer, gold)
        components = read_axes(value_side.text, len(tuple_side.items))
        if components is not None:
            shape = Shape("tuple", value_side.text, tuple(Shape("value", part) for part in components), "()", "")
            sides = (shape, gold) if answer is value_side else (answer, shape)
            return _compare_in_order(sides[0].items, sides[1].items, symbolic)
    if "\\setminus" in answer.text + gold.text or "\\mathbb" in answer.text + gold.text:
        return ask(answer.text, gold.text, symbolic)
    if gold.kind == "value" and not is_text(gold.text) and _has_structure(gold.text):
        return ask(answer.text, gold.text, symbolic)
    if answer.kind == "value" and _has_structure(answer.text):
        return ask(answer.text, gold.text, symbolic)
    return "different"


def _has_structure(text: str) -> bool:
    return _STRUCTURED.search(text) is not None


def _same_kind_of_tuple(answer: Shape, gold: Shape) -> bool:
    if "set" in (answer.kind, gold.kind) or "union" in (answer.kind, gold.kind):
        return False
    if answer.variable and gold.variable and answer.variable != gold.variable:
        return False
    if {answer.brackets, gold.brackets} & {"mod", "case"}:
        return answer.brackets == gold.brackets
    if {answer.variable, gold.variable} & {"row", "column"} and {answer.brackets, gold.brackets} <= {"()", "[]"}:
        return True
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
