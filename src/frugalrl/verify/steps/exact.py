"""Exact values of short arithmetic and algebraic expressions, with caps first: safe on hostile text.

An expression is a polynomial in single-letter variables with rational coefficients: numbers, ``+ - * / ^``,
brackets, implicit products, ``\\frac``, ``\\sqrt`` of perfect squares, ``\\binom``, ``!`` and ``%``. Whatever
else, or whatever is too large, raises `UnsupportedError`: nothing is guessed.

Nothing here evaluates code, and no number grows past `MAX_DIGITS` digits.
"""

import math
import re
from collections.abc import Mapping
from fractions import Fraction

MAX_CHARS = 200
MAX_DIGITS = 40
MAX_DEPTH = 24
MAX_EXPONENT = 64
MAX_TERMS = 60

Monomial = tuple[tuple[str, int], ...]
"""Variables with their exponents, sorted: x^2 y is ``(("x", 2), ("y", 1))``; the constant is ``()``."""
Polynomial = Mapping[Monomial, Fraction]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)|(?P<command>\\(?:frac|sqrt|binom))"
    r"|(?P<variable>[A-Za-z])|(?P<operator>[-+*/^(){}\[\]!%]))"
)
_FUNCTION_NAMES = frozenset("fghpqFGHPQRST")
_CLOSING = {"(": ")", "{": "}", "[": "]"}


class UnsupportedError(Exception):
    """Not an expression this parser reads, or one that is too large."""


def evaluate(text: str) -> Polynomial:
    """The polynomial an expression stands for; zero coefficients left out. Raises UnsupportedError."""
    return _Parser(text).whole()


def constant(polynomial: Polynomial) -> Fraction | None:
    """Its value if it has no variables, else None."""
    if any(monomial for monomial in polynomial):
        return None
    return polynomial.get((), Fraction(0))


def variables(polynomial: Polynomial) -> frozenset[str]:
    """The letters that occur."""
    return frozenset(name for monomial in polynomial for name, _ in monomial)


