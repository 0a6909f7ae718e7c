"""The structure of an answer: a single value, a list, a set, a tuple or interval, a union.

Lists, sets and unions are collections: order does not matter. Tuples keep their order and brackets, so that a
closed interval is not an open one. An inequality in one variable is the interval it describes; ``a \\pm b`` is
two values. Text in, `Shape` out; no value is looked at.
"""

import re
from dataclasses import replace

from frugalrl.verify.maths.latex_text import enclosed, split_top
from frugalrl.verify.maths.relations import combined, inequality, merged, set_builder
from frugalrl.verify.maths.structures import MAX_ITEMS, MAX_LEVELS, SINGLE, VARIABLE, Shape, TooManyItemsError

_LEFT_SIDE = re.compile(
    rf"{SINGLE}(?: ?[+:] ?{SINGLE})*"  # x, a_3, f(x), A:B, and the m + n of a competition's answer
    r"|\\frac ?\{ ?[A-Za-z]{1,3} ?\} ?\{ ?[A-Za-z]{1,3} ?\}"
    r"|[A-Za-z]{2,3}|\|[A-Za-z]{1,3}\||\\(?:overline|vec|hat|text|angle|triangle) ?(?:\{[^{}=]{1,40}\}|[A-Z ]{1,5})"
    r"|\\angle ?[A-Za-z_{}0-9 ]{1,24}|\\text\{[^{}=]{1,40}\}(?: ?_ ?\{?\w\}?)?|[A-Za-z][a-z]{2,15}(?: [a-z]{2,15}){0,3}"
    r"|[a-zA-Z] ?\^ ?\{ ?-1 ?\} ?\( ?[a-z] ?\)"
    r"|\(?[A-Z]'?(?: ?\)?(?: ?\\(?:cap|cup|setminus) ?)\(?[A-Z]'?){1,5}\)?|\\(?:overline|complement)? ?\{?[A-Z]\}?"
    rf"|\((?:{SINGLE} ?, ?)+{SINGLE}\)|m ?\\angle ?[A-Z ]{{1,5}}"
)
_COMMA = re.compile(r",|;")
_WORD_SEPARATOR = re.compile(
    r",|;|,? ?(?:\\text)?\{ ?,? ?(?:and|or) ?\}|(?<![A-Za-z])(?:and|or)(?![A-Za-z])", re.IGNORECASE
)
_SIDE_BY_SIDE = re.compile(r"(?<=\)) ?(?=\()")
_UNION = re.compile(r"\\cup(?![A-Za-z])")
_EQUALS = re.compile(r"=")
_MEMBER = re.compile(rf"(?:{VARIABLE.pattern}) ?\\in(?![A-Za-z])")
_NUMBER_LITERAL = re.compile(r"[-+]?(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)")
_PLUS_MINUS = re.compile(r"\\pm(?![A-Za-z])")
_REALS = re.compile(r"\\mathbb ?\{ ?R ?\}|\\Reals?|\\text\{ ?all real numbers ?\}|all real numbers")
_VECTOR = re.compile(
    r"\\begin ?\{ ?(?:p|b|small)?matrix ?\}(?P<matrix>.*)\\end ?\{ ?(?:p|b|small)?matrix ?\}"
    r"|[(\[] ?\\begin ?\{ ?array ?\} ?\{[lcr| ]*\}(?P<array>.*)\\end ?\{ ?array ?\} ?[)\]]"
)
_TRANSPOSED = re.compile(r" ?\^ ?(?:\{ ?(?:T|\\top|\\text ?\{ ?T ?\}) ?\}|T|\\top)$")
_CASES = re.compile(r"\\begin ?\{ ?cases ?\}(?P<rows>.*)\\end ?\{ ?cases ?\}")
_CONDITION_WORD = re.compile(r"^(?:\\text ?\{ ?,? ?(?:if|for|when|where|otherwise)?,? ?\}|if|for|when) ?")
_CONGRUENCE = re.compile(
    r"(?P<left>[^=<>]{1,60}?) ?\\equiv ?(?P<residue>[^=<>]{1,60}?) ?(?:\\pmod ?\{? ?(?P<first>[^{}]{1,40}?) ?\}?"
    r"|[(] ?\\?b?(?:\\text\{ ?)?(?:\\?bmod|\\?mod) ?\}? ?(?P<second>[^()]{1,40}?) ?[)]|\\bmod ?(?P<third>[^()]{1,40}))"
)


