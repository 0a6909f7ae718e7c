"""Equivalence of single values by computer algebra. The only importer of math-verify, and of sympy.

For worker processes alone: what a model wrote may take forever here, or all memory. What reaches it has passed
`admission`: known commands alone, so that nothing is looked up by name. math-verify parses (both sides in a box:
raw golds are misread, "(1, 2)" as 2) and compares what has a structure of its own (equations, sets, matrices),
gold first, since its `verify` is not symmetric. Values it would compare with an absolute tolerance, or by
`simplify`, are compared here instead: numbers to 20 digits, relative; expressions at random points (Schwartz 1980,
Zippel 1979).
"""

import logging
import random
import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from frugalrl.verify.maths.comparison import Outcome
from frugalrl.verify.maths.exact_numbers import ExactNumber, TooLargeError, read_number
from frugalrl.verify.maths.rounding import rounds_to_decimal

_WORKING_DIGITS = 40
_RELATIVE = Fraction(1, 10**20)
_RELATIVE_WITH_DECIMALS = Fraction(1, 10**6)
_POINTS = 5
_DECIMAL_POINT = re.compile(r"\d\.\d|(?<!\d)\.\d|\d[eE]-?\d")


def compare_symbolically(answer: str, gold: str) -> Outcome:
    """Whether two cleaned values are equivalent. May hang or run out of memory: call it where that is survived."""
    parsed_gold = _parse(gold)
    if parsed_gold is None:
        return "bad_gold"
    parsed_answer = _parse(answer)
    if parsed_answer is None:
        return "different"
    if _is_scalar(parsed_gold) and _is_scalar(parsed_answer):
        return "same" if _same_scalar(parsed_answer, parsed_gold, answer, gold) else "different"
    if _is_scalar(parsed_gold) != _is_scalar(parsed_answer):
        return "different"
    if _is_plain_claim(parsed_answer) or _is_plain_claim(parsed_gold):
        return "different"  # "51 = 201" and "52 = 201" are equally false, not the same answer
    if _verify(parsed_answer, parsed_gold) or _same_equation(parsed_answer, parsed_gold):
        return "same"
    return "different"


def _same_equation(answer: Any, gold: Any) -> bool:
    """Whether two equations in the same variables, two at least, differ by moving terms or by a constant factor.

    With one variable "2x = 10" is no answer where "x = 5" is asked for.
    """
    import sympy

    if not isinstance(answer, sympy.Eq) or not isinstance(gold, sympy.Eq):
        return False
    symbols = sorted(gold.free_symbols, key=str)
    if len(symbols) < 2 or answer.free_symbols != gold.free_symbols:
        return False
    answer_zero, gold_zero = answer.lhs - answer.rhs, gold.lhs - gold.rhs
    somewhere = {symbol: sympy.Rational(7 + 4 * index, 5) for index, symbol in enumerate(symbols)}
    at_answer, at_gold = answer_zero.subs(somewhere), gold_zero.subs(somewhere)
    if not at_answer.is_number or not at_gold.is_number or at_answer == 0 or at_gold == 0:
        return False
    return _same_at_points(answer_zero * at_gold, gold_zero * at_answer, symbols, _RELATIVE)


@lru_cache(maxsize=512)
def _parse(text: str) -> Any:
    """A sympy object, or None. Cached: the golds of a group are one."""
    import math_verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that our own deadline replaces its alarm
    boxed = f"\\boxed{{{_for_parser(text)}}}"
    parsed = math_verify.parse(
        boxed,
        _extraction(),
        fallback_mode="no_fallback",
        extraction_mode="first_match",  # the whole box or nothing: it would go on to any fraction inside
        parsing_timeout=None,
    )
    return parsed[0] if parsed else None


@cache
def _extraction() -> tuple[Any, ...]:
    """Only what stands in a box, and no units: it would read 2t as two tonnes, 3m as three metres."""
    import math_verify
    from math_verify.parser import NormalizationConfig

    normalization = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
    )
    return (math_verify.LatexExtractionConfig(boxed_match_priority=0, normalization_config=normalization),)


def _for_parser(text: str) -> str:
    """Spellings that its grammar does not know."""
    text = re.sub(r"(?<=\{) | (?=\})", "", re.sub(r"\\bar(?=\s?\{)", r"\\overline", text))
    text = re.sub(r"(?<![\\A-Za-z])(sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt)(?![A-Za-z])", r"\\\1", text)
    text = re.sub(r"(?<![\\A-Za-z])E ?(?=_)", r"\\Xi", text)  # it knows E as Euler's number alone
    text = re.sub(r"(\d+(?:\.\d+)?) ?\^ ?\\circ", r"(\\frac{\1\\pi}{180})", text)
    return re.sub(r"\\sqrt ?\(([^()]*)\)", r"\\sqrt{\1}", text)


def _verify(answer: Any, gold: Any) -> bool:
    import math_verify

    return bool(math_verify.verify(gold, answer, float_rounding=6, timeout_seconds=None, allow_set_relation_comp=True))


