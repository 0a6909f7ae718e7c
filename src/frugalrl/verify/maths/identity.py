"""Whether two parsed expressions have one value: at points drawn from the pair itself, and to a thousand digits.

For worker processes alone, as `symbolic`, which calls it. Random points decide identities (Schwartz 1980, Zippel
1979) as long as nobody can know them: they come from a hash of both texts, irrational ones among them, so that
``x\\cos(2018\\pi x)`` is not x. What agrees to 40 digits is looked at once more, as a difference and to 1,000, so
that ``\\pi + e^{-60}`` is not pi.

A decimal with six significant digits may stand for what rounds to it, as everywhere (`rounding`); inside an
expression the difference may be no larger than what half a unit in its last place makes.
"""

import hashlib
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_WORKING_DIGITS = 40
_PROOF_DIGITS = 1_000
_RELATIVE = Fraction(1, 10**20)
_POINTS = 6
_ATTEMPTS = 18
_RANGES = ((1, 3), (-1, 3), (1, 1_000), (-1, 1_000), (1, 40), (-1, 40))
"""Sign and size of the points in turn: sqrt(x^2) is x for positive x alone, |x - 5| is 5 - x for small x alone."""
_MAX_EXPONENT = 60_000
"""In bits, of a value that is worth comparing; a tower of powers has more."""
_LITERAL = re.compile(r"(?<![\d.])(\d*)\.(\d+)")
_MAX_LITERALS = 8

_Complex = tuple[Fraction, Fraction]
_Point = Mapping[Any, Any]


@dataclass(frozen=True)
class Sides:
    """Both texts, from which points are drawn and decimals read, and how a text becomes an expression."""

    answer: str
    gold: str
    parse: Callable[[str], Any]


def same_value(answer: Any, gold: Any, sides: Sides) -> bool:
    """Whether two expressions without variables are equal, decimals as what rounds to them."""
    values = value_of(answer), value_of(gold)
    if values[0] is None or values[1] is None:
        return False
    if _close(values[0], values[1], _RELATIVE):
        return _no_difference(answer, gold, {})
    return _within_rounding(values[0], values[1], sides, {})


def same_at_points(answer: Any, gold: Any, symbols: Sequence[Any], sides: Sides) -> bool | None:
    """Equal at points of the pair's own. None if neither has a value anywhere.

    Where both have none (roots of negatives, logarithms) others are drawn; where one alone has none they differ.
    """
    import sympy

    seed = hashlib.sha256("\0".join(sorted((sides.answer, sides.gold))).encode()).digest()
    rng = random.Random(seed)
    met = 0
    is_wide = not (answer + gold).has(sympy.Sum, sympy.Product, sympy.Integral)
    for attempt in range(_ATTEMPTS):
        point = {symbol: _coordinate(rng, attempt, is_wide) for symbol in symbols}
        values = [value_of(expression, point) for expression in (answer, gold)]
        if values[0] is None and values[1] is None:
            continue
        if values[0] is None or values[1] is None:
            return False
        if _close(values[0], values[1], _RELATIVE):
            if met == 0 and not _no_difference(answer, gold, point):
                return False
        elif not _within_rounding(values[0], values[1], sides, point):
            return False
        met += 1
        if met == _POINTS:
            return True
    return True if met else None


def _coordinate(rng: random.Random, attempt: int, is_wide: bool) -> Any:
    """A rational with an unguessable denominator, or such a multiple of a root."""
    import sympy

    sign, scale = _RANGES[attempt % len(_RANGES)] if is_wide else _RANGES[attempt % 2]
    denominator = rng.getrandbits(61) | (1 << 60) | 1
    rational = sympy.Rational(sign * rng.randint(1, scale * denominator), denominator)
    if attempt % 3 == 1:
        return rational * sympy.sqrt(sympy.Rational(rng.choice((2, 3, 5, 7, 11, 13)), 4))
    return rational


