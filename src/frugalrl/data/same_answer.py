r"""Reworded problems, recognised by their answer: the golds as evidence besides the texts.

Text alone does not distinguish a paraphrase from a variant. Two texts with the same numbers, the same answer and
moderately similar words are one problem; the same similarity with another answer says nothing. `same_with_answer` is
called only after `statements.same_problem` has said no, about two problems with one `answer_key`:

- the same numbers (or those of one text and at most two more in a longer, closely alike text);
- compatible drawings and options, as there;
- no numbers in each other's places of one sentence;
- no contraries exchanged (minimum for maximum, sine for cosine, plus for minus); numbers with the same
  signs; in short or freely reworded texts as many negations ("at most" may be "no more than" in long ones);
- enough content in common, and enough of what carries weight. How much depends on how telling the answer is: half of
  all problems have an answer below ten, which two problems share by chance.

Not covered: paraphrases whose answers are written in ways that `answer_key` does not unite.
"""

import difflib
import re
from collections import Counter
from collections.abc import Collection, Sequence
from fractions import Fraction

from frugalrl.data.normalise import key_of, words
from frugalrl.data.statements import NEGATIONS, Sameness, Statement, carries_weight, figures_agree, options_agree

_CHOICE = re.compile(r"[a-h]|true|false|yes|no|", re.IGNORECASE)
_NAMED = re.compile(r"^\s*\$?\s*[A-Za-z]{1,3}(?:_\{?\w\}?)?\s*(?:\(\s*[a-z]\s*\))?\s*=(?!.*=)")
_BRACKETS = re.compile(r"\\[()\[\]]|\$")
_REPEATING = re.compile(r"\\(?:overline|bar|dot)\b")  # 0.5 is not 0.555...
_UNIT = re.compile(r"\\text\{[^{}]*\}|\^?\{?\\circ\}?|\\%|\\mbox\{[^{}]*\}")
_ALTERNATIVES = re.compile(r"\\(?:text|mbox|mathrm)\s*\{\s*or\s*\}|\bor\b", re.IGNORECASE)
_NUMBER_KEY = re.compile(r"\(?(-?\d+(\.\d+)?)(?:/(\d+))?\)?")
_PLAIN = re.compile(r"-?\d|1/[2-4]|pi")

SHARED_TELLING, SHARED_PLAIN = 0.6, 0.8
"""Least share of common content (Dice) with a telling answer, and with one digit, a simple fraction, no numbers,
or mostly a formula."""
WEIGHT_TELLING, WEIGHT_PLAIN = 0.75, 0.85
"""Minimum share of common signs, variables and significant words (Dice)."""
SHARED_LONGER = 0.85
"""Minimum share of common content if one text has extra numbers."""
_NUMBER = "#"
MIN_CONTENT = 6
"""Content tokens below which an answer cannot make up for other words ("Compute sin 45" and "cos 45")."""
LONG_CONTENT = 15
"""Content tokens from which on one text may have numbers more, or a text without numbers can be reworded."""
_CONTRARIES = tuple(
    frozenset(kind.split())
    for kind in (
        "+ - * /", "< > ≤ ≥ = ≠", "smallest largest", "odd even", "positive negative nonnegative",
        "sin cos tan cot sec csc", "area perimeter volume radius diameter circumference length height width",
        "sum product difference quotient ratio", "increasing decreasing", "increase decrease", "increased decreased",
        "left right", "acute obtuse", "more less fewer", "inscribed circumscribed", "arithmetic geometric",
        "median altitude bisector", "rational irrational", "real complex",
        "incenter circumcenter centroid orthocenter", "inradius circumradius", "interior exterior",
        "union intersection", "first second third fourth fifth last", "king queen knight rook bishop pawn",
        "before after", "above below", "numerator denominator", "red blue green yellow black white",
        "north south east west", "mean median mode", "triangle square rectangle pentagon hexagon octagon",
        "half twice double triple", "clockwise counterclockwise", "distinguishable indistinguishable",
        "cylinder cone sphere pyramid prism", "ellipse parabola hyperbola", "same different", "heads tails",
        "win lose", "profit loss", "older younger", "prime composite", "major minor",
    )
)  # fmt: skip


def answer_key(gold: str) -> str:
    r"""An answer in canonical spelling; empty if it is uninformative (a choice, true or false, no gold).

    ``answer_key("$x = \\dfrac12$") == answer_key("1/2") == "1/2"``
    """
    if not gold.strip():
        return ""
    bare = _UNIT.sub(" ", _NAMED.sub("", _BRACKETS.sub(" ", _REPEATING.sub(" repeating ", gold))))
    key = key_of(words(bare)).replace("\\", "")
    if re.fullmatch(r"\d+", key):
        key = key.lstrip("0") or "0"
    return "" if _CHOICE.fullmatch(key.strip("()")) else key