def _is_plain_claim(parsed: Any) -> bool:
    """Whether a relation or a truth value says nothing about any variable."""
    import sympy

    return isinstance(parsed, sympy.logic.boolalg.Boolean) and not parsed.free_symbols


def _is_scalar(parsed: Any) -> bool:
    import sympy

    return isinstance(parsed, sympy.Expr) and not isinstance(parsed, sympy.MatrixBase | sympy.MatrixExpr)


# ------------------------------------------------------------------------------------------------- scalars


def _same_scalar(answer: Any, gold: Any, answer_text: str, gold_text: str) -> bool:
    answer, gold = _done(_with_imaginary_unit(answer)), _done(_with_imaginary_unit(gold))
    if answer == gold:
        return not _is_undefined(gold)
    if _is_undefined(answer) or _is_undefined(gold):
        return False
    if answer.is_infinite or gold.is_infinite:
        return False
    symbols = sorted(answer.free_symbols | gold.free_symbols, key=str)
    if not symbols:
        return _same_constant(answer, gold, answer_text, gold_text)
    if not gold.free_symbols or not answer.free_symbols:
        return _same_at_points(answer, gold, symbols, _RELATIVE)
    decimals = _DECIMAL_POINT.search(answer_text) or _DECIMAL_POINT.search(gold_text)
    return _same_at_points(answer, gold, symbols, _RELATIVE_WITH_DECIMALS if decimals else _RELATIVE)


def _with_imaginary_unit(expression: Any) -> Any:
    """The letter i as the imaginary unit on both sides; math-verify takes it for a variable in some spellings."""
    import sympy

    return expression.subs({symbol: sympy.I for symbol in expression.free_symbols if symbol.name == "i"})


def _done(expression: Any) -> Any:
    """With its unevaluated parts worked out, decimals as the fractions they are."""
    import sympy

    return sympy.nsimplify(expression.doit(), rational=True) if expression.has(sympy.Float) else expression.doit()


def _is_undefined(expression: Any) -> bool:
    import sympy

    return bool(expression.has(sympy.nan, sympy.zoo))


def _same_constant(answer: Any, gold: Any, answer_text: str, gold_text: str) -> bool:
    answer_value, gold_value = _value(answer), _value(gold)
    if answer_value is None or gold_value is None:
        return False
    if _close(answer_value, gold_value, _RELATIVE):
        return True
    (answer_real, answer_imaginary), (gold_real, gold_imaginary) = answer_value, gold_value
    if answer_imaginary or gold_imaginary:
        return False
    answer_decimal, gold_decimal = _decimal(answer_text), _decimal(gold_text)
    if answer_decimal is None and gold_decimal is None:
        has_decimals = _DECIMAL_POINT.search(answer_text) or _DECIMAL_POINT.search(gold_text)
        return has_decimals is not None and _close(answer_value, gold_value, _RELATIVE_WITH_DECIMALS)
    exact = gold_real if answer_decimal is not None else answer_real
    return rounds_to_decimal(exact, answer_decimal, gold_decimal)


def _decimal(text: str) -> ExactNumber | None:
    try:
        number = read_number(text)
    except TooLargeError:
        return None
    return number if number is not None and number.significant_digits is not None else None


_Complex = tuple[Fraction, Fraction]


def _value(expression: Any, point: dict[Any, Any] | None = None) -> _Complex | None:
    """Real and imaginary part to 40 digits; None where it has no value or no trustworthy digits."""
    number = expression.evalf(_WORKING_DIGITS, subs=point) if point else expression.evalf(_WORKING_DIGITS)
    if point and number.free_symbols:
        number = expression.subs(point).doit().evalf(_WORKING_DIGITS)
    real, imaginary = number.as_real_imag()
    parts = []
    for part in (real, imaginary):
        if not part.is_number or not part.is_finite or not part.is_Number:
            return None
        parts.append(Fraction(str(part)) if part.is_Float else Fraction(int(part.p), int(part.q)))
    return parts[0], parts[1]


def _close(one: _Complex, other: _Complex, relative: Fraction) -> bool:
    """Whether two values differ by no more than a share of the larger one; nothing is close to zero."""
    scale = max(abs(part) for part in (*one, *other))
    return all(abs(a - b) <= relative * scale for a, b in zip(one, other, strict=True))


def _same_at_points(answer: Any, gold: Any, symbols: Sequence[Any], relative: Fraction) -> bool:
    """Equal at random points. Where an expression has no value (roots of negatives, logarithms) others are drawn."""
    import sympy

    rng = random.Random(20)  # a verdict must not change from one call to the next
    met = 0
    for attempt in range(3 * _POINTS):
        low, high = ((1, 3000), (-3000, -1), (-3000, 3000))[attempt % 3]  # sqrt(x^2) is x for positive x alone
        point = {symbol: sympy.Rational(rng.randint(low, high), 1009) for symbol in symbols}
        values = [_value(expression, point) for expression in (answer, gold)]
        if values[0] is None and values[1] is None:
            continue
        if values[0] is None or values[1] is None or not _close(values[0], values[1], relative):
            return False
        met += 1
        if met == _POINTS:
            return True
    return met > 0 or _verify(answer, gold)