class _Parser:
    """Recursive descent: sum > product > power > atom."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARS:
            raise UnsupportedError("too long")
        self.tokens: list[str] = []
        at = 0
        stripped = text.rstrip()
        while at < len(stripped):
            match = _TOKEN.match(stripped, at)
            if match is None:
                raise UnsupportedError("not arithmetic")
            self.tokens.append(match.group().strip())
            at = match.end()
        self.at = 0
        self.depth = 0

    def whole(self) -> Polynomial:
        value = self.sum()
        if self.at != len(self.tokens):
            raise UnsupportedError("something left over")
        return value

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self) -> Polynomial:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise UnsupportedError("too deep")
        total = self.product()
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            total = _add(total, self.product(), sign)
        self.depth -= 1
        return total

    def product(self) -> Polynomial:
        value = self.signed()
        divided = False
        while True:
            token = self.peek()
            if token == "*":
                self.take()
                value = _multiply(value, self.signed())
            elif token == "/":
                self.take()
                value, divided = _divide(value, self.signed()), True
            elif token and (token[0].isalpha() or token in "({\\" or token.startswith("\\")):
                if divided or token == "{":
                    raise UnsupportedError("1/2x can be read in two ways")
                if token.startswith("\\") and self.tokens[self.at - 1][-1].isdigit():
                    raise UnsupportedError("a mixed number, or a product?")
                value = _multiply(value, self.power())
            else:
                return value

    def signed(self) -> Polynomial:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        value = self.power()
        return value if sign == 1 else _add({}, value, -1)

    def power(self) -> Polynomial:
        base = self.atom()
        while self.peek() in ("!", "%"):
            base = _factorial(base) if self.take() == "!" else _divide(base, {(): Fraction(100)})
        if self.peek() != "^":
            return base
        self.take()
        exponent = constant(self.signed())
        return _raise_to(base, exponent)

    def atom(self) -> Polynomial:
        token = self.take()
        if token in _CLOSING:
            inside = self.sum()
            if self.take() != _CLOSING[token]:
                raise UnsupportedError("unbalanced")
            return inside
        if token[:1].isdigit() or token[:1] == ".":
            return _number(token)
        if token == "\\sqrt":
            return _square_root(self.argument())
        if token in ("\\frac", "\\binom"):
            first, second = self.argument(), self.argument()
            return _divide(first, second) if token == "\\frac" else _binomial(first, second)
        if token.isalpha():
            if token in _FUNCTION_NAMES and self.peek() == "(":
                raise UnsupportedError("a function's value")
            return {((token, 1),): Fraction(1)}
        raise UnsupportedError("an operand is missing")

    def argument(self) -> Polynomial:
        """``{...}``, or a single digit as in ``\\frac12``."""
        token = self.peek()
        if token == "{":
            return self.atom()
        if token.isdigit() and len(token) > 1:
            self.tokens[self.at : self.at + 1] = list(token)
            token = self.peek()
        if token.isdigit():
            return _number(self.take())
        raise UnsupportedError("an argument is missing")


def _number(token: str) -> Polynomial:
    digits = token.replace(",", "")
    if len(digits) > MAX_DIGITS:
        raise UnsupportedError("too many digits")
    value = Fraction(digits if digits[0] != "." else f"0{digits}")
    return {(): value} if value else {}


def _capped(polynomial: dict[Monomial, Fraction]) -> Polynomial:
    kept = {monomial: value for monomial, value in polynomial.items() if value}
    if len(kept) > MAX_TERMS:
        raise UnsupportedError("too many terms")
    limit = 10**MAX_DIGITS
    for value in kept.values():
        if abs(value.numerator) > limit or value.denominator > limit:
            raise UnsupportedError("too many digits")
    return kept


def _add(left: Polynomial, right: Polynomial, sign: int) -> Polynomial:
    total = dict(left)
    for monomial, value in right.items():
        total[monomial] = total.get(monomial, Fraction(0)) + sign * value
    return _capped(total)


def _multiply(left: Polynomial, right: Polynomial) -> Polynomial:
    total: dict[Monomial, Fraction] = {}
    for first, a in left.items():
        for second, b in right.items():
            powers = dict(first)
            for name, exponent in second:
                powers[name] = powers.get(name, 0) + exponent
            monomial = tuple(sorted(powers.items()))
            total[monomial] = total.get(monomial, Fraction(0)) + a * b
    return _capped(total)


def _divide(left: Polynomial, right: Polynomial) -> Polynomial:
    divisor = constant(right)
    if not divisor:
        raise UnsupportedError("division by zero or by a variable")
    return _multiply(left, {(): 1 / divisor})


def _raise_to(base: Polynomial, exponent: Fraction | None) -> Polynomial:
    if exponent is None or exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT:
        raise UnsupportedError("an exponent that is not a small integer")
    if exponent < 0:
        return _raise_to(_divide({(): Fraction(1)}, base), -exponent)
    if not base and exponent == 0:
        raise UnsupportedError("0^0")
    value: Polynomial = {(): Fraction(1)}
    for _ in range(int(exponent)):
        value = _multiply(value, base)
    return value


def _whole(polynomial: Polynomial) -> int:
    value = constant(polynomial)
    if value is None or value.denominator != 1 or not 0 <= value <= 30:
        raise UnsupportedError("not a small natural number")
    return int(value)


def _factorial(polynomial: Polynomial) -> Polynomial:
    return _capped({(): Fraction(math.factorial(_whole(polynomial)))})


def _binomial(top: Polynomial, bottom: Polynomial) -> Polynomial:
    return _capped({(): Fraction(math.comb(_whole(top), _whole(bottom)))})


def _square_root(polynomial: Polynomial) -> Polynomial:
    value = constant(polynomial)
    if value is None or value < 0:
        raise UnsupportedError("not a square")
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root != value:
        raise UnsupportedError("not a square")
    return _capped({(): root})
