"""Programs: unlimited, seeded specifications of one-line Python functions, each with tests and a right program.

Two families x three difficulties: *number* (operations on x one after the other; 2, 3, 4 of them) and *list* (keep some
numbers, change each, and return what the list comes to; 1, 2, 3 transformations). A model of under a million
parameters can learn them, and the judge is the one of all code: the tests, run in the sandbox.

Decisions:
- What a specification asks for is a function of Python here (`Operation.apply`), apart from the text of the program
  that `write` makes; tests hold values of the former, so a right program is one that behaves alike.
- The misconception does not keep the order: products before sums, or conditions before changes. A problem whose wrong
  program passes its tests has none.
- The split is a hash of the normalised form, as in `arithmetic.py`: operations without wording.

It does not cover loops, conditions, texts, or anything that a larger model would find hard.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from frugalrl.tasks.arithmetic import Split, split_of

Family = Literal["number", "list"]
FAMILIES: tuple[Family, ...] = get_args(Family)
DIFFICULTIES: tuple[int, ...] = (1, 2, 3)
_LENGTHS: dict[Family, dict[int, int]] = {"number": {1: 2, 2: 3, 3: 4}, "list": {1: 1, 2: 2, 3: 3}}
_TESTS = 4
_ATOM, _PRODUCT, _SUM = 3, 2, 1
"""How tightly an expression binds."""


@dataclass(frozen=True)
class Operation:
    """One step of a specification, e.g. ``Operation("add", 3)``; `number` is 0 where the kind has none."""

    kind: str
    number: int = 0

    @property
    def words(self) -> str:
        """How it is asked for, of a number or of each number of a list."""
        return _KINDS[self.kind].words.format(n=self.number)

    def apply(self, value: Any) -> Any:
        """What it does: to a number; for a condition, whether it holds; at the end of a list, to the whole list."""
        return _KINDS[self.kind].apply(value, self.number)


@dataclass(frozen=True)
class _Kind:
    words: str
    numbers: Sequence[int]
    apply: Callable[[Any, int], Any]
    text: str
    """As Python, {e} for the expression before it."""
    binds: int = _ATOM
    needs: int = _SUM
    """The loosest expression that needs no brackets before it."""


_NONE = (0,)
_CHANGES = {
    "add": _Kind("add {n}", range(1, 10), lambda e, n: e + n, "{e}+{n}", _SUM),
    "subtract": _Kind("subtract {n}", range(1, 10), lambda e, n: e - n, "{e}-{n}", _SUM),
    "multiply": _Kind("multiply by {n}", range(2, 10), lambda e, n: e * n, "{e}*{n}", _PRODUCT, _PRODUCT),
    "remainder": _Kind("take the remainder by {n}", range(2, 10), lambda e, n: e % n, "{e}%{n}", _PRODUCT, _PRODUCT),
    "square": _Kind("square", _NONE, lambda e, n: e * e, "{e}**2", _PRODUCT, _ATOM),
}
_CONDITIONS = {
    "even": _Kind("keep the even numbers", _NONE, lambda e, n: e % 2 == 0, "{e}%2==0"),
    "odd": _Kind("keep the odd numbers", _NONE, lambda e, n: e % 2 == 1, "{e}%2==1"),
    "above": _Kind("keep the numbers above {n}", range(10), lambda e, n: e > n, "{e}>{n}"),
    "below": _Kind("keep the numbers below {n}", range(10), lambda e, n: e < n, "{e}<{n}"),
}
_ENDS = {
    "sum": _Kind("return the sum", _NONE, lambda e, n: sum(e), "sum({e})"),
    "count": _Kind("return how many there are", _NONE, lambda e, n: len(e), "len({e})"),
    "sorted": _Kind("return them sorted", _NONE, lambda e, n: sorted(e), "sorted({e})"),
    "reversed": _Kind("return them in reverse", _NONE, lambda e, n: list(reversed(e)), "{e}[::-1]"),
}
_KINDS = {**_CHANGES, **_CONDITIONS, **_ENDS}


@dataclass(frozen=True)
class ProgramProblem:
    """A generated specification.

    key: its normalised form; text: what the model is asked; operations: in order, for a list the end last;
    tests: assertions that a right program passes, in Python; misconception: the operations in a wrong order whose
    program fails the tests, empty if it has none.
    """

    key: str
    family: Family
    difficulty: int
    text: str
    operations: tuple[Operation, ...]
    tests: tuple[str, ...]
    misconception: tuple[Operation, ...]

    @property
    def steps(self) -> tuple[str, ...]:
        """The right expression as it grows, an operation a time; the last is what to return."""
        return write(self.family, self.operations)


def generate(
    seed: int,
    split: Split,
    families: tuple[Family, ...] = FAMILIES,
    difficulties: tuple[int, ...] = DIFFICULTIES,
) -> Iterator[ProgramProblem]:
    """An endless, seeded stream of specifications of one split, cycling through family x difficulty.

    Specifications are distinct until a cell is used up (lists with one transformation are few), and then repeat.
    """
    rng = random.Random(f"programs/{split}/{seed}")
    seen: set[str] = set()
    while True:
        for difficulty, family in itertools.product(difficulties, families):
            problem = _draw(rng, split, family, difficulty, seen)
            seen.add(problem.key)
            yield problem


def write(family: Family, operations: Sequence[Operation]) -> tuple[str, ...]:
    """The expression after each operation, brackets where they are needed."""
    return _number_steps(operations) if family == "number" else _list_steps(operations)


def program(family: Family, expression: str) -> str:
    """A whole function that returns an expression."""
    return f"def f({argument(family)}):\n    return {expression}\n"


def argument(family: Family) -> str:
    """The name of the function's argument."""
    return "x" if family == "number" else "xs"


