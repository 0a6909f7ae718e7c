"""The programs task: generated specifications in the common format, judged by their tests in the sandbox."""

import random
from collections.abc import Iterator

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.data.prompts import PromptedCompletion
from frugalrl.errors import DataError
from frugalrl.tasks.arithmetic import SPLITS, Split
from frugalrl.tasks.program_solutions import write_program
from frugalrl.tasks.programs import ProgramProblem, generate
from frugalrl.tasks.strategies import draw_of, mix_named
from frugalrl.tasks.task import Task
from frugalrl.types import Check, Problem
from frugalrl.verify.code.checker import code_verdicts, find_tests

NAME = "programs"


def program_problem(problem: ProgramProblem, number: int, split: str) -> Problem:
    """A specification as the common record; its tests are where MBPP has them."""
    return Problem(
        id=f"programs-{split}-{number}",
        text=problem.text,
        gold=problem.steps[-1],
        columns={
            "task": NAME,
            "family": problem.family,
            "difficulty": problem.difficulty,
            "key": problem.key,
            "test_list": list(problem.tests),
        },
        check=Check(task=NAME),
    )


def problems(source: ProblemSource) -> Iterator[Problem]:
    """Endless specifications."""
    split: Split = source.split  # type: ignore[assignment]  # one of SPLITS, which the schema has checked
    for number, problem in enumerate(generate(source.seed, split, difficulties=source.difficulties)):
        yield program_problem(problem, number, split)


def prepare(problem: Problem) -> Problem:
    """A specification that was read from a row. Raises DataError without tests."""
    if find_tests(problem) is None:
        raise DataError(f"The specification {problem.id} lacks tests. Add the column `test_list`.")
    return problem


def completions(source: CompletionSource) -> Iterator[PromptedCompletion]:
    """Endless programs, in the strategies of a mix."""
    rng = random.Random(f"program completions/{source.mix}/{source.seed}")
    mix = mix_named(source.mix, "programs")
    split: Split = source.split  # type: ignore[assignment]  # as above
    for problem in generate(source.seed, split, difficulties=source.difficulties):
        strategy = draw_of(rng, mix[problem.difficulty])
        if strategy == "misconception" and not problem.misconception:
            strategy = "slip"
        yield PromptedCompletion(problem.text, write_program(rng, problem, strategy))


TASK = Task(
    name=NAME,
    check=code_verdicts,
    checks_beside_sampling=True,
    problems=problems,
    splits=SPLITS,
    prepare=prepare,
    needs_gold=False,
    completions=completions,
)
