"""The arithmetic task: generated problems in the common format, and their written-out solutions."""

import random
from collections.abc import Iterator

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.data.prompts import PromptedCompletion
from frugalrl.tasks.arithmetic import SPLITS, ArithmeticProblem, Split, generate
from frugalrl.tasks.strategies import Language, draw_strategy, mix_named, write_completion
from frugalrl.tasks.task import Task
from frugalrl.types import Problem


def arithmetic_problem(problem: ArithmeticProblem, number: int, split: str) -> Problem:
    """A generated problem as the common record."""
    return Problem(
        id=f"arithmetic-{split}-{number}",
        text=problem.text,
        gold=str(problem.answer),
        columns={"family": problem.family, "difficulty": problem.difficulty, "key": problem.key},
    )


def problems(source: ProblemSource) -> Iterator[Problem]:
    """Endless problems."""
    split: Split = source.split  # type: ignore[assignment]  # one of SPLITS, which the schema has checked
    for number, problem in enumerate(generate(source.seed, split, difficulties=source.difficulties)):
        yield arithmetic_problem(problem, number, split)


def completions(source: CompletionSource) -> Iterator[PromptedCompletion]:
    """Endless solutions, in the strategies and languages of a mix."""
    rng = random.Random(f"completions/{source.mix}/{source.seed}")
    mix = mix_named(source.mix, "arithmetic")
    split: Split = source.split  # type: ignore[assignment]  # as above
    for problem in generate(source.seed, split, difficulties=source.difficulties):
        strategy = draw_strategy(rng, problem, mix)
        language: Language = "zh" if rng.random() < source.second_language_fraction else "en"
        yield PromptedCompletion(problem.text, write_completion(rng, problem, strategy, language))


TASK = Task(name="arithmetic", problems=problems, splits=SPLITS, completions=completions)
