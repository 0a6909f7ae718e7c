"""Equivalence of single values by computer algebra. The only importer of math-verify.

For worker processes alone: what a model wrote may take forever here, or all memory. What reaches it has passed
`admission`: known commands alone, so that nothing is looked up by name. math-verify parses (both sides in a box:
raw golds are misread, "(1, 2)" as 2) and compares what has a structure of its own (equations, sets, matrices),
gold first, since its `verify` is not symmetric. Values it would compare with an absolute tolerance, or by
`simplify`, are compared by `identity` instead.

What its grammar drops is kept by another name (`notation`): primes, transposes, indices of several signs.
"""

import logging
from functools import cache
from typing import Any

from frugalrl.verify.maths.exact_numbers import ExactNumber, TooLargeError, read_number
from frugalrl.verify.maths.identity import Sides, same_at_points, same_value, value_of
from frugalrl.verify.maths.notation import for_parser, is_opaque, uses_both_cases
from frugalrl.verify.maths.rounding import rounds_to_decimal
from frugalrl.verify.maths.values import Outcome


def compare_symbolically(answer: str, gold: str) -> Outcome:
    """Whether two cleaned values are equivalent. May hang or run out of memory: call it where that is survived."""
    if is_opaque(gold) or is_opaque(answer):
        return "different"  # equal spellings were found before
    _begin_afresh()
    cased = uses_both_cases(gold) or uses_both_cases(answer)
    parsed_gold = _plain_symbols(_parse(gold, cased))
    if parsed_gold is None:
        return "bad_gold"
    parsed_answer = _plain_symbols(_parse(answer, cased))
    if parsed_answer is None:
        return "different"
    if _is_scalar(parsed_gold) and _is_scalar(parsed_answer):

        def reread(text: str) -> Any:
            return _done(_plain_symbols(_parse(text, cased)))

        return "same" if _same_scalar(parsed_answer, parsed_gold, Sides(answer, gold, reread)) else "different"
    if _is_scalar(parsed_gold) != _is_scalar(parsed_answer):
        return "different"
    if _is_plain_claim(parsed_answer) or _is_plain_claim(parsed_gold):
        return "different"  # "51 = 201" and "52 = 201" are equally false, not the same answer
    if _verify(parsed_answer, parsed_gold) or _same_equation(parsed_answer, parsed_gold):
        return "same"
    return "different"


def _begin_afresh() -> None:
    """Forget the comparisons before this one, so that a verdict depends on its two texts alone.

    sympy shuffles what it tries, by the clock if it is not told, and its cache decides which way it takes: a pair
    took 0.03 s or for ever, by what had been asked before.
    """
    from sympy.core.cache import clear_cache
    from sympy.core.random import seed

    clear_cache()
    seed(2)


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
    sides = Sides(str(answer_zero), str(gold_zero), _parse)
    return same_at_points(answer_zero * at_gold, gold_zero * at_answer, symbols, sides) is True


def _parse(text: str, cased: bool = False) -> Any:
    """A sympy object, or None. Not kept for the next comparison: sympy notes on an object what it found out."""
    import math_verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that our own deadline replaces its alarm
    boxed = f"\\boxed{{{for_parser(text, cased)}}}"
    parsed = math_verify.parse(
        boxed,
        _extraction(),
        fallback_mode="no_fallback",
        extraction_mode="first_match",  # the complete box or nothing: it would fall back to any fraction inside
        parsing_timeout=None,
    )
    return parsed[0] if parsed else None


@cache
def _extraction() -> tuple[Any, ...]:
    """Only what is in a box, and no units: it would read 2t as two tonnes, 3m as three metres."""
    import math_verify
    from math_verify.parser import NormalizationConfig

    normalization = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
    )
    return (math_verify.LatexExtractionConfig(boxed_match_priority=0, normalization_config=normalization),)


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


def _same_scalar(answer: Any, gold: Any, sides: Sides) -> bool:
    answer, gold = _done(answer), _done(gold)
    if answer == gold:
        return not _is_undefined(gold)
    if _is_undefined(answer) or _is_undefined(gold):
        return False
    if answer.is_infinite or gold.is_infinite:
        return False
    if _same_real_value(answer, gold, sides):
        return True
    real_answer, real_gold = _with_real_roots(answer), _with_real_roots(gold)
    if (real_answer, real_gold) == (answer, gold):
        return False
    return bool(real_answer == real_gold) or _same_real_value(real_answer, real_gold, sides)


def _same_real_value(answer: Any, gold: Any, sides: Sides) -> bool:
    symbols = sorted(answer.free_symbols | gold.free_symbols, key=str)
    if not symbols:
        return _same_constant(answer, gold, sides)
    same = same_at_points(answer, gold, symbols, sides)
    return _verify(answer, gold) if same is None else same


def _with_real_roots(expression: Any) -> Any:
    """Odd roots as the real ones of school: the cube root of -8 is -2."""
    import sympy

    def real_root(base: Any, exponent: Any) -> Any:
        power = sympy.Abs(base) ** exponent
        return power * sympy.sign(base) if exponent.p % 2 else power

    return expression.replace(
        lambda part: (
            part.is_Pow
            and part.exp.is_Rational
            and part.exp.q % 2 == 1
            and part.exp.q > 1
            and part.base.is_nonnegative is not True
            and part.base.is_real is not False
        ),
        lambda part: real_root(part.base, part.exp),
    )


def _plain_symbols(parsed: Any) -> Any:
    """With one kind of symbol for every name, and a free i as the imaginary unit.

    math-verify makes symbols real or not by what else stands in a text, so that one name is two symbols.
    """
    import sympy

    if not isinstance(parsed, sympy.Basic):
        return parsed
    plain = parsed.xreplace({one: sympy.Symbol(one.name, real=True) for one in parsed.atoms(sympy.Symbol)})
    unit = sympy.Symbol("i", real=True)
    return plain.subs(unit, sympy.I) if unit in getattr(plain, "free_symbols", ()) else plain


def _done(expression: Any) -> Any:
    """With its unevaluated parts worked out, decimals as the fractions they are."""
    import sympy

    if expression is None:
        return None
    return sympy.nsimplify(expression.doit(), rational=True) if expression.has(sympy.Float) else expression.doit()


def _is_undefined(expression: Any) -> bool:
    import sympy

    return bool(expression.has(sympy.nan, sympy.zoo))


def _same_constant(answer: Any, gold: Any, sides: Sides) -> bool:
    answer_decimal, gold_decimal = _decimal(sides.answer), _decimal(sides.gold)
    if answer_decimal is None and gold_decimal is None:
        return same_value(answer, gold, sides)
    exact = value_of(gold if answer_decimal is not None else answer)
    if exact is None or exact[1]:
        return False
    return rounds_to_decimal(exact[0], answer_decimal, gold_decimal) or same_value(answer, gold, sides)


def _decimal(text: str) -> ExactNumber | None:
    try:
        number = read_number(text)
    except TooLargeError:
        return None
    return number if number is not None and number.significant_digits is not None else None
