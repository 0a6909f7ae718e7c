"""The logic task: generated puzzles in the common format, and their written-out solutions."""

import random
from collections.abc import Iterator

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.data.prompts import PromptedCompletion
from frugalrl.tasks.arithmetic import SPLITS, Split
from frugalrl.tasks.logic import NAME, check, generate, logic_problem, prepare
from frugalrl.tasks.logic_solutions import is_short, write_logic
from frugalrl.tasks.strategies import draw_of, mix_named
from frugalrl.tasks.task import Task
from frugalrl.types import Problem

_ATTEMPTS = 3
"""Thousands of solutions use the smallest puzzles up; looking for a new one 200 times each would take minutes."""


def problems(source: ProblemSource) -> Iterator[Problem]:
    """Endless puzzles."""
    split: Split = source.split  # type: ignore[assignment]  # one of SPLITS, which the schema has checked
    for number, puzzle in enumerate(generate(source.seed, split, difficulties=source.difficulties)):
        yield logic_problem(puzzle, number, split)


def completions(source: CompletionSource) -> Iterator[PromptedCompletion]:
    """Endless solutions, in the strategies of a mix."""
    rng = random.Random(f"logic completions/{source.mix}/{source.seed}")
    mix = mix_named(source.mix, "logic")
    split: Split = source.split  # type: ignore[assignment]  # as above
    puzzles = generate(source.seed, split, difficulties=source.difficulties, attempts_for_a_new_one=_ATTEMPTS)
    for puzzle in filter(is_short, puzzles):
        yield PromptedCompletion(puzzle.text, write_logic(rng, puzzle, draw_of(rng, mix[puzzle.difficulty])))


TASK = Task(
    name=NAME,
    check=check,
    checks_beside_sampling=True,
    problems=problems,
    splits=SPLITS,
    prepare=prepare,
    completions=completions,
)