def value_of(expression: Any, point: _Point | None = None, digits: int = _WORKING_DIGITS) -> _Complex | None:
    """Real and imaginary part to many digits; None where it has no value or no trustworthy digits."""
    number = expression.evalf(digits, subs=_numeric(point, digits)) if point else expression.evalf(digits)
    if point and number.free_symbols:
        number = expression.subs(point).doit().evalf(digits)
    real, imaginary = number.as_real_imag()
    parts = []
    for part in (real, imaginary):
        if not part.is_number or not part.is_finite or not part.is_Number:
            return None
        if part.is_Float and abs(part._mpf_[2] + part._mpf_[3]) > _MAX_EXPONENT:
            return None
        parts.append(Fraction(str(part)) if part.is_Float else Fraction(int(part.p), int(part.q)))
    return parts[0], parts[1]


def _numeric(point: _Point, digits: int) -> dict[Any, Any]:
    return {symbol: value.evalf(digits + 20) if not value.is_Rational else value for symbol, value in point.items()}


def _close(one: _Complex, other: _Complex, relative: Fraction) -> bool:
    """Whether two values differ by no more than a share of the larger one; nothing is close to zero."""
    scale = max(abs(part) for part in (*one, *other))
    return all(abs(a - b) <= relative * scale for a, b in zip(one, other, strict=True))


def _no_difference(answer: Any, gold: Any, point: _Point) -> bool:
    """Whether the difference vanishes to 1,000 digits; sums, integrals and limits keep the digits they have."""
    import sympy
    from sympy.functions.elementary.hyperbolic import HyperbolicFunction, InverseHyperbolicFunction
    from sympy.functions.elementary.trigonometric import InverseTrigonometricFunction, TrigonometricFunction

    difference = answer - gold
    if difference == 0 or difference.has(sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative):
        return True
    if difference.is_number and difference.is_zero is False:
        return False
    elementary = (sympy.exp, sympy.log, sympy.Abs, sympy.floor, sympy.ceiling, sympy.Max, sympy.Min)
    families = (TrigonometricFunction, InverseTrigonometricFunction, HyperbolicFunction, InverseHyperbolicFunction)
    is_elementary = all(isinstance(one, (*elementary, *families)) for one in difference.atoms(sympy.Function))
    digits = _PROOF_DIGITS if is_elementary else 3 * _WORKING_DIGITS
    values = [value_of(one, point or None, digits) for one in (answer, gold)]
    if values[0] is None or values[1] is None:
        return True
    return _close(values[0], values[1], Fraction(1, 10 ** (digits - 30)))


# --------------------------------------------------------------------------------- decimals that may be rounded


def _within_rounding(answer: _Complex, gold: _Complex, sides: Sides, point: _Point) -> bool:
    """Whether two values differ by no more than the rounding of the decimals in their texts explains."""
    allowed = _slack(sides.answer, sides.parse, point) + _slack(sides.gold, sides.parse, point)
    return allowed > 0 and all(abs(a - b) <= allowed for a, b in zip(answer, gold, strict=True))


def _slack(text: str, parse: Callable[[str], Any], point: _Point) -> Fraction:
    """How far a value moves when its decimals of six significant digits or more move half a last place."""
    literals = [found for found in _LITERAL.finditer(text) if len(found.group().replace(".", "").lstrip("0")) >= 6]
    if not literals or len(literals) > _MAX_LITERALS:
        return Fraction(0)
    start = _value_of_text(text, parse, point)
    moved = Fraction(0)
    for found in literals:
        there = _value_of_text(f"{text[: found.end()]}51{text[found.end() :]}", parse, point)
        if start is None or there is None:
            return Fraction(0)
        moved += max(abs(a - b) for a, b in zip(start, there, strict=True))
    return moved


def _value_of_text(text: str, parse: Callable[[str], Any], point: _Point) -> _Complex | None:
    parsed = parse(text)
    by_name = {symbol.name: value for symbol, value in point.items()}
    symbols = () if parsed is None else parsed.free_symbols
    if parsed is None or any(symbol.name not in by_name for symbol in symbols):
        return None
    return value_of(parsed, {symbol: by_name[symbol.name] for symbol in symbols})
