r"""The formulas of a problem as runs of tokens, and how much of them two problems share.

A run is an uninterrupted stretch of letters, numbers, signs and functions in a statement's tokens. Two runs agree where
they are equal up to a renaming of letters that is the same throughout: ``7^k - 3^n`` is ``7^a - 3^b``, and
``x f(y) + y f(x)`` is not ``x f(x) + y f(y)``. What says no more than a textbook's opening (the equation of an ellipse
in its standard form, "a > b > 0", "f: R+ -> R+") is left out, because hundreds of different problems share it.

Weights have the unit of `word_rarity`: about the logarithm of how rarely a token occurs by chance.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from frugalrl.data.normalise import without_variable_names
from frugalrl.data.statements import is_article, plain_number

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan log ln exp sqrt mod gcd lcm det lfloor rfloor lceil rceil binom "  # noqa: SIM905
    "infty pi vec cup cap perp".split()
)
SMALL = frozenset("012")
"""Numbers that occur in most problems and say nothing by themselves."""
_SIGNS = frozenset("+-*/^=<>|≤≥≠≡±!%'")
_BRACKETS = frozenset("()[]")
_LEAST_RUN, _LEAST_SHARED = 3, 4
"""Tokens of a run that counts as a formula, and of a stretch that two formulas share."""
_LETTER, _END, _LEFT_OUT = "v", "|end|", "~"
_SQUARE = r"(?:\( v \^ 2 \)|v \^ 2)"
_OPENINGS = re.compile(
    rf"(?:v = )?{_SQUARE} / {_SQUARE} [-+] {_SQUARE} / {_SQUARE} = 1(?![^ ])"
    r"|\( v > (?:v > )?0 (?:v > 0 )?\)|v > v > 0(?![^ ])|v > 0 v > 0(?![^ ])|v [>≠] 0(?![^ ])"
)
_SETS = frozenset("rqznc")
_MARKS = frozenset({(">", "0"), ("≥", "0"), ("≥", "1"), ("^", "+"), ("^", "*")})


@dataclass(frozen=True)
class Formulas:
    """The formulas of one problem, one after the other."""

    names: tuple[str, ...]
    """The tokens; an end mark after each run."""
    tokens: tuple[str, ...]
    """The same with every letter as ``v``."""
    weight: float

    def whole(self) -> dict[str, float]:
        """Each run with letters numbered in order (v0, v1), and its weight: equal runs are equal formulas."""
        found: dict[str, float] = {}
        start = 0
        for end, token in enumerate(self.tokens):
            if token == _END:
                run = " ".join(without_variable_names(self.names[start:end]))
                found[run] = sum(map(_weight, self.tokens[start:end]))
                start = end + 1
        return found


def read_formulas(stem: Sequence[str]) -> Formulas:
    """The formulas among a statement's normalised tokens (`Statement.stem`)."""
    names: list[str] = []
    run: list[str] = []
    stem = _without_sets_of_numbers(stem)
    for at, token in enumerate((*stem, _END)):
        if token != _END and _is_formula(token) and not is_article(stem, at):
            run.append(plain_number(token) if _is_number(token) else token)
            continue
        kept = _without_openings(run)
        if len(kept) >= _LEAST_RUN and any(one in _SIGNS or one in FUNCTIONS for one in kept):
            names += [*kept, _END]
        run = []
    tokens = tuple(_LETTER if _is_letter(name) else name for name in names)
    return Formulas(tuple(names), tokens, sum(map(_weight, tokens)))


def shared_weight(one: Formulas, other: Formulas) -> float:
    """The weight of what two problems' formulas have in common, letters renamed consistently in each stretch."""
    if not one.tokens or not other.tokens:
        return 0.0
    # The end marks of the two sides differ, so that no shared stretch reaches from one formula into the next.
    left, right = one.tokens, tuple("end" if token == _END else token for token in other.tokens)
    shared = 0.0
    for start, other_start, size in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
        at = 0
        while at < size:
            length = _consistent(
                one.names[start + at : start + size], other.names[other_start + at : other_start + size]
            )
            if length >= _LEAST_SHARED:
                shared += sum(map(_weight, left[start + at : start + at + length]))
            at += max(length, 1)
    return shared


def number_weight(number: str) -> float:
    """How informative a shared number is: a digit little, a year much, round numbers less."""
    if len(number) == 1:
        return 2.0
    if len(number.strip("0")) == 1:
        return 3.0 if len(number) == 2 else 4.0
    return 4.0 if len(number) == 2 else 6.0


def _consistent(names: Sequence[str], others: Sequence[str]) -> int:
    """Over how many tokens from the start one renaming of letters turns the first into the second."""
    renamed: dict[str, str] = {}
    back: dict[str, str] = {}
    for at, (mine, theirs) in enumerate(zip(names, others, strict=True)):
        if _is_letter(mine) and (renamed.setdefault(mine, theirs) != theirs or back.setdefault(theirs, mine) != mine):
            return at
    return len(names)


def _weight(token: str) -> float:
    if token in _SIGNS or token in SMALL:
        return 1.0
    if token in FUNCTIONS:
        return 2.0
    if token == _LETTER:
        return 0.5
    return number_weight(token) / 2 if _is_number(token) else 0.0


def _without_openings(run: list[str]) -> list[str]:
    if len(run) < _LEAST_RUN or not {">", "≠", "/"} & set(run):
        return run
    text = " ".join(_LETTER if _is_letter(token) else token for token in run)
    marked = _OPENINGS.sub(lambda found: " ".join(_LEFT_OUT for _ in found.group().split()), text).split()
    return [token for token, mark in zip(run, marked, strict=True) if mark != _LEFT_OUT]


def _without_sets_of_numbers(stem: Sequence[str]) -> tuple[str, ...]:
    """Without R+, Z > 0 and the like: every author writes them differently."""
    kept: list[str] = []
    at = 0
    while at < len(stem):
        if stem[at] in _SETS and tuple(stem[at + 1 : at + 3]) in _MARKS:
            at += 3
        elif stem[at] in _SETS and stem[at + 1 : at + 2] == ("+",) and len((*stem, _END)[at + 2]) > 1:
            at += 2
        else:
            kept.append(stem[at])
            at += 1
    return tuple(kept)


def _is_formula(token: str) -> bool:
    return _is_letter(token) or _is_number(token) or token in _SIGNS or token in _BRACKETS or token in FUNCTIONS


def _is_letter(token: str) -> bool:
    return len(token) == 1 and token.isalpha()


def _is_number(token: str) -> bool:
    return token[0].isdigit() or (token[0] == "." and len(token) > 1)
