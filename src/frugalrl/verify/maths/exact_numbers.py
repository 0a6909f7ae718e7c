"""Numbers read exactly: integers, decimals, fractions, percents, mixed numbers, and arithmetic on them.

`read_number` turns a cleaned answer into a `Fraction`, or says that it is no plain arithmetic (None), or that
its value is too large to be worth having (`TooLargeError`). It is a hand-written reader on purpose: no name is
looked up, nothing is evaluated by Python, and every step has a bound, so it may run in the training process on
whatever a model writes.

Conventions: a percent sign divides by 100; ``2\\frac{1}{3}`` and ``2 1/3`` are mixed numbers; ``10 000``,
``10,000`` and ``10{,}000`` are ten thousand; ``0.\\overline{3}`` is 1/3; ``1.5e3`` is 1500; ``101_2`` is no
number here (see `bases`). Roots are read only where they come out rational.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

MAX_BITS = 32_768
"""Of a numerator or denominator on the way: 9,864 digits, above any gold of the public benchmarks."""
MAX_WORK_BITS = 4_000_000
"""Of all values on the way together: 0.2 s on one core at worst."""
MAX_TOKENS = 20_000
"""A sum of 10,000 terms."""
MAX_DEPTH = 60
_MAX_FACTORIAL = 2_500
_MAX_BINOMIAL = 20_000

_THOUSANDS = r"[1-9]\d{0,2}(?:,\d{3})+(?!\d)|[1-9]\d{0,2}(?: \d{3})+(?!\d)"
_LITERAL = rf"(?:(?:{_THOUSANDS}|\d+)(?:\.\d*)?|\.\d+)"
_NUMBER = re.compile(_LITERAL)
_DECIMAL = re.compile(rf"([-+]?) ?({_LITERAL})(?:[eE]([-+]?\d{{1,24}}))?")
_SCIENTIFIC = re.compile(
    rf"([-+]?) ?({_LITERAL}) ?(?:\\times|\\cdot|\*|x) ?10 ?\^ ?(?:\{{ ?([-+]? ?\d{{1,24}}) ?\}}|([-+]?\d{{1,24}}))"
)
_REPEATING = re.compile(r"([-+]?) ?(\d*)\.(\d*)(?:\\(?:overline|bar|dot)) ?\{ ?(\d+) ?\}")
_TOKENS = re.compile(
    rf"\s*(?:(?P<number>{_LITERAL})|(?P<command>\\(?:frac|sqrt|times|cdot|div|binom)(?![A-Za-z]))|(?P<other>[-+*/^!(){{}}%:\[\]]))"
)
_ONLY_ARITHMETIC = re.compile(r"(?:[\d\s.,+\-*/^!(){}%:\[\]]|\\(?:frac|sqrt|times|cdot|div|binom)(?![A-Za-z]))+")
_SUM_OF_PERCENTS = re.compile(r"%|[^\s({+*/:^eE-]\s*[+-]")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?: ?[AaPp]\.? ?[Mm]\.?)?")
"""Half past two is no ratio, or it would equal a quarter past one."""


class TooLargeError(ArithmeticError):
    """A value outside the bounds above."""


@dataclass(frozen=True)
class ExactNumber:
    """A number as it was written."""

    value: Fraction
    significant_digits: int | None
    """Of a decimal with a point or an exponent, e.g. 3 for ``"1.50"``; None for what is exact as written."""
    unit_in_last_place: Fraction | None
    """Of such a decimal, e.g. 1/100 for ``"1.50"``."""
    percent: bool = False
    """Whether a percent sign stood behind it (its value is divided already)."""


def read_number(text: str) -> ExactNumber | None:
    """A cleaned text as a number. None: not plain arithmetic. Raises TooLargeError."""
    if len(text) > 4 * MAX_TOKENS:
        raise TooLargeError
    if not text.isascii() or is_clock(text):
        return None
    body = text.removesuffix(" percent").removesuffix("%").strip()
    percent = body != text.strip()
    if percent and _SUM_OF_PERCENTS.search(body):
        body, percent = text.strip(), False  # "25% + 59%" is a sum, not a percentage of one
    decimal = _read_decimal(body)
    if decimal is None:
        value = _evaluate(body)
        if value is None:
            return None
        decimal = ExactNumber(value, None, None)
    if not percent:
        return decimal
    last_place = decimal.unit_in_last_place
    return ExactNumber(
        decimal.value / 100, decimal.significant_digits, last_place / 100 if last_place else None, percent=True
    )


def is_clock(text: str) -> bool:
    """Whether a text may be a time of day; such are compared as text."""
    return _CLOCK.fullmatch(text) is not None


def _read_decimal(text: str) -> ExactNumber | None:
    """A single literal, with or without an exponent; None for all else."""
    if repeating := _REPEATING.fullmatch(text):
        return _repeating(repeating)
    match = _DECIMAL.fullmatch(text) or _SCIENTIFIC.fullmatch(text)
    if not match:
        return None
    groups = match.groups()
    sign, digits = groups[0], re.sub("[, ]", "", groups[1])
    exponent_text = next((group for group in groups[2:] if group), None)
    exponent = int(exponent_text.replace(" ", "")) if exponent_text else 0
    if len(digits) > 1_000 or abs(exponent) > 1_000:
        raise TooLargeError
    whole, point, decimals = digits.partition(".")
    scale = Fraction(10) ** (exponent - len(decimals))
    value = int(whole + decimals or "0") * scale * (-1 if sign == "-" else 1)
    if (not point or not decimals) and exponent_text is None:
        return ExactNumber(value, None, None)
    return ExactNumber(value, len((whole + decimals).lstrip("0")) or 1, scale)


def _repeating(match: re.Match[str]) -> ExactNumber:
    sign, whole, fixed, period = match.groups()
    if len(whole) + len(fixed) + len(period) > 400:
        raise TooLargeError
    nines = 10 ** len(period) - 1
    value = Fraction(int(whole + fixed or "0") * nines + int(period), 10 ** len(fixed) * nines)
    return ExactNumber(-value if sign == "-" else value, None, None)


# --------------------------------------------------------------------------------------------- arithmetic


def _evaluate(text: str) -> Fraction | None:
    if not text or not _ONLY_ARITHMETIC.fullmatch(text) or not any(char.isdigit() for char in text):
        return None
    tokens = _tokenize(text)
    if tokens is None:
        return None
    if len(tokens) > MAX_TOKENS:
        raise TooLargeError
    reader = _Reader(tokens)
    try:
        value = reader.sum(0)
    except _NotArithmeticError:
        return None
    return value if reader.at == len(tokens) else None


def _tokenize(text: str) -> list[str] | None:
    tokens: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKENS.match(text, at)
        if not match:
            return None
        tokens.append(match.group().strip())
        at = match.end()
    return tokens


class _NotArithmeticError(Exception):
    """The tokens are no arithmetic that this reader knows."""


class _Reader:
    """Recursive descent over tokens, bounded in depth and in the size of every value."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0
        self.work_bits = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise _NotArithmeticError
        self.at += 1
        return token

    def bounded(self, value: Fraction) -> Fraction:
        """The value, if it and all before it are small enough."""
        self.work_bits += value.numerator.bit_length() + value.denominator.bit_length()
        if self.work_bits > MAX_WORK_BITS:
            raise TooLargeError
        return _bounded(value)

    def sum(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise TooLargeError
        value = self.product(depth)
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            value = self.bounded(value + sign * self.product(depth))
        return value

    def product(self, depth: int) -> Fraction:
        value = self.signed(depth)
        while True:
            token = self.peek()
            if token in ("*", "\\times", "\\cdot"):
                self.take()
                value = self.bounded(value * self.signed(depth))
            elif token in ("/", ":", "\\div"):
                self.take()
                value = self.bounded(_divided(value, self.signed(depth)))
            elif token in ("(", "\\frac", "\\sqrt", "\\binom"):
                value = self.bounded(value * self.power(depth))
            else:
                return value

    def signed(self, depth: int) -> Fraction:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        return sign * self.mixed(depth)

    def mixed(self, depth: int) -> Fraction:
        """A power, or an integer with a fraction below one behind it."""
        whole = self.peek()
        value = self.power(depth)
        if not whole.isdigit() or self.tokens[self.at - 1] != whole:
            return value
        start = self.at
        part: Fraction | None = None
        if self.peek() == "\\frac":
            part = self.atom(depth)
        elif [token.isdigit() for token in self.tokens[start : start + 3]] == [True, False, True]:
            top, slash, bottom = self.tokens[start : start + 3]
            if slash == "/" and len(top + bottom) < 100:
                part, self.at = _divided(Fraction(int(top)), Fraction(int(bottom))), start + 3
        if part is None:
            return value
        if 0 < part < 1 and self.peek() not in ("^", "!"):
            return value + part
        self.at = start
        return value

    def power(self, depth: int) -> Fraction:
        value = self.atom(depth)
        while self.peek() in ("!", "%"):
            value = self.bounded(self.factorial_of(value) if self.take() == "!" else value / 100)
        if self.peek() != "^":
            return value
        self.take()
        sign = -1 if self.peek() == "-" else 1
        if sign < 0:
            self.take()
        if depth > MAX_DEPTH:
            raise TooLargeError
        return self.bounded(_raised(value, sign * self.power(depth + 1)))

    def factorial_of(self, value: Fraction) -> Fraction:
        """``n!``; two signs together are the double factorial."""
        if self.peek() != "!":
            return _factorial(value)
        self.take()
        return _combinatorial(value, _MAX_FACTORIAL, lambda n: math.prod(range(n, 0, -2)))

    def atom(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise TooLargeError
        token = self.take()
        if token in ("(", "{", "["):
            value = self.sum(depth + 1)
            self.take({"(": ")", "{": "}", "[": "]"}[token])
            return value
        if token == "\\frac":
            return self.bounded(_divided(self.argument(depth), self.argument(depth)))
        if token == "\\binom":
            return _binomial(self.argument(depth), self.argument(depth))
        if token == "\\sqrt":
            degree = self.atom(depth + 1) if self.peek() == "[" else Fraction(2)
            return _root(self.argument(depth), degree)
        if not token[0].isdigit() and token[0] != ".":
            raise _NotArithmeticError
        return _literal(token)

    def argument(self, depth: int) -> Fraction:
        """Of a command: a group in braces, or a single digit (``\\frac12``)."""
        token = self.peek()
        if token == "{" or token.startswith("\\"):
            return self.atom(depth + 1)
        if not token or not token.isdigit():
            raise _NotArithmeticError
        if len(token) == 1:
            self.at += 1
        else:
            self.tokens[self.at] = token[1:]
        return Fraction(int(token[0]))


def _literal(token: str) -> Fraction:
    digits = re.sub("[, ]", "", token)
    if len(digits) > 1_000:
        raise TooLargeError
    whole, _, decimals = digits.partition(".")
    return Fraction(int(whole + decimals or "0"), 10 ** len(decimals))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLargeError
    return value


def _divided(top: Fraction, bottom: Fraction) -> Fraction:
    if bottom == 0:
        raise _NotArithmeticError
    return _bounded(top / bottom)


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1:
        raise _NotArithmeticError
    if base == 0 and exponent <= 0:
        raise _NotArithmeticError
    if base in (0, 1, -1):
        return base if exponent % 2 else base * base
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * (bits - 1) > MAX_BITS:
        raise TooLargeError
    result: Fraction = base ** int(exponent)
    return _bounded(result)


def _factorial(value: Fraction) -> Fraction:
    return _combinatorial(value, _MAX_FACTORIAL, math.factorial)


def _combinatorial(value: Fraction, largest: int, function: Callable[[int], int]) -> Fraction:
    if value.denominator != 1 or value < 0:
        raise _NotArithmeticError
    if value > largest:
        raise TooLargeError
    return _bounded(Fraction(function(int(value))))


def _binomial(top: Fraction, bottom: Fraction) -> Fraction:
    if bottom.denominator != 1 or bottom < 0:
        raise _NotArithmeticError
    if bottom > _MAX_BINOMIAL:
        raise TooLargeError
    return _combinatorial(top, _MAX_BINOMIAL, lambda n: math.comb(n, int(bottom)))


def _root(value: Fraction, degree: Fraction) -> Fraction:
    """A root that is rational; any other is no business of exact arithmetic."""
    if degree != 2 or value < 0:
        raise _NotArithmeticError
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if top * top != value.numerator or bottom * bottom != value.denominator:
        raise _NotArithmeticError
    return Fraction(top, bottom)
