"""The equalities that a text states ("12 * 7 = 84"), found and checked exactly.

Precision before recall: a side that a word, an unknown command or an operator cuts off is left alone, since
"20 % of 50 = 10" does not state that 50 = 10. A chain ``a = b = c`` states a = b and b = c. A pair without
any operation on either side states nothing.

What counts as holding: equal exactly; or a decimal that is the other side rounded at its own last place; or
equal when the percent sign is read as a unit. Two sides with variables hold if they are the same polynomial;
if they are not, that may be an equation to solve and not a mistake, and nothing is concluded.

Not covered: approximations (\\approx), congruences, other bases: never checked.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from frugalrl.verify.steps.exact import MAX_CHARS, UnsupportedError, constant, evaluate

_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"<<|>>|\\\\|&|\\\[|\\\]|\\\(|\\\)|\$\$", "\n"),
        (r"\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]*\}", " unit "),
        (r"\\(?:boxed|mathbf)\s*(?=\{)", ""),
        (r"\\(?:left|right|displaystyle|[,;! ])|\\?\$", ""),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])|[×·⋅∗]", " * "),
        (r"\\div(?![A-Za-z])|÷", " / "),
        (r"\\[dt]frac", r"\\frac"),
        (r"\\%", "%"),
        (r"\{,\}", ","),
        (r"[−–]", "-"),
        (r"²", "^2"),
        (r"³", "^3"),
        (r"(?<=[\d)])\s*[xX]\s+(?=\d)", " * "),
        (r"\*\*(?=\s*\d)(?<=\d\*\*)", "^"),
    )
)
_PIECE = re.compile(
    r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"|(?P<known>\\(?:frac|sqrt|binom)(?![A-Za-z])|(?<![A-Za-z'’])[A-Za-z](?![A-Za-z'’])|[-+*/^(){}%=]"
    r"|!(?=\s*[-+*/)=^]))"
    r"|(?P<poison>\\[A-Za-z]+|[_|~\[\]<>≤≥≈≠√°!'’])"
    r"|(?P<space>[ \t]+)|(?P<other>[^\W\d_]{2,}|.|\n)",
    re.DOTALL,
)
_CUTS_LEFT = frozenset(
    "of plus minus times and by twice half than over from with thrice double mod base between to square "  # noqa: SIM905
    "cube root power sum product ratio average mean log ln sin cos tan gcd lcm".split()
)
_CUTS_RIGHT = frozenset(
    "times hundred thousand million billion dozen dozens percent plus minus more less divided over mod "  # noqa: SIM905
    "remainder degrees squared cubed factorial choose".split()
)


FLOAT_DIGITS = 15
"""What a double holds exactly."""


@dataclass(frozen=True)
class Equality:
    """One stated equality."""

    left: str
    right: str
    holds: bool | None
    """None: not arithmetic, or sides with variables that differ and may be an equation to solve."""


def stated_equalities(text: str, limit: int = 200) -> list[Equality]:
    """The distinct equalities with an operation on one side, in order, at most `limit` of them."""
    found: dict[tuple[str, str], Equality] = {}
    for left, right in _pairs(text):
        key = (re.sub(r"\s+", "", left), re.sub(r"\s+", "", right))
        if key[0] == key[1] or key in found or not (has_operation(left) or has_operation(right)):
            continue
        found[key] = Equality(left, right, check(left, right))
        if len(found) == limit:
            break
    return list(found.values())


def check(left: str, right: str) -> bool | None:
    """Whether two sides are equal; None if either is beyond the exact parser or they may be an equation."""
    try:
        first, second = evaluate(left), evaluate(right)
    except UnsupportedError:
        return None
    if first == second:
        return True
    a, b = constant(first), constant(second)
    if a is None or b is None:
        return None
    if _rounds_to(a, b, right) or _rounds_to(b, a, left) or _percent_as_unit(a, b, left, right):
        return True
    return _is_float_noise(a, b, left) or _is_float_noise(a, b, right)


def _rounds_to(exact: Fraction, stated: Fraction, text: str) -> bool:
    """Whether `stated`, written as a decimal, is `exact` rounded (either way at the half) at its last place."""
    decimal = re.fullmatch(r"\s*-?[\d,]*\.(\d+)%?\s*", text)
    if decimal is None:
        return False
    place = Fraction(1, 10 ** (len(decimal[1]) + 2 * text.rstrip().endswith("%")))
    return abs(exact - stated) <= place / 2


def _is_float_noise(a: Fraction, b: Fraction, text: str) -> bool:
    """A calculator's "99.00000000000001": a side of fifteen digits or more that differs in the last ones only."""
    digits = re.fullmatch(r"\s*-?(\d*\.\d+)\s*", text)
    return digits is not None and len(digits[1]) > FLOAT_DIGITS and abs(a - b) <= abs(a) / 10**12


def _percent_as_unit(a: Fraction, b: Fraction, left: str, right: str) -> bool:
    signs = left.count("%"), right.count("%")
    return signs in ((0, 1), (1, 0)) and (a == 100 * b or b == 100 * a)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    run: list[str] = []
    word_before = last_word = ""
    for match in _PIECE.finditer(text + "\n"):
        piece = match.group()
        if match.lastgroup != "other":
            if not run:
                word_before = last_word
            run.append(piece)
            if piece.strip():
                last_word = ""
            continue
        if "=" in run:
            yield from _sides_of(run, word_before, piece.lower())
        run = []
        last_word = piece.lower() if piece.isalpha() else ""


def _sides_of(run: list[str], word_before: str, word_after: str) -> Iterator[tuple[str, str]]:
    """Adjacent sides of a run of mathematics, without those that a neighbouring word cuts off."""
    sides = [side.strip() for side in "".join(run).split("=")]
    if word_before and (word_before in _CUTS_LEFT or sides[0][:1] in ("-", "+", "*", "/", "^", "%", "(", "!")):
        sides[0] = ""
    sides[0] = re.sub(r"^[aIA]\s+(?=\d)", "", sides[0])
    if word_after in _CUTS_RIGHT or sides[-1][-1:] in ("-", "+", "*", "/", "^", "("):
        sides[-1] = ""
    for left, right in itertools.pairwise(sides):
        if left and right and len(left) <= MAX_CHARS and len(right) <= MAX_CHARS:
            yield left, right


def has_operation(side: str) -> bool:
    """Whether a side is more than one number or name."""
    return re.search(r"[\w)}%]\s*[-+*/^!]|\\frac|\\sqrt|\\binom|\d\s*\(|\)\s*\(", side) is not None
