"""Relations as the sets they describe: inequalities in one variable, set-builder notation, unions of intervals.

``1 < x < 2``, ``\\{x \\mid x > 1, x < 2\\}`` and ``(1, 2)`` are one interval; ``(1, 2] \\cup (2, 3)`` is ``(1, 3)``.
A chain of relations between other things ("f(1) < f(2) < f(3)") keeps its members, and is written rising.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number
from frugalrl.verify.maths.latex_text import compact, enclosed, split_top
from frugalrl.verify.maths.structures import SINGLE, VARIABLE, Shape, interval

_RELATION = re.compile(r"\\le(?![A-Za-z])|\\ge(?![A-Za-z])|<|>")
_MID = re.compile(r"\\mid(?![A-Za-z])|\||:")
_AND = re.compile(r",|;|\\text ?\{ ?,? ?and ?\}|(?<![A-Za-z])and(?![A-Za-z])|\\cap(?![A-Za-z])")
_OR = re.compile(r",? ?\\text ?\{ ?,? ?or ?\}|,? ?(?<![A-Za-z])or(?![A-Za-z])|\\cup(?![A-Za-z])")
_IN_REALS = re.compile(rf"(?:{VARIABLE.pattern}) ?\\in ?(?:\\mathbb ?\{{ ?R ?\}}|R)")
_ELEMENT = re.compile(rf"({VARIABLE.pattern})(?: ?\\in ?(?:\\mathbb ?\{{ ?R ?\}}|R))?")
_EQUALITY = re.compile(rf"(?:{VARIABLE.pattern}) ?= ?([^=]+)")
_NAMED = re.compile(SINGLE)
_MAX_PIECES = 24
_UNEQUAL = re.compile(r"\\ne(?![A-Za-z])")
_FALLING = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}


def inequality(text: str) -> Shape | None:
    """An inequality in one variable as an interval, ``x \\ne a`` as the union around a."""
    unequal = split_top(text, _UNEQUAL)
    if len(unequal) == 2 and VARIABLE.fullmatch(unequal[0]) and unequal[1]:
        rest = unequal[1]
        return Shape("union", text, (interval("-\\infty", rest, "()"), interval(rest, "\\infty", "()")))
    parts = split_top(text, _RELATION)
    signs = [match.group() for match in _RELATION.finditer(text)]
    if len(signs) != len(parts) - 1 or not all(parts):
        return None
    if len(parts) == 2:
        return _one_sided(parts[0], signs[0], parts[1])
    if len(parts) == 3 and (VARIABLE.fullmatch(parts[1]) or _NAMED.fullmatch(parts[1])):
        return _two_sided(parts, signs)
    return _chain(text, parts, signs) if len(parts) > 2 else None


def _chain(text: str, parts: list[str], signs: list[str]) -> Shape | None:
    """Three members or more, written rising; None where the signs point both ways."""
    if all(sign in (">", "\\ge") for sign in signs):
        parts, signs = parts[::-1], [_FALLING[sign] for sign in reversed(signs)]
    if any(sign in (">", "\\ge") for sign in signs):
        return None
    return Shape("chain", text, tuple(Shape("value", part) for part in parts), " ".join(signs))


def _one_sided(left: str, sign: str, right: str) -> Shape | None:
    if VARIABLE.fullmatch(right) and not VARIABLE.fullmatch(left):
        left, right = right, left
        sign = _FALLING[sign]
    if not VARIABLE.fullmatch(left) or left.startswith("|") or left in right or VARIABLE.fullmatch(right):
        return None
    closed = sign in ("\\le", "\\ge")
    if sign in ("<", "\\le"):
        return interval("-\\infty", right, "(]" if closed else "()", left)
    return interval(right, "\\infty", "[)" if closed else "()", left)


def _two_sided(parts: list[str], signs: list[str]) -> Shape | None:
    low, variable, high = parts
    rising = [sign in ("<", "\\le") for sign in signs]
    if rising[0] != rising[1] or variable.startswith("|"):
        return None
    if not rising[0]:
        low, high, signs = high, low, signs[::-1]
    brackets = ("[" if signs[0] in ("\\le", "\\ge") else "(") + ("]" if signs[1] in ("\\le", "\\ge") else ")")
    return interval(low, high, brackets, variable)


# ------------------------------------------------------------------------------------------ sets of numbers


@dataclass(frozen=True)
class _Piece:
    """An interval with its ends as text; a point is closed at both."""

    low: str
    high: str
    is_low_closed: bool
    is_high_closed: bool

    @property
    def is_point(self) -> bool:
        return compact(self.low) == compact(self.high)


def set_builder(inside: str, text: str, read: Callable[[str], Shape]) -> Shape | None:
    """The content of the braces of ``\\{x \\mid ...\\}``: a set of reals, or the element with its conditions."""
    element = split_top(inside, _MID)[0]
    bar = _MID.search(inside, inside.index(element) + len(element))
    condition = inside[bar.end() :].strip() if bar else ""
    if not element or not condition:
        return None
    name = _ELEMENT.fullmatch(element)
    if name is not None:
        described = _described(condition, name.group(1), read)
        if described is not None:
            return replace(described, text=text)
    conditions = [piece for piece in split_top(condition, _AND) if piece]
    return Shape("builder", text, (Shape("value", element), *(Shape("value", piece) for piece in conditions)))


def _described(condition: str, variable: str, read: Callable[[str], Shape]) -> Shape | None:
    """The real numbers that meet a condition on one variable; None where that is not an interval or a union of them."""
    alternatives: list[_Piece] = []
    for alternative in split_top(condition, _OR):
        met: list[_Piece] | None = None
        for part in split_top(alternative, _AND):
            if not part or _IN_REALS.fullmatch(part):
                continue
            pieces = _pieces_of_condition(part, variable, read)
            met = pieces if met is None else _intersection(met, pieces) if pieces is not None else None
            if met is None:
                return None
        if met is None:
            return None
        alternatives.extend(met)
    return _shape_of(_joined(alternatives)) if alternatives else None


def _pieces_of_condition(part: str, variable: str, read: Callable[[str], Shape]) -> list[_Piece] | None:
    equality = _EQUALITY.fullmatch(part)
    if equality is not None:
        value = equality.group(1).strip()
        return [_Piece(value, value, True, True)] if variable not in value and part.startswith(variable) else None
    found = inequality(part)
    if found is not None and found.kind == "tuple" and found.variable == variable:
        return _pieces_of(found)
    if found is not None and found.kind == "union" and part.startswith(variable):
        return _pieces_of(found)
    member = re.fullmatch(rf"{re.escape(variable)} ?\\in(?![A-Za-z]) ?(.+)", part)
    return _pieces_of(read(member.group(1))) if member and enclosed(member.group(1)) else None


def combined(items: Sequence[Shape], text: str) -> Shape | None:
    """Several inequalities in one variable as one set: met together where that is an interval, else as alternatives."""
    variables = {item.variable for item in items}
    if len(variables) != 1 or "" in variables or any(item.kind != "tuple" for item in items) or len(items) > 8:
        return None
    pieces = [_pieces_of(item) for item in items]
    if any(piece is None for piece in pieces):
        return None
    if not _OR.search(text):
        met: list[_Piece] | None = pieces[0]
        for piece in pieces[1:]:
            met = _intersection(met, piece) if met is not None and piece is not None else None
        if met:
            return replace(_shape_of(met), text=text, variable=items[0].variable)
    return _shape_of(_joined([one for piece in pieces for one in piece or ()]))


def merged(union: Shape) -> Shape:
    """A union of intervals and points with those that touch or overlap as one."""
    pieces: list[_Piece] = []
    for item in union.items:
        found = _pieces_of(item)
        if found is None:
            return union
        pieces.extend(found)
    return union if len(pieces) > _MAX_PIECES else replace(_shape_of(_joined(pieces)), text=union.text)


def _pieces_of(shape: Shape) -> list[_Piece] | None:
    if shape.kind == "tuple" and len(shape.items) == 2 and len(shape.brackets) == 2 and shape.brackets[0] in "([":
        low, high = (item.text for item in shape.items)
        return [_Piece(low, high, shape.brackets[0] == "[", shape.brackets[1] == "]")]
    if shape.kind == "set" and all(item.kind == "value" for item in shape.items):
        return [_Piece(item.text, item.text, True, True) for item in shape.items]
    if shape.kind == "union":
        found = [_pieces_of(item) for item in shape.items]
        return None if any(one is None for one in found) else [piece for one in found for piece in one or ()]
    return None


def _shape_of(pieces: Sequence[_Piece]) -> Shape:
    shapes = [
        Shape("set", piece.low, (Shape("value", piece.low),))
        if piece.is_point
        else interval(
            piece.low, piece.high, ("[" if piece.is_low_closed else "(") + ("]" if piece.is_high_closed else ")")
        )
        for piece in pieces
    ]
    if len(shapes) == 1:
        return shapes[0]
    if all(piece.is_point for piece in pieces):
        return Shape("set", "", tuple(Shape("value", piece.low) for piece in pieces))
    return Shape("union", ", ".join(shape.text for shape in shapes), tuple(shapes))


_Key = tuple[int, Fraction]


def _key(text: str) -> _Key | None:
    """Where an end lies, if it is a number or infinite."""
    plain = compact(text).lstrip("+")
    if plain in ("\\infty", "-\\infty"):
        return (-1 if plain[0] == "-" else 1), Fraction(0)
    try:
        number = read_number(text)
    except TooLargeError:
        return None
    return None if number is None else (0, number.value)


def _joined(pieces: Sequence[_Piece]) -> list[_Piece]:
    left = list(pieces)
    at = 0
    while at < len(left):
        for other in range(len(left)):
            one = _one_of_two(left[at], left[other]) if other != at else None
            if one is not None:
                left = [piece for index, piece in enumerate(left) if index not in (at, other)] + [one]
                at = -1
                break
        at += 1
    return left


def _one_of_two(first: _Piece, second: _Piece) -> _Piece | None:
    """Two pieces as one, if the second begins in or at the first."""
    if compact(first.high) == compact(second.low) and not (first.is_point and second.is_point):
        if first.is_high_closed or second.is_low_closed:
            return _Piece(first.low, second.high, first.is_low_closed, second.is_high_closed)
        return None
    keys = [_key(end) for end in (first.low, first.high, second.low, second.high)]
    low, high, next_low, next_high = keys
    if low is None or high is None or next_low is None or next_high is None:
        return None
    touches = next_low < high or (next_low == high and (first.is_high_closed or second.is_low_closed))
    if not (low <= next_low and touches):
        return None
    is_low_closed = first.is_low_closed or (low == next_low and second.is_low_closed)
    if high == next_high:
        return _Piece(first.low, first.high, is_low_closed, first.is_high_closed or second.is_high_closed)
    last = second if next_high > high else first
    return _Piece(first.low, last.high, is_low_closed, last.is_high_closed)


def _intersection(first: Sequence[_Piece], second: Sequence[_Piece] | None) -> list[_Piece] | None:
    """What two sets have in common; None where the ends cannot be ordered."""
    if second is None:
        return None
    common: list[_Piece] = []
    for one in first:
        for other in second:
            low, high = _greater_low(one, other), _smaller_high(one, other)
            if low is None or high is None:
                return None
            low_key, high_key = _key(low[0]), _key(high[0])
            if low_key is None or high_key is None:
                if len(first) > 1 or len(second) > 1:
                    return None
                common.append(_Piece(low[0], high[0], low[1], high[1]))
            elif low_key < high_key or (low_key == high_key and low[1] and high[1]):
                common.append(_Piece(low[0], high[0], low[1], high[1]))
    return common


def _greater_low(one: _Piece, other: _Piece) -> tuple[str, bool] | None:
    return _outer(one.low, one.is_low_closed, other.low, other.is_low_closed, -1)


def _smaller_high(one: _Piece, other: _Piece) -> tuple[str, bool] | None:
    return _outer(one.high, one.is_high_closed, other.high, other.is_high_closed, 1)


def _outer(one: str, is_closed: bool, other: str, is_other_closed: bool, infinite: int) -> tuple[str, bool] | None:
    """The end that is nearer to the middle."""
    key, other_key = _key(one), _key(other)
    if key is not None and key[0] == infinite:
        return other, is_other_closed
    if other_key is not None and other_key[0] == infinite:
        return one, is_closed
    if compact(one) == compact(other) or (key is not None and key == other_key):
        return one, is_closed and is_other_closed
    if key is None or other_key is None:
        return None
    return (one, is_closed) if (key > other_key) == (infinite < 0) else (other, is_other_closed)
