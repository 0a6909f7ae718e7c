"""Three domains in turn: arithmetic, logic and programs. For training on a mixture, and for a base that knows them.

A problem is judged by the task of its domain; ids and columns are those of that task. Difficulties and split apply to
each. Not covered: other shares than a third each (write a file for those).
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.data.prompts import PromptedCompletion
from frugalrl.tasks import arithmetic_task, logic_task, programs_task
from frugalrl.tasks.arithmetic import SPLITS
from frugalrl.tasks.task import Task
from frugalrl.types import Check, Problem


def problems(source: ProblemSource) -> Iterator[Problem]:
    """Endless problems, a domain after the other."""
    streams = zip(
        arithmetic_task.problems(source), logic_task.problems(source), programs_task.problems(source), strict=True
    )
    for in_arithmetic, *others in streams:
        yield replace(in_arithmetic, check=Check(task="arithmetic"))
        yield from others


def completions(source: CompletionSource) -> Iterator[PromptedCompletion]:
    """Endless solutions, every three of them one of each domain in a drawn order.

    Drawn, because the tokenizer of a new model is trained on every n-th example: in a fixed order on one domain alone.
    """
    rng = random.Random(f"domains/{source.mix}/{source.seed}")
    streams = zip(
        arithmetic_task.completions(source),
        logic_task.completions(source),
        programs_task.completions(source),
        strict=True,
    )
    for turn in streams:
        yield from rng.sample(turn, 3)


TASK = Task(name="domains", problems=problems, splits=SPLITS, completions=completions)
