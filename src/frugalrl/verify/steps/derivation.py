"""How far the equalities of a solution carry the problem's numbers to its own answer.

The equalities are read backwards from the answer: one whose value is the answer, or a number that a later carrying
equality uses, carries. Those that hold and bring a new number, out of the problem's numbers in the end, count.

Decisions:
- Identities (x + 0, x * 1), repetitions and sums whose value nothing uses carry nothing, and a number that the
  problem gives is not counted as carried: they are left out on both sides of a share.
- A wrong equality counts wherever it stands, used or not.
- Signs are left out of the links ("18 - 5 = 13" and "-13"). Percentages link as 30, 0.3 and 0.7.
- "twenty", "half", "a dozen" are numbers of the problem. "one" is not: it is mostly an article.

Not covered: whether the plan is right. An equality of the right numbers with the wrong operation carries them too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from frugalrl.verify.steps.equalities import Equality, has_operation
from frugalrl.verify.steps.exact import UnsupportedError, constant, evaluate

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_SMALL = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_NUMBER_WORDS = {word: Fraction(value) for value, word in enumerate(_SMALL.split(), start=2)} | {
    "eighteen": Fraction(18),
    "nineteen": Fraction(19),
    "twenty": Fraction(20),
    "thirty": Fraction(30),
    "forty": Fraction(40),
    "fifty": Fraction(50),
    "sixty": Fraction(60),
    "hundred": Fraction(100),
    "half": Fraction(1, 2),
    "third": Fraction(3),
    "quarter": Fraction(4),
    "dozen": Fraction(12),
    "twice": Fraction(2),
    "double": Fraction(2),
    "doubled": Fraction(2),
    "thrice": Fraction(3),
    "triple": Fraction(3),
    "tripled": Fraction(3),
    "couple": Fraction(2),
}
MAX_DIGITS = 40
"""Longer numbers are left alone, as in `exact`."""


@dataclass(frozen=True)
class Derivation:
    """What the equalities of one solution carry. Counts of distinct things."""

    stated: int
    """Equalities that could be checked."""
    carried: int
    """New values that equalities which hold hand on to the answer, the answer's own included."""
    wrong: int
    """Equalities that do not hold."""
    given: int
    """Numbers of the problem."""
    given_used: int
    """Those among them that carrying equalities which hold start from."""


@dataclass(frozen=True)
class _Link:
    """One equality as an edge from the numbers it uses to its value."""

    uses: frozenset[Fraction]
    value: Fraction
    holds: bool


def derivation_of(equalities: Sequence[Equality], problem: str, answer: str | None) -> Derivation:
    """What checked equalities carry from a problem's text to an answer's; those with `holds` None are left out."""
    given = numbers_given(problem)
    checked = [equality for equality in equalities if equality.holds is not None]
    anchored = set(given) | {form for number in given for form in _percent_forms(number)}
    links = []
    for equality in checked:
        link = _link_of(equality)
        if link is not None and (not given or not anchored.isdisjoint(link.uses)):
            anchored.add(link.value)
            links.append(link)
    answers = frozenset(_numbers_of_answer(answer))
    needed = set(answers)
    carried, used = set[Fraction](), set[Fraction]()
    for link in reversed(links):
        if link.value in needed and link.holds:
            carried |= {link.value} - (given - answers)
            needed |= link.uses
            used |= link.uses
    return Derivation(
        stated=len(checked),
        carried=len(carried),
        wrong=sum(not equality.holds for equality in checked),
        given=len(given),
        given_used=sum(not used.isdisjoint({number, *_percent_forms(number)}) for number in given),
    )


def numbers_given(problem: str) -> frozenset[Fraction]:
    """The distinct numbers of a problem, in digits or words, without sign; without 0 and 1."""
    numbers = set(_numbers_in(problem))
    for word in re.findall("[a-z]+", problem.lower()):
        value = _NUMBER_WORDS.get(word) or _NUMBER_WORDS.get(word.removesuffix("s"))
        if value is not None:
            numbers.add(value)
    return frozenset(numbers - {Fraction(0), Fraction(1)})


def _link_of(equality: Equality) -> _Link | None:
    """None for what brings nothing: a value among its own operands by an identity, or none that can be computed."""
    left, right = _value(equality.left), _value(equality.right)
    plain = not has_operation(equality.left) and has_operation(equality.right)
    value, other = (left, right) if plain else (right, left)
    if value is None:
        return None
    operands = set[Fraction]()
    for side in (equality.left, equality.right):
        if has_operation(side):
            operands.update(_numbers_in(side))
    if operands <= {value, Fraction(0), Fraction(1)}:
        return None
    uses = operands | ({other} if other is not None and other != value else set())
    return _Link(frozenset(uses), value, bool(equality.holds))


def _numbers_of_answer(answer: str | None) -> list[Fraction]:
    if answer is None:
        return []
    stated = answer.replace("$", "").replace("\\%", "%").rpartition("=")[2].strip()
    value = _value(stated)
    return [value, value * 100] if value is not None else _numbers_in(stated)


def _value(side: str) -> Fraction | None:
    """Of an expression without variables, without its sign."""
    try:
        value = constant(evaluate(side))
    except UnsupportedError:
        return None
    return None if value is None else abs(value)


def _numbers_in(text: str) -> list[Fraction]:
    found = (number.replace(",", "") for number in _NUMBER.findall(text))
    return [Fraction(number) for number in found if len(number) <= MAX_DIGITS]


def _percent_forms(number: Fraction) -> tuple[Fraction, ...]:
    """A number read as a percentage: the part, the rest and the whole with it; none above 100."""
    part = number / 100
    return (part, 1 - part, 1 + part, 100 - number) if 1 < number < 100 else (part,)