def read_shape(text: str, level: int = 0) -> Shape:
    """The structure of a cleaned text. Raises TooManyItemsError."""
    text = text.strip(" ,;").removesuffix(".")
    if level > MAX_LEVELS:
        raise TooManyItemsError
    if _NUMBER_LITERAL.fullmatch(text):
        return Shape("value", text)
    text = _without_name(text)
    if _REALS.fullmatch(text):
        return read_shape("(-\\infty, \\infty)", level + 1)
    congruence = _CONGRUENCE.fullmatch(text)
    if congruence is not None:
        return _congruence(congruence, text)
    rows = _rows(text, level)
    if rows is not None:
        return rows
    pieces = _pieces(text)
    if len(pieces) > 1:
        items = _items(pieces, level)
        return combined(items, text) or Shape("list", text, items)
    parts = split_top(text, _UNION)
    if len(parts) > 1:
        return merged(Shape("union", text, _items(parts, level)))
    interval = inequality(text)
    if interval is not None:
        return replace(interval, text=text)
    return _bracketed(text, level) or _plus_minus(text)


def _congruence(found: re.Match[str], text: str) -> Shape:
    """A residue and its modulus, in the order of a tuple."""
    modulus = found.group("first") or found.group("second") or found.group("third")
    items = tuple(Shape("value", part.strip()) for part in (found.group("residue"), modulus))
    return Shape("tuple", text, items, "mod", found.group("left").replace(" ", ""))


def _rows(text: str, level: int) -> Shape | None:
    """A row or column as the tuple of its entries, a system as the list of its equations; other matrices are values."""
    cases = _CASES.fullmatch(text)
    if cases is not None:
        rows = [row for row in re.split(r"\\\\", cases.group("rows")) if row.strip()]
        if not rows or "\\begin" in cases.group("rows"):
            return None
        if "&" in text:
            return Shape("list", text, tuple(_case(row, level) for row in rows)) if len(rows) <= MAX_ITEMS else None
        return Shape("list", text, _items([enclosed_row(row) for row in rows], level))
    transposed = _TRANSPOSED.search(text)
    body = text[: transposed.start()] if transposed else text
    if transposed and (found := enclosed(body)) is not None and "," in found[1]:
        return replace(_bracketed(body, level) or Shape("value", text), variable="column")
    vector = _VECTOR.fullmatch(body)
    if vector is None:
        return None
    inside = vector.group("matrix") or vector.group("array") or ""
    rows = [row.strip() for row in re.split(r"\\\\", inside) if row.strip()]
    if inside.count("\\begin") or (len(rows) > 1 and "&" in inside):
        return None
    entries = rows if len(rows) > 1 else [entry.strip() for entry in inside.replace("\\\\", "").split("&")]
    if not 1 < len(entries) <= MAX_ITEMS or not all(entries):
        return None
    kind = "column" if (len(rows) > 1) != (transposed is not None) else "row"
    return Shape("tuple", text, tuple(read_shape(entry, level + 1) for entry in entries), "()", kind)


def _case(row: str, level: int) -> Shape:
    """A line of a piecewise definition: its value and its condition."""
    value, _, condition = row.partition("&")
    condition = _CONDITION_WORD.sub("", condition.strip())
    return Shape("tuple", row, tuple(read_shape(part, level + 1) for part in (value, condition)), "case")


def enclosed_row(row: str) -> str:
    """One line of a system without the braces around it."""
    found = enclosed(row.strip())
    return found[1] if found and found[0] == "{" else row.strip()


def sides(text: str) -> list[str]:
    """The parts between the top-level equals signs."""
    return split_top(text, _EQUALS)


def is_name(text: str) -> bool:
    """Whether a left side only names what follows: ``x``, ``f(x)``, ``m + n``, ``\\text{Area}``."""
    return len(text) <= 80 and _LEFT_SIDE.fullmatch(text) is not None


def _without_name(text: str) -> str:
    """``x \\in S`` and ``(x, y) = (1, 2)`` as what they name."""
    member = _MEMBER.match(text)
    if member:
        return text[member.end() :].strip()
    name, _, system = text.partition("=")
    if system.lstrip().startswith("\\begin") and is_name(name.strip()):
        return system.strip()
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
    points = _SIDE_BY_SIDE.split(text) if text.startswith("(") and text.endswith(")") else []
    if len(points) > 1 and all("," in point and enclosed(point) for point in points):
        return points
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
            return set_builder(inside, text, lambda part: read_shape(part, level + 1))
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