def comparable_key(gold: str) -> str:
    r"""An answer's key for numbers of any spelling: 0.5, 2/4 and ``0.5 \\text{ or } \\frac12`` are 1/2.

    Where "or" stands between different answers, the gold is one answer with several values and has the whole's key.
    """
    parts = {_fraction(answer_key(part)) for part in _ALTERNATIVES.split(gold)}
    return parts.pop() if len(parts) == 1 else answer_key(gold)


def same_with_answer(one: Statement, other: Statement, key: str) -> Sameness | None:
    """Why two statements with one answer are one problem in other words; None if that is not established.

    key: the `answer_key` that both have; an empty one supports nothing.
    """
    if not key or min(len(one.gist), len(other.gist)) < MIN_CONTENT:
        return None
    if not figures_agree(one, other) or not options_agree(one, other):
        return None
    shared = _dice(Counter(one.gist), Counter(other.gist))
    telling = _PLAIN.fullmatch(key) is None
    short = min(len(one.gist), len(other.gist)) < LONG_CONTENT
    plain = not telling or (not one.numbers and short)
    least = SHARED_PLAIN if plain or _is_mostly_formula(one) or _is_mostly_formula(other) else SHARED_TELLING
    if one.numbers != other.numbers:
        if not telling or short or not _one_has_more(one.numbers, other.numbers):
            return None
        least = SHARED_LONGER
    if shared < least:
        return None
    ours, theirs = (Counter(filter(carries_weight, side.gist)) for side in (one, other))
    if _dice(ours, theirs) < (WEIGHT_PLAIN if plain else WEIGHT_TELLING) or contrary(ours - theirs, theirs - ours):
        return None
    if (shared < SHARED_LONGER or short) and _negations(one) != _negations(other):
        return None
    if one.numbers == other.numbers and _signed(one.gist) != _signed(other.gist):
        return None
    if numbers_are_exchanged(one.gist, other.gist):
        return None
    return Sameness("reworded", shared, f"the same answer and numbers; {shared:.0%} of the content in common")


def _fraction(key: str) -> str:
    """A decimal number or fraction as a fraction in lowest terms; any other key unchanged."""
    found = _NUMBER_KEY.fullmatch(key)
    if found is None or not (found[2] or found[3]) or not int(found[3] or 1):
        return key
    return str(Fraction(found[1]) / int(found[3] or 1))


def numbers_are_exchanged(ours: Sequence[str], theirs: Sequence[str], alike: float = SHARED_TELLING) -> bool:
    """Whether two or more numbers swapped places in one sentence: 5 boxes with 12, 12 boxes with 5.

    alike: likeness of the texts without their numbers from which on they are one sentence.
    """
    left, right = ([_NUMBER if token[0].isdigit() else token for token in side] for side in (ours, theirs))
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    if matcher.ratio() < alike:
        return False
    pairs = ((ours[a + at], theirs[b + at]) for a, b, size in matcher.get_matching_blocks() for at in range(size))
    return sum(mine != yours for mine, yours in pairs) >= 2


def _one_has_more(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    left, right = Counter(ours) - Counter(theirs), Counter(theirs) - Counter(ours)
    return (not left or not right) and sum((left + right).values()) <= 2


def contrary(left: Collection[str], right: Collection[str]) -> bool:
    """Whether one side has something and the other its opposite instead."""
    return any(not kind.isdisjoint(left) and not kind.isdisjoint(right) for kind in _CONTRARIES)


def _is_mostly_formula(statement: Statement) -> bool:
    """Whether order matters more than words: the symbols of many functional equations are the same few."""
    symbols = sum(len(token) == 1 and not token.isdigit() for token in statement.gist)
    return symbols * 2 > len(statement.gist)


def _negations(statement: Statement) -> int:
    return sum(token in NEGATIONS for token in statement.gist)


def _signed(gist: Sequence[str]) -> list[str]:
    """The numbers with a unary minus, sorted."""
    negative = []
    for at, token in enumerate(gist[:-1]):
        before = gist[at - 1] if at else "("
        operand = before[0].isdigit() or before == ")" or (len(before) == 1 and before.isalpha())
        if token == "-" and gist[at + 1][0].isdigit() and not operand:
            negative.append(gist[at + 1])
    return sorted(negative)


def _dice(ours: Counter[str], theirs: Counter[str]) -> float:
    total = sum(ours.values()) + sum(theirs.values())
    return 2 * sum((ours & theirs).values()) / total if total else 0.0
