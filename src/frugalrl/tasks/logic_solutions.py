"""Logic puzzles solved step by step, in the strategies of `strategies.py` that make sense for them. Pure.

    careful    a search: an assumption a line, dropped at the first clue against it, until one is left that fits
    slip       the same, but each line is misjudged with a chance
    hasty      a guess, seldom right
    no_format  the right search, but no box, or a reasoning that never ends

Knights: every assignment in the same order, with what it makes of each statement up to the first contradiction. An
order: the race from its first place on, person by person; what is written is the beginnings that no race can have, and
then the race.
"""

import itertools
import random
from collections.abc import Sequence

from frugalrl.tasks.logic import Clue, LogicProblem, solutions
from frugalrl.tasks.strategies import GUESS_RIGHT_PROBABILITY, Strategy

MISJUDGED_PROBABILITY = 0.1
"""The chance that `slip` takes a line that fits for one that does not, or the other way round."""
MOST_LINES = 16
"""Of a search in supervised fine-tuning. A puzzle that takes longer is met as a problem only; a slip gives up there."""
_KINDS = ("knave", "knight")

Assignment = tuple[int, ...]
"""By person: 1 for a knight, or the place from 0."""


def write_logic(rng: random.Random, problem: LogicProblem, strategy: Strategy) -> str:
    """The completion of a prompt that ends in ``<think>\\n``. Raises ValueError for a strategy that puzzles lack."""
    if strategy not in ("careful", "slip", "hasty", "no_format"):
        raise ValueError(f"puzzles have no strategy {strategy}")
    [right] = solutions(problem.family, len(problem.people), problem.clues)
    if strategy == "hasty":
        guess = right if rng.random() < GUESS_RIGHT_PROBABILITY else _wrong(rng, problem, right)
        return _closed(problem, ["It looks clear."], guess)
    chance = MISJUDGED_PROBABILITY if strategy == "slip" else 0.0
    search = _knights if problem.family == "knights" else _order
    lines, found = search(rng, problem, chance)
    if strategy == "slip" and len(lines) > MOST_LINES:
        lines, found = lines[:MOST_LINES], None
    if strategy != "no_format":
        return _closed(problem, lines, found or _wrong(rng, problem, right))
    if rng.random() < 0.5:
        return "\n".join([*lines, "</think>", f"The answer is {answer(problem, right)}."])
    return "\n".join([*lines, _boxed(problem, right)])


def is_short(problem: LogicProblem) -> bool:
    """Whether the right search is short enough to be shown: one of five people can go on for hundreds of lines."""
    search = _knights if problem.family == "knights" else _order
    return len(search(random.Random(0), problem, 0.0)[0]) <= MOST_LINES


def answer(problem: LogicProblem, values: Assignment) -> str:
    """An assignment in the form that the puzzle asks for."""
    if problem.family == "knights":
        return ", ".join(f"{name}: {_KINDS[value]}" for name, value in zip(problem.people, values, strict=True))
    return ", ".join(problem.people[values.index(place)] for place in range(len(values)))


def _closed(problem: LogicProblem, lines: Sequence[str], values: Assignment) -> str:
    return "\n".join([*lines, "</think>", _boxed(problem, values)])


def _boxed(problem: LogicProblem, values: Assignment) -> str:
    return f"The answer is \\boxed{{{answer(problem, values)}}}."


def _wrong(rng: random.Random, problem: LogicProblem, right: Assignment) -> Assignment:
    count = len(right)
    while True:
        if problem.family == "knights":
            guess = tuple(rng.randint(0, 1) for _ in range(count))
        else:
            guess = tuple(rng.sample(range(count), count))
        if guess != right:
            return guess


Search = tuple[list[str], Assignment | None]
"""What is written, and where it ends; None if everything was dropped."""


def _knights(rng: random.Random, problem: LogicProblem, chance: float) -> Search:
    lines = []
    for values in itertools.product((1, 0), repeat=len(problem.people)):
        assumed = " ".join(f"{name} {_KINDS[value]}" for name, value in zip(problem.people, values, strict=True))
        said: list[str] = []
        fits = True
        for clue, value in zip(problem.clues, values, strict=True):
            held = clue.holds(values) != (rng.random() < chance)
            said.append("true" if held else "false")
            if held != bool(value):
                fits = False
                break
        lines.append(f"{assumed}: {' '.join(said)}, {'yes' if fits else 'no'}")
        if fits:
            return lines, values
    return lines, None


def _order(rng: random.Random, problem: LogicProblem, chance: float) -> Search:
    lines: list[str] = []
    count = len(problem.people)

    def extended(placed: tuple[int, ...]) -> tuple[int, ...] | None:
        for person in range(count):
            if person in placed:
                continue
            tried = (*placed, person)
            fits = _can_stand(problem.clues, tried) != (rng.random() < chance)
            if not fits or len(tried) == count:
                lines.append(f"{' '.join(problem.people[one] for one in tried)}: {'yes' if fits else 'no'}")
            found = (tried if len(tried) == count else extended(tried)) if fits else None
            if found is not None:
                return found
        return None

    found = extended(())
    return lines, None if found is None else tuple(found.index(person) for person in range(count))


def _can_stand(clues: Sequence[Clue], placed: Sequence[int]) -> bool:
    """Whether no clue is broken yet by the first places of a race."""
    return all(_is_open(clue, placed) for clue in clues)


def _is_open(clue: Clue, placed: Sequence[int]) -> bool:
    place = {person: number for number, person in enumerate(placed)}
    first, second = place.get(clue.first), place.get(clue.second)
    last = len(placed) - 1
    if clue.kind == "not_at":
        return first != clue.number
    if first is None and second is None:
        return True
    if first is not None and second is not None:
        return clue.holds([place.get(person, -1) for person in range(max(clue.first, clue.second) + 1)])
    if clue.kind == "between":
        known = first if first is not None else second
        assert known is not None
        return last < known + clue.number + 1
    if first is None:  # the second is there, and the first has to be before
        return False
    return clue.kind == "before" or last == first
