"""The structure of an answer: a single value, a list, a set, a tuple or interval, a union.

Lists, sets and unions are collections: order does not matter. Tuples keep their order and brackets, so that a
closed interval is not an open one. An inequality in one variable is the interval it describes; ``a \\pm b`` is
two values. Text in, `Shape` out; no value is looked at.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from frugalrl.verify.maths.latex_text import enclosed, split_top

MAX_ITEMS = 64
"""Of a collection or tuple; more than any gold of the benchmarks (OlympiadBench: 12)."""
_MAX_LEVELS = 5

_NAME = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|rho|sigma|tau|epsilon|varphi|ell))"
_INDEX = r"(?: ?_ ?(?:\{[^{}=]{1,12}\}|[A-Za-z0-9]))?"
_CALL = r"(?: ?\([^()=]{1,24}\))?"
_SINGLE = rf"{_NAME}{_INDEX}'{{0,2}}{_CALL}"
_VARIABLE = re.compile(rf"{_NAME}{_INDEX}'{{0,2}}|\|{_NAME}\|")
_LEFT_SIDE = re.compile(
    rf"{_SINGLE}(?: ?[+:] ?{_SINGLE})*"  # x, a_3, f(x), A:B, and the m + n of a competition's answer
    r"|\\frac ?\{ ?[A-Za-z]{1,3} ?\} ?\{ ?[A-Za-z]{1,3} ?\}"
    r"|[A-Za-z]{2,3}|\|[A-Za-z]{1,3}\||\\(?:overline|vec|hat|text|angle|triangle) ?(?:\{[^{}=]{1,40}\}|[A-Z ]{1,5})"
    r"|\\angle ?[A-Za-z_{}0-9 ]{1,24}|\\text\{[^{}=]{1,40}\}(?: ?_ ?\{?\w\}?)?|[A-Za-z][a-z]{2,15}(?: [a-z]{2,15}){0,3}"
    rf"|\((?:{_SINGLE} ?, ?)+{_SINGLE}\)|m ?\\angle ?[A-Z ]{{1,5}}"
)
_COMMA = re.compile(r",|;")
_WORD_SEPARATOR = re.compile(r",|;|,? ?(?:\\text)?\{ ?,? ?(?:and|or) ?\}|(?<![A-Za-z])(?:and|or)(?![A-Za-z])")
_UNION = re.compile(r"\\cup(?![A-Za-z])")
_EQUALS = re.compile(r"=")
_RELATION = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|<|>")
_UNEQUAL = re.compile(r"\\ne(?![A-Za-z])")
_MEMBER = re.compile(rf"(?:{_VARIABLE.pattern}) ?\\in(?![A-Za-z])")
_NUMBER_LITERAL = re.compile(r"[-+]?(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)")
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")


@dataclass(frozen=True)
class Shape:
    """A value or a structure of values."""

    kind: Literal["value", "list", "set", "tuple", "union"]
    text: str
    """As it was read."""
    items: tuple["Shape", ...] = ()
    brackets: str = ""
    """Of a tuple: ``"()"``, ``"[)"`` ..."""
    variable: str = ""
    """Of an interval that was written as an inequality."""

    @property
    def is_collection(self) -> bool:
        """Whether order does not matter."""
        return self.kind in ("list", "set", "union")


class TooManyItemsError(ValueError):
    """More items or levels than anybody compares."""


def read_shape(text: str, level: int = 0) -> Shape:
    """The structure of a cleaned text. Raises TooManyItemsError."""
    text = text.strip(" ,;").removesuffix(".")
    if level > _MAX_LEVELS:
        raise TooManyItemsError
    if _NUMBER_LITERAL.fullmatch(text):
        return Shape("value", text)
    text = _without_name(text)
    pieces = _pieces(text)
    if len(pieces) > 1:
        return Shape("list", text, _items(pieces, level))
    parts = split_top(text, _UNION)
    if len(parts) > 1:
        return Shape("union", text, _items(parts, level))
    interval = _inequality(text)
    if interval is not None:
        return replace(interval, text=text)
    return _bracketed(text, level) or _plus_minus(text)


def sides(text: str) -> list[str]:
    """What stands between the top-level equals signs."""
    return split_top(text, _EQUALS)


def is_name(text: str) -> bool:
    """Whether a left side only names what follows: ``x``, ``f(x)``, ``m + n``, ``\\text{Area}``."""
    return len(text) <= 80 and _LEFT_SIDE.fullmatch(text) is not None


def _without_name(text: str) -> str:
    """``x \\in S`` and ``(x, y) = (1, 2)`` as what they name."""
    member = _MEMBER.match(text)
    if member:
        return text[member.end() :].strip()
    parts = sides(text)
    if len(parts) == 2 and is_name(parts[0]):
        right = parts[1]
        if enclosed(right) is not None or (parts[0].startswith("(") and right.startswith("(")) or _UNION.search(right):
            return right
    return text


def _pieces(text: str) -> list[str]:
    """A list cut at commas, semicolons, "and", "or"; at ", " alone where that leaves numbers with thousands."""
    if ", " in text:
        coarse = re.split(r", (?:and |or )?| and | or ", text, maxsplit=MAX_ITEMS)
        if len(coarse) > 1 and all(_NUMBER_LITERAL.fullmatch(piece.strip()) for piece in coarse):
            return coarse
    pieces = split_top(text, _WORD_SEPARATOR)
    return [piece for piece in pieces if piece] if len(pieces) > 1 else pieces


def _items(pieces: list[str], level: int) -> tuple[Shape, ...]:
    if len(pieces) > MAX_ITEMS:
        raise TooManyItemsError
    items: list[Shape] = []
    for piece in pieces:
        shape = read_shape(piece, level + 1)
        items.extend(shape.items if shape.kind == "list" else (shape,))
    return tuple(items)


def _bracketed(text: str, level: int) -> Shape | None:
    found = enclosed(text)
    if found is None:
        return _reversed_interval(text, level)
    opener, inside, closer = found
    if opener == "\\{":
        if "|" in inside or re.search(r"\\mid(?![A-Za-z])|:", inside):
            return None
        pieces = _pieces(inside)
        return Shape("set", text, _items(pieces, level) if inside else ())
    if opener == "{":
        return read_shape(inside, level + 1)
    pieces = split_top(inside, _COMMA)
    if len(pieces) > 1:
        if len(pieces) > MAX_ITEMS:
            raise TooManyItemsError
        items = tuple(read_shape(piece, level + 1) for piece in pieces)
        return Shape("tuple", text, items, opener + closer)
    return read_shape(inside, level + 1) if inside and opener + closer in ("()", "[]") else None


def is_reversed_interval(text: str) -> bool:
    """Whether an interval is written as in ``]1, 2[`` or ``[1, 2[``."""
    return text[:1] + text[-1:] in ("][", "]]", "[[") and text.count(",") == 1 and not re.search(r"[\[\]]", text[1:-1])


def _reversed_interval(text: str, level: int) -> Shape | None:
    if not is_reversed_interval(text):
        return None
    pieces = text[1:-1].split(",")
    brackets = ("(" if text[0] == "]" else "[") + (")" if text[-1] == "[" else "]")
    return Shape("tuple", text, tuple(read_shape(piece, level + 1) for piece in pieces), brackets)


def _plus_minus(text: str) -> Shape:
    if len(_PLUS_MINUS.findall(text)) != 1:
        return Shape("value", text)
    minus = _PLUS_MINUS.sub("-", text)
    plus = re.sub(r"^ ?\+ ?|(?<=[=({]) ?\+ ?", "", _PLUS_MINUS.sub("+", text))
    return Shape("list", text, (Shape("value", plus.strip()), Shape("value", minus.strip())))


def _inequality(text: str) -> Shape | None:
    """An inequality in one variable as an interval, ``x \\ne a`` as the union around a."""
    unequal = split_top(text, _UNEQUAL)
    if len(unequal) == 2 and _VARIABLE.fullmatch(unequal[0]) and unequal[1]:
        rest = unequal[1]
        return Shape("union", text, (_interval("-\\infty", rest, "()"), _interval(rest, "\\infty", "()")))
    parts = split_top(text, _RELATION)
    signs = [match.group() for match in _RELATION.finditer(text)]
    if len(signs) != len(parts) - 1 or not all(parts):
        return None
    if len(parts) == 2:
        return _one_sided(parts[0], signs[0], parts[1])
    if len(parts) == 3 and _VARIABLE.fullmatch(parts[1]):
        return _two_sided(parts, signs)
    return None


def _one_sided(left: str, sign: str, right: str) -> Shape | None:
    if _VARIABLE.fullmatch(right) and not _VARIABLE.fullmatch(left):
        left, right = right, left
        sign = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}[sign]
    if not _VARIABLE.fullmatch(left) or left.startswith("|") or left in right or _VARIABLE.fullmatch(right):
        return None
    closed = sign in ("\\le", "\\ge")
    if sign in ("<", "\\le"):
        return _interval("-\\infty", right, "(]" if closed else "()", left)
    return _interval(right, "\\infty", "[)" if closed else "()", left)


def _two_sided(parts: list[str], signs: list[str]) -> Shape | None:
    low, variable, high = parts
    rising = [sign in ("<", "\\le") for sign in signs]
    if rising[0] != rising[1] or variable.startswith("|"):
        return None
    if not rising[0]:
        low, high, signs = high, low, signs[::-1]
    brackets = ("[" if signs[0] in ("\\le", "\\ge") else "(") + ("]" if signs[1] in ("\\le", "\\ge") else ")")
    return _interval(low, high, brackets, variable)


def _interval(low: str, high: str, brackets: str, variable: str = "") -> Shape:
    return Shape("tuple", f"{low}, {high}", (Shape("value", low), Shape("value", high)), brackets, variable)
