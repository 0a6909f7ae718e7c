"""Logic: unlimited, seeded puzzles with exactly one solution, and an exact checker. For measuring transfer.

Two families x three difficulties: *knights* (who always tells the truth, who always lies; 2, 3, 4 people) and
*order* (who finished where in a race; 4, 5, 6 people). Nothing is calculated, so what carries over from
training on mathematics is reasoning, not arithmetic.

Decisions:
- Every puzzle is solved by trying all assignments (at most 720): it has one solution, and no clue of an
  order puzzle can be left out.
- The split is a hash of the normalised form, as in `arithmetic.py`: structure without names.
- An answer is right if it gives each person's kind, or place, exactly; the order in which knights are named
  does not matter, and saying a thing twice or two ways is wrong.

It does not cover what recipes ask for (`logic_task.py`), grid puzzles, or wording beyond a few fixed sentences.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from frugalrl.errors import DataError
from frugalrl.tasks.arithmetic import Split, split_of
from frugalrl.types import Check, Problem, Verdict
from frugalrl.verify.maths.extraction import last_boxed, text_after_reasoning

Family = Literal["knights", "order"]
FAMILIES: tuple[Family, ...] = get_args(Family)
DIFFICULTIES: tuple[int, ...] = (1, 2, 3)

NAMES = ("Ada", "Ben", "Cleo", "Dev", "Eva", "Finn", "Gia", "Hugo", "Ines", "Jon")
_PEOPLE: dict[Family, dict[int, int]] = {"knights": {1: 2, 2: 3, 3: 4}, "order": {1: 4, 2: 5, 3: 6}}
NAME = "logic"


@dataclass(frozen=True)
class Clue:
    """A statement about people by index.

    Of knights (a value is True for a knight): ``is`` first is a knight, ``not`` first is a knave, ``same``,
    ``differ``, ``either`` at least one of the two is a knave, ``count`` exactly `number` are knights.
    Of an order (a value is a place from 0): ``before`` first somewhere before second, ``next`` first right
    before second, ``between`` exactly `number` people between the two, ``not_at`` first is not at `number`.
    """

    kind: str
    first: int = 0
    second: int = 0
    number: int = 0

    def holds(self, values: Sequence[int]) -> bool:
        """Whether it is true of an assignment."""
        return _CLUES[self.kind](values[self.first], values[self.second], self.number, values)


_CLUES: dict[str, Callable[[int, int, int, Sequence[int]], bool]] = {
    "is": lambda a, b, number, values: a == 1,
    "not": lambda a, b, number, values: a == 0,
    "same": lambda a, b, number, values: a == b,
    "differ": lambda a, b, number, values: a != b,
    "either": lambda a, b, number, values: not (a and b),
    "count": lambda a, b, number, values: sum(values) == number,
    "before": lambda a, b, number, values: a < b,
    "next": lambda a, b, number, values: a + 1 == b,
    "between": lambda a, b, number, values: abs(a - b) == number + 1,
    "not_at": lambda a, b, number, values: a != number,
}


@dataclass(frozen=True)
class LogicProblem:
    """A generated puzzle.

    key: its normalised form; text: what the model is asked, the answer's form included; gold: the solution in
    that form; people: the names in the order of their indices; clues: for knights, the statement of each.
    """

    key: str
    family: Family
    difficulty: int
    text: str
    gold: str
    people: tuple[str, ...]
    clues: tuple[Clue, ...]


def generate(
    seed: int,
    split: Split,
    families: tuple[Family, ...] = FAMILIES,
    difficulties: tuple[int, ...] = DIFFICULTIES,
    attempts_for_a_new_one: int = 200,
) -> Iterator[LogicProblem]:
    """An endless, seeded stream of puzzles of one split, cycling through family x difficulty.

    Puzzles are distinct until a cell is used up (two knights have few), and then repeat rather than stall.
    """
    rng = random.Random(f"logic/{split}/{seed}")
    seen: set[str] = set()
    while True:
        for difficulty, family in itertools.product(difficulties, families):
            problem = _draw(rng, split, family, difficulty, seen, attempts_for_a_new_one)
            seen.add(problem.key)
            yield problem


def logic_problem(problem: LogicProblem, number: int, split: Split) -> Problem:
    """A puzzle as the common record; its columns name the task, so that a file of puzzles is recognised."""
    return Problem(
        id=f"logic-{split}-{number}",
        text=problem.text,
        gold=problem.gold,
        columns={
            "task": NAME,
            "family": problem.family,
            "difficulty": problem.difficulty,
            "key": problem.key,
            "people": list(problem.people),
        },
        check=Check(task=NAME),
    )


def prepare(problem: Problem) -> Problem:
    """A puzzle that was read from a row. Raises DataError without the columns that its checker needs."""
    people, family = problem.columns.get("people"), problem.columns.get("family")
    if family not in FAMILIES or not isinstance(people, list | tuple) or not people:
        raise DataError(
            f"The puzzle {problem.id} lacks a list of `people` or a `family` ({' or '.join(FAMILIES)}). Add the "
            "columns, or name another task for the file."
        )
    return problem


def check(completions: Sequence[str], problem: Problem, reasoning_open: bool) -> list[Verdict]:
    """A verdict for each completion."""
    return [logic_verdict(completion, problem, reasoning_open) for completion in completions]


def solutions(family: Family, people: int, clues: Sequence[Clue]) -> list[tuple[int, ...]]:
    """All assignments that fit: a value for each person, 1 for a knight, or the place from 0."""
    if family == "knights":
        fits = itertools.product((0, 1), repeat=people)
        return [v for v in fits if all(clue.holds(v) == bool(v[who]) for who, clue in enumerate(clues))]
    return [v for v in itertools.permutations(range(people)) if all(clue.holds(v) for clue in clues)]


def logic_verdict(completion: str, problem: Problem, reasoning_open: bool = False) -> Verdict:
    """Whether the last box after the reasoning holds the solution. Raises KeyError if it is no logic problem."""
    answer_part = text_after_reasoning(completion, reasoning_open)
    if answer_part is None:
        return Verdict("incorrect", None, "unclosed_reasoning")
    answer = last_boxed(answer_part)
    if answer is None:
        return Verdict("incorrect", None, "no_box")
    people, family = list(problem.columns["people"]), problem.columns["family"]
    read = _read_knights if family == "knights" else _read_order
    given = read(answer, people)
    if given is None:
        return Verdict("incorrect", answer[:200], "unreadable_answer")
    right = given == read(problem.gold, people)
    return Verdict("correct" if right else "incorrect", answer[:200], "equal" if right else "different")


# ------------------------------------------------------------------------------------------- reading answers


def _plain(answer: str) -> str:
    """Lower case, without LaTeX markup and with single spaces; cut at a length no answer reaches."""
    bare = re.sub(r"\\(?:text\w*|mathrm|mathbf)|\\[,;: ]|[{}$\\]|\\quad", " ", answer[:500])
    return " ".join(bare.split()).lower().rstrip(" .")


def _read_knights(answer: str, people: Sequence[str]) -> dict[str, str] | None:
    """Name -> kind if the answer is a list of them and of nothing else."""
    names = "|".join(name.lower() for name in people)
    one = rf"({names}) ?(?:is|=|:|-|->|→)? ?(?:an? )?(knight|knave)"
    if not re.fullmatch(rf"{one}(?:(?:, and | ?[,;] ?| and | ){one})*", _plain(answer)):
        return None
    found = re.findall(one, _plain(answer))
    kinds = dict(found)
    return kinds if len(found) == len(kinds) == len(people) else None


def _read_order(answer: str, people: Sequence[str]) -> list[str] | None:
    """The names, if the answer is each of them once with separators between."""
    named = re.sub(r",|;|→|->|>|\band\b|\bthen\b", " ", _plain(answer)).split()
    return named if sorted(named) == sorted(name.lower() for name in people) else None


# ------------------------------------------------------------------------------------------------ generation


def _draw(
    rng: random.Random, split: Split, family: Family, difficulty: int, seen: set[str], attempts_for_a_new_one: int
) -> LogicProblem:
    attempt = 0
    while True:
        count = _PEOPLE[family][difficulty]
        clues = _knights(rng, count) if family == "knights" else _order(rng, count)
        if clues is None:
            continue
        key = f"{family} {count} " + " ".join(f"{c.kind}:{c.first},{c.second},{c.number}" for c in clues)
        if split_of(key) != split:
            continue
        attempt += 1
        if key not in seen or attempt > attempts_for_a_new_one:
            return _write(rng, family, difficulty, key, clues)


def _knights(rng: random.Random, count: int) -> tuple[Clue, ...] | None:
    """A statement of each person, if they leave one solution; in a normal form."""
    clues = []
    for who in range(count):
        others = [person for person in range(count) if person != who]
        first, second = rng.choice(others), who
        if count > 2 and rng.random() < 0.4:
            first, second = sorted(rng.sample(others, 2))
        kind = rng.choice(("is", "not", "same", "differ", "either", "count"))
        if kind == "count":
            clues.append(Clue("count", number=rng.randint(0, count)))
        elif kind in ("is", "not"):
            clues.append(Clue(kind, first))
        else:
            clues.append(Clue(kind, min(first, second), max(first, second)))
    return tuple(clues) if len(solutions("knights", count, clues)) == 1 else None


def _order(rng: random.Random, count: int) -> tuple[Clue, ...]:
    """True clues about the order 0, 1, 2 ... under shuffled indices until one solution is left, then pruned."""
    places = rng.sample(range(count), count)
    clues: list[Clue] = []
    left = solutions("order", count, clues)
    while len(left) > 1:
        first, second = rng.sample(range(count), 2)
        kind = rng.choice(("before", "before", "next", "between", "not_at"))
        number = rng.randrange(count) if kind == "not_at" else rng.randint(1, count - 2)
        if kind in ("between", "not_at"):
            first, second = (first, 0) if kind == "not_at" else (min(first, second), max(first, second))
        clue = Clue(kind, first, second, number if kind in ("between", "not_at") else 0)
        narrowed = [values for values in left if clue.holds(values)] if clue.holds(places) else left
        if len(narrowed) < len(left):
            clues.append(clue)
            left = narrowed
    for clue in list(clues):
        fewer = [other for other in clues if other != clue]
        if len(solutions("order", count, fewer)) == 1:
            clues = fewer
    return tuple(sorted(clues, key=lambda clue: (clue.kind, clue.first, clue.second, clue.number)))


def _write(rng: random.Random, family: Family, difficulty: int, key: str, clues: tuple[Clue, ...]) -> LogicProblem:
    count = _PEOPLE[family][difficulty]
    people = tuple(rng.sample(NAMES, count))
    [values] = solutions(family, count, clues)
    if family == "knights":
        lines = [f'{people[who]} says: "{_says(clue, who, people)}."' for who, clue in enumerate(clues)]
        opening = f"On an island, knights always tell the truth and knaves always lie. You meet {_list(people)}."
        asked = (
            "Who is what? Answer in a box, for example \\boxed{" + f"{people[0]}: knight, {people[1]}: knave, ...}}."
        )
        gold = ", ".join(
            f"{name}: {'knight' if value else 'knave'}" for name, value in zip(people, values, strict=True)
        )
    else:
        told = rng.sample(clues, len(clues))
        lines = [f"{_tells(clue, people)}." for clue in told]
        opening = f"{_list(people)} ran a race; nobody tied."
        asked = "In which order did they finish? Answer in a box from first to last, for example \\boxed{"
        asked += ", ".join(sorted(people)) + "}."
        gold = ", ".join(people[values.index(place)] for place in range(count))
    return LogicProblem(key, family, difficulty, " ".join((opening, *lines, asked)), gold, people, clues)


def _says(clue: Clue, speaker: int, people: Sequence[str]) -> str:
    first = people[clue.first]
    if clue.kind == "count":
        among = f"Exactly {clue.number} of us" if clue.number else "None of us"
        return f"{among} {'is a knight' if clue.number == 1 else 'are knights'}"
    if clue.kind in ("is", "not"):
        return f"{first} is a {'knight' if clue.kind == 'is' else 'knave'}"
    other = [people[index] for index in (clue.first, clue.second) if index != speaker]
    pair = f"{other[0]} and I" if len(other) == 1 else f"{other[0]} and {other[1]}"
    if clue.kind == "either":
        return f"At least one of {pair.replace(' and I', ' and me')} is a knave"
    return f"{pair} are of {'the same kind' if clue.kind == 'same' else 'different kinds'}"


def _tells(clue: Clue, people: Sequence[str]) -> str:
    first, second = people[clue.first], people[clue.second]
    if clue.kind == "before":
        return f"{first} finished before {second}"
    if clue.kind == "next":
        return f"{first} finished right before {second}"
    if clue.kind == "between":
        between = "one person" if clue.number == 1 else f"{clue.number} people"
        return f"Exactly {between} finished between {first} and {second}"
    return f"{first} did not finish in place {clue.number + 1}"


def _list(people: Sequence[str]) -> str:
    return f"{', '.join(people[:-1])} and {people[-1]}"
