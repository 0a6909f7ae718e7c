"""The user's own task of docs/tasks/README.md, in one file."""

import random
from collections.abc import Iterator, Sequence

from frugalrl.config.schema import ProblemSource
from frugalrl.tasks.task import Task
from frugalrl.types import Problem, Verdict


def problems(source: ProblemSource) -> Iterator[Problem]:
    """Numbers without end."""
    rng, number = random.Random(f"parity/{source.split}/{source.seed}"), 0
    while True:
        n = 2 * rng.randint(1, 499) + (source.split == "test")  # splits that cannot overlap
        yield Problem(f"parity-{source.split}-{number}", f"Is {n} even or odd?", "odd" if n % 2 else "even")
        number += 1


def check(completions: Sequence[str], problem: Problem, reasoning_open: bool) -> list[Verdict]:
    """The last word decides."""
    words = [(completion.lower().strip(" .").split() or [""])[-1] for completion in completions]
    return [Verdict("correct" if word == problem.gold else "incorrect", word, "last_word") for word in words]


TASK = Task(name="parity", check=check, problems=problems, splits=("train", "test"), prompt="{problem} One word.")
