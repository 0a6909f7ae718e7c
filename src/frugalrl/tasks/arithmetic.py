"""Arithmetic: unlimited, seeded problems with integer answers, each with a right and a wrong solution.

Three families (expression, story, equation) x three difficulties, in words and in LaTeX. Every
intermediate value of a right solution lies in 0..99, so that a model of under a million parameters can
learn the skill and reinforcement learning can show what it does to it.

Decisions:
- Which split a problem belongs to is a hash of its normalised form (`key`): numbers and structure, not
  wording, names or variable letters. Train, validation and test therefore cannot overlap, however many
  problems are drawn from each.
- A problem carries its right steps and the steps of one misconception (left to right, the distractor
  used, the sign not flipped); `strategies.py` writes them out as completions.

It does not cover negative numbers, fractions, or anything a larger model would find hard.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Family = Literal["expression", "story", "equation"]
Split = Literal["train", "validation", "test"]
FAMILIES: tuple[Family, ...] = get_args(Family)
SPLITS: tuple[Split, ...] = get_args(Split)
DIFFICULTIES: tuple[int, ...] = (1, 2, 3)

LARGEST = 99
"""No right step leaves 0..LARGEST: the tiny reasoner can add and multiply two digits."""

# Hash buckets of 100: a tenth each for validation and test leaves both of them thousands of problems in
# every cell, and training all the rest.
_SPLIT_BUCKETS: dict[Split, range] = {"train": range(20, 100), "validation": range(10), "test": range(10, 20)}


@dataclass(frozen=True)
class Step:
    """One operation of a solution, e.g. ``Step(7, "*", 3)`` with ``result`` 21."""

    left: int
    op: Literal["+", "-", "*", "/"]
    right: int

    @property
    def result(self) -> int:
        """The value; division is exact by construction (ZeroDivisionError cannot occur in a drawn problem)."""
        return _apply(self.left, self.op, self.right)


@dataclass(frozen=True)
class ArithmeticProblem:
    """A generated problem.

    key: its normalised form, equal for two wordings of one problem, e.g. ``"expression 12+7*3"``.
    text: what the model is asked, e.g. ``"Compute $12 + 7 \\times 3$."``.
    steps: the right solution, in order; the last result is `answer`.
    misconception: the steps of a typical wrong solution, ending in another answer; empty when it has none.
    """

    key: str
    family: Family
    difficulty: int
    text: str
    steps: tuple[Step, ...]
    misconception: tuple[Step, ...]

    @property
    def answer(self) -> int:
        return self.steps[-1].result


def split_of(key: str) -> Split:
    """The split of a problem with this normalised form, the same on every machine."""
    bucket = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % 100
    return next(split for split, buckets in _SPLIT_BUCKETS.items() if bucket in buckets)


def generate(
    seed: int,
    split: Split,
    families: tuple[Family, ...] = FAMILIES,
    difficulties: tuple[int, ...] = DIFFICULTIES,
) -> Iterator[ArithmeticProblem]:
    """An endless, seeded stream of distinct problems of one split, cycling through family x difficulty.

    Every cell gets its turn, so n problems hold n / cells of each. A cell whose distinct problems are used
    up (the easiest equations, after some thousands) starts to repeat rather than to stall.
    """
    rng = random.Random(f"arithmetic/{split}/{seed}")
    cells = [(family, difficulty) for difficulty in difficulties for family in families]
    seen: set[str] = set()
    while True:
        for family, difficulty in cells:
            problem = _draw(rng, split, family, difficulty, seen)
            seen.add(problem.key)
            yield problem


def _draw(rng: random.Random, split: Split, family: Family, difficulty: int, seen: set[str]) -> ArithmeticProblem:
    attempts_for_a_new_one = 200
    attempt = 0
    while True:
        problem = _GENERATORS[family](rng, difficulty)
        if problem is None or split_of(problem.key) != split:
            continue
        attempt += 1
        if problem.key not in seen or attempt > attempts_for_a_new_one:
            return problem


def _apply(left: int, op: str, right: int) -> int:
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    return left * right if op == "*" else left // right


def _is_sound(step: Step) -> bool:
    """In range, and exact when it divides."""
    if step.op == "/" and (step.right == 0 or step.left % step.right):
        return False
    return 0 <= step.result <= LARGEST


def _misconception(steps: list[Step], right_answer: int) -> tuple[Step, ...]:
    """The wrong way, if it can be written in sound steps and really ends elsewhere."""
    if not steps or not all(map(_is_sound, steps)) or steps[-1].result == right_answer:
        return ()
    return tuple(steps)


# --------------------------------------------------------------------------------------------- expressions

_OPERATIONS_BY_DIFFICULTY = {1: (2, 2), 2: (3, 4), 3: (5, 6)}
_LATEX_OPERATOR = {"+": "+", "-": "-", "*": "\\times", "/": "\\div"}
_WORD_OPERATOR = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}

Token = int | str


def _expression(rng: random.Random, difficulty: int) -> ArithmeticProblem | None:
    low, high = _OPERATIONS_BY_DIFFICULTY[difficulty]
    tokens = _random_expression(rng, rng.randint(low, high))
    steps = _reduce(tokens)
    if steps is None:
        return None
    flat = [token for token in tokens if token not in ("(", ")")]
    left_to_right = _reduce_left_to_right(flat)
    bare = "".join(map(str, tokens))
    return ArithmeticProblem(
        key=f"expression {bare}",
        family="expression",
        difficulty=difficulty,
        text=_expression_text(rng, tokens),
        steps=steps,
        misconception=_misconception(left_to_right, steps[-1].result),
    )


def _random_expression(rng: random.Random, operations: int) -> list[Token]:
    ops = rng.choices("+-*/", weights=(4, 4, 3, 1), k=operations)
    numbers: list[int] = []
    for position in range(operations + 1):
        neighbours = ops[max(0, position - 1) : position + 1]
        small = "*" in neighbours or "/" in neighbours
        numbers.append(rng.randint(2, 9) if small else rng.randint(1, 30))
    tokens: list[Token] = [numbers[0]]
    for op, number in zip(ops, numbers[1:], strict=True):
        tokens += [op, number]
    if operations >= 2 and rng.random() < 0.35:
        start = 2 * rng.randrange(operations)
        tokens[start : start + 3] = ["(", *tokens[start : start + 3], ")"]
    return tokens


def _reduce(tokens: list[Token]) -> tuple[Step, ...] | None:
    """The right steps (parentheses, then * and /, then + and -, each left to right), or None if unsound."""
    rest, steps = list(tokens), []
    while len(rest) > 1:
        start, end = 0, len(rest)
        if "(" in rest:
            start, end = rest.index("(") + 1, rest.index(")")
        window = range(start + 1, end, 2)
        at = next((i for i in window if rest[i] in ("*", "/")), start + 1)
        step = Step(rest[at - 1], rest[at], rest[at + 1])  # type: ignore[arg-type]
        if not _is_sound(step):
            return None
        steps.append(step)
        rest[at - 1 : at + 2] = [step.result]
        if start and end - start == 3:
            rest[start - 1 : start + 2] = [step.result]
    return tuple(steps)


def _reduce_left_to_right(flat: list[Token]) -> list[Step]:
    """The misconception: operations in reading order, whatever binds tighter."""
    steps: list[Step] = []
    value = flat[0]
    for op, number in zip(flat[1::2], flat[2::2], strict=True):
        step = Step(value, op, number)  # type: ignore[arg-type]
        if not _is_sound(step):
            return []
        steps.append(step)
        value = step.result
    return steps


def _expression_text(rng: random.Random, tokens: list[Token]) -> str:
    in_words = "(" not in tokens and rng.random() < 0.4
    names = _WORD_OPERATOR if in_words else _LATEX_OPERATOR
    body = " ".join(names.get(str(token), str(token)) for token in tokens)
    if in_words:
        return f"{rng.choice(('What is', 'Work out'))} {body}{rng.choice(('?', '.'))}"
    body = body.replace("( ", "(").replace(" )", ")")
    return f"{rng.choice(('Compute', 'Evaluate', 'Calculate'))} ${body}$."


# ------------------------------------------------------------------------------------------------- stories

_NAMES = ("Mia", "Tom", "Ana", "Ben", "Lea", "Sam")
_ITEMS = ("apples", "stamps", "coins", "cards", "shells")
_CONTAINERS = ("bags", "boxes")


@dataclass(frozen=True)
class _Event:
    """One sentence of a story and what it does to the running total."""

    key: str
    sentence: str
    steps: tuple[Step, ...]


def _event(rng: random.Random, total: int, other: str, item: str) -> _Event:
    kind = rng.choice(("gain", "loss", "pack", "times", "share"))
    if kind == "gain":
        n = rng.randint(2, 40)
        return _Event(f"+{n}", rng.choice((f"finds {n} more", f"gets {n} more {item}")), (Step(total, "+", n),))
    if kind == "loss":
        n = rng.randint(2, 40)
        return _Event(f"-{n}", rng.choice((f"gives {n} to {other}", f"loses {n} {item}")), (Step(total, "-", n),))
    if kind == "pack":
        packs, each = rng.randint(2, 9), rng.randint(2, 9)
        packed = Step(packs, "*", each)
        where = rng.choice(_CONTAINERS)
        sentence = f"buys {packs} {where} with {each} {item} each"
        return _Event(f"+{packs}*{each}", sentence, (packed, Step(total, "+", packed.result)))
    n = rng.randint(2, 5)
    if kind == "times":
        return _Event(f"*{n}", f"wins until there are {n} times as many", (Step(total, "*", n),))
    return _Event(f"/{n}", f"shares them equally among {n} and keeps one part", (Step(total, "/", n),))


def _story(rng: random.Random, difficulty: int) -> ArithmeticProblem | None:
    name, other = rng.sample(_NAMES, 2)
    item = rng.choice(_ITEMS)
    start = total = rng.randint(2, 60)
    events: list[_Event] = []
    for _ in range(difficulty):
        event = _event(rng, total, other, item)
        if not all(map(_is_sound, event.steps)):
            return None
        events.append(event)
        total = event.steps[-1].result
    distractor = rng.randint(2, 30)
    steps = tuple(step for event in events for step in event.steps)
    uses_distractor = [*steps, Step(total, rng.choice(("+", "-")), distractor)]
    return ArithmeticProblem(
        key=f"story {start} {' '.join(event.key for event in events)} ({distractor})",
        family="story",
        difficulty=difficulty,
        text=_story_text(rng, name, other, item, start, [event.sentence for event in events], distractor),
        steps=steps,
        misconception=_misconception(uses_distractor, total),
    )


def _story_text(
    rng: random.Random, name: str, other: str, item: str, start: int, events: list[str], distractor: int
) -> str:
    beside = rng.choice((f"{other} is {distractor} years old", f"{other} also has {distractor} pens"))
    sentences = [f"{name} {event}" for event in events]
    sentences.insert(rng.randint(0, len(sentences)), beside)
    asked = rng.choice((f"How many {item} does {name} have now?", f"How many {item} are left with {name}?"))
    return f"{name} has {start} {item}. {'. '.join(sentences)}. {asked}"


# ----------------------------------------------------------------------------------------------- equations


def _equation(rng: random.Random, difficulty: int) -> ArithmeticProblem | None:
    shape = rng.choice(_EQUATION_SHAPES[difficulty])
    left, right, steps, wrong = shape(rng)
    if not steps or not all(map(_is_sound, steps)):
        return None
    return ArithmeticProblem(
        key="equation " + f"{left}={right}".replace(" ", ""),
        family="equation",
        difficulty=difficulty,
        text=_equation_text(rng, left, right),
        steps=tuple(steps),
        misconception=_misconception(wrong, steps[-1].result),
    )


EquationDraw = tuple[str, str, list[Step], list[Step]]
"""Left side and right side in x, the right steps, and the steps with a sign not flipped."""

_FLIPPED: dict[str, Literal["+", "-"]] = {"+": "-", "-": "+"}


def _flip(sign: str) -> Literal["+", "-"]:
    return _FLIPPED[sign]


def _then_divide(first: Step, divisor: int) -> list[Step]:
    """Divide when that is exact; a wrong way that cannot be divided stops short, as pupils do."""
    return [first, Step(first.result, "/", divisor)] if first.result % divisor == 0 else [first]


def _shift(rng: random.Random) -> EquationDraw:
    x, b, sign = rng.randint(0, 60), rng.randint(1, 60), rng.choice(("+", "-"))
    c = _apply(x, sign, b)
    if not 0 <= c <= LARGEST:
        return "", "", [], []
    wrong = [Step(c, "+" if sign == "+" else "-", b)]
    return f"x {sign} {b}", f"{c}", [Step(c, _flip(sign), b)], wrong


def _scale(rng: random.Random) -> EquationDraw:
    x, a = rng.randint(1, 20), rng.randint(2, 9)
    c = a * x
    return f"{a}x", f"{c}", [Step(c, "/", a)] if c <= LARGEST else [], [Step(c, "-", a)]


def _linear(rng: random.Random) -> EquationDraw:
    x, a, b, sign = rng.randint(0, 20), rng.randint(2, 9), rng.randint(1, 40), rng.choice(("+", "-"))
    c = _apply(a * x, sign, b)
    if not 0 <= c <= LARGEST:
        return "", "", [], []
    undo = Step(c, _flip(sign), b)
    wrong = _then_divide(Step(c, "+" if sign == "+" else "-", b), a)
    return f"{a}x {sign} {b}", f"{c}", [undo, Step(undo.result, "/", a)], wrong


def _bracket(rng: random.Random) -> EquationDraw:
    x, a, b = rng.randint(0, 15), rng.randint(2, 9), rng.randint(1, 15)
    c = a * (x + b)
    if c > LARGEST:
        return "", "", [], []
    return f"{a}(x + {b})", f"{c}", [Step(c, "/", a), Step(c // a, "-", b)], _then_divide(Step(c, "-", b), a)


def _bracket_and_shift(rng: random.Random) -> EquationDraw:
    x, a, b, d = rng.randint(0, 15), rng.randint(2, 9), rng.randint(1, 15), rng.randint(1, 30)
    c = a * (x + b) + d
    if c > LARGEST:
        return "", "", [], []
    undo = Step(c, "-", d)
    steps = [undo, Step(undo.result, "/", a), Step(undo.result // a, "-", b)]
    return f"{a}(x + {b}) + {d}", f"{c}", steps, _then_divide(Step(c, "+", d), a)


def _two_sided(rng: random.Random) -> EquationDraw:
    x, a, c = rng.randint(0, 15), rng.randint(3, 9), rng.randint(2, 8)
    b, sign = rng.randint(1, 30), rng.choice(("+", "-"))
    d = _apply(a * x, sign, b) - c * x
    if c >= a or not 1 <= d <= LARGEST:
        return "", "", [], []
    gather, undo = Step(a, "-", c), Step(d, _flip(sign), b)
    steps = [gather, undo, Step(undo.result, "/", gather.result)]
    wrong = [Step(a, "+", c), undo, *_then_divide(undo, a + c)[1:]]
    return f"{a}x {sign} {b}", f"{c}x + {d}", steps, wrong


_EQUATION_SHAPES: dict[int, tuple[Callable[[random.Random], EquationDraw], ...]] = {
    1: (_shift, _scale),
    2: (_linear, _bracket),
    3: (_two_sided, _bracket_and_shift),
}


def _equation_text(rng: random.Random, left: str, right: str) -> str:
    in_words = "(" not in left and rng.random() < 0.4
    if in_words:
        sides = [_equation_side_in_words(left, "a number"), _equation_side_in_words(right, "the number")]
        return f"{sides[0][0].upper()}{sides[0][1:]} is {sides[1]}. What is the number?"
    variable = rng.choice("xyn")
    body = f"{left} = {right}".replace("x", variable)
    return rng.choice((f"Solve for ${variable}$: ${body}$.", f"Find ${variable}$ if ${body}$."))


def _equation_side_in_words(side: str, unknown: str) -> str:
    words = re.sub(r"(\d+)x", rf"\1 times {unknown}", side)
    words = re.sub(r"\bx\b", unknown, words)
    return words.replace("+", "plus").replace("-", "minus")


_GENERATORS: dict[Family, Callable[[random.Random, int], ArithmeticProblem | None]] = {
    "expression": _expression,
    "story": _story,
    "equation": _equation,
}