def value_of(family: Family, operations: Sequence[Operation], given: Any) -> Any:
    """What the specification asks for, computed without its program."""
    if family == "number":
        for one in operations:
            given = one.apply(given)
        return given
    *transformations, end = operations
    for one in transformations:
        if one.kind in _CONDITIONS:
            given = [value for value in given if one.apply(value)]
        else:
            given = [one.apply(value) for value in given]
    return end.apply(given)


def another(rng: random.Random, operation: Operation) -> Operation:
    """A wrong operation in its place: another number or another kind, of the same role."""
    role = next(kinds for kinds in (_CHANGES, _CONDITIONS, _ENDS) if operation.kind in kinds)
    while True:
        drawn = _operation(rng, role)
        if drawn != operation and (drawn.kind == operation.kind or rng.random() < 0.5):
            return drawn


# ------------------------------------------------------------------------------------------------ generation


def _draw(rng: random.Random, split: Split, family: Family, difficulty: int, seen: set[str]) -> ProgramProblem:
    attempts_for_a_new_one = 200
    attempt = 0
    while True:
        operations = _operations(rng, family, _LENGTHS[family][difficulty])
        key = f"{family} " + " ".join(f"{one.kind}:{one.number}" for one in operations)
        if split_of(key) != split:
            continue
        attempt += 1
        if key not in seen or attempt > attempts_for_a_new_one:
            return _problem(rng, family, difficulty, key, operations)


def _operation(rng: random.Random, kinds: dict[str, _Kind]) -> Operation:
    kind = rng.choice(list(kinds))
    return Operation(kind, rng.choice(kinds[kind].numbers))


def _operations(rng: random.Random, family: Family, length: int) -> tuple[Operation, ...]:
    if family == "number":
        return tuple(_operation(rng, _CHANGES) for _ in range(length))
    drawn = [rng.choice((_CHANGES, _CONDITIONS)) for _ in range(length)]
    if length > 1 and all(kinds is drawn[0] for kinds in drawn):  # else there is no order to get wrong
        drawn[rng.randrange(length)] = _CONDITIONS if drawn[0] is _CHANGES else _CHANGES
    return (*(_operation(rng, kinds) for kinds in drawn), _operation(rng, _ENDS))


def _problem(
    rng: random.Random, family: Family, difficulty: int, key: str, operations: tuple[Operation, ...]
) -> ProgramProblem:
    given = _arguments(rng, family)
    values = [value_of(family, operations, one) for one in given]
    tests = tuple(f"assert f({one!r}) == {value!r}" for one, value in zip(given, values, strict=True))
    wrong = _misread(family, operations)
    fails = any(value_of(family, wrong, one) != value for one, value in zip(given, values, strict=True))
    text = _text(rng, family, operations)
    return ProgramProblem(key, family, difficulty, text, operations, tests, wrong if fails else ())


def _arguments(rng: random.Random, family: Family) -> list[Any]:
    if family == "number":
        return rng.sample(range(-9, 13), _TESTS)
    return [[rng.randint(-9, 15) for _ in range(length)] for length in rng.sample(range(3, 9), _TESTS)]


def _text(rng: random.Random, family: Family, operations: Sequence[Operation]) -> str:
    name = argument(family)
    asked = [one.words for one in operations]
    if family == "list":
        asked = [
            f"{words} each" if one.kind in _CHANGES else words for one, words in zip(operations, asked, strict=True)
        ]
    opening = rng.choice((f"Write f({name}): take {name}", f"Write a function f({name}). Start with {name}"))
    return ", then ".join((opening, *asked)) + "."


# ------------------------------------------------------------------------------------------------- as Python


def _number_steps(operations: Sequence[Operation]) -> tuple[str, ...]:
    steps: list[str] = []
    text, binds = "x", _ATOM
    for one in operations:
        text, binds = _applied(one, text, binds)
        steps.append(text)
    return tuple(steps)


def _applied(operation: Operation, text: str, binds: int) -> tuple[str, int]:
    kind = _KINDS[operation.kind]
    inner = text if binds >= kind.needs else f"({text})"
    return kind.text.format(e=inner, n=operation.number), kind.binds


def _list_steps(operations: Sequence[Operation]) -> tuple[str, ...]:
    """A comprehension for each transformation, around the one before it."""
    steps: list[str] = []
    text = "xs"
    for one in operations:
        if one.kind in _ENDS:
            text = _applied(one, text, _ATOM)[0]
        elif one.kind in _CONDITIONS:
            text = f"[x for x in {text} if {_applied(one, 'x', _ATOM)[0]}]"
        else:
            text = f"[{_applied(one, 'x', _ATOM)[0]} for x in {text}]"
        steps.append(text)
    return tuple(steps)


def _misread(family: Family, operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """The operations in a wrong order: products before sums, or conditions before changes; ends stay last."""
    early = ("multiply", "remainder", "square") if family == "number" else tuple(_CONDITIONS)
    return tuple(sorted(operations, key=lambda one: 2 if one.kind in _ENDS else one.kind not in early))
