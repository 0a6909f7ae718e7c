"""Code: a program in a fenced block, run against the problem's tests in a sandbox.

The columns that hold tests, and the sandbox, are `verify.code.checker`'s. A row with a mark of a code problem but no
tests that can be read is an error, never a maths problem: its gold is a program, and no answer would equal it.
"""

import builtins
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from frugalrl.errors import DataError
from frugalrl.tasks.task import Task
from frugalrl.types import Problem
from frugalrl.verify.code.checker import code_verdicts, find_tests

_MARKS = (
    "entry_point",
    "canonical_solution",
    "test_list",
    "challenge_test_list",
    "verification_info",
    "test_cases",
    "public_test_cases",
    "input_output",
)
"""Columns of HumanEval, MBPP, open-r1, LiveCodeBench and APPS that no data set of another kind is known to have."""


def recognises(columns: Mapping[str, Any]) -> bool:
    """Whether a row has a column that only code problems have, with something in it."""
    return any(columns.get(mark) for mark in _MARKS)


def prepare(problem: Problem) -> Problem:
    """The problem; where its text does not name the function that the tests call, that name or a test stands below it.

    Raises DataError if it has no tests that can be read.
    """
    if find_tests(problem) is None:
        raise DataError(
            f"The problem {problem.id} is of code, but no tests can be read in test with entry_point, test_list or "
            "verification_info. Add them, or say that answers are compared: task: maths, in the recipe or as a column."
        )
    return replace(problem, text=_named_in(problem), check=replace(problem.check, task="code"))


def _named_in(problem: Problem) -> str:
    """MBPP asks for "a function" and calls it by a name: without a test in the prompt nobody can know it.

    The tests of HumanEval's kind call whatever they are given: what is missing then is the name alone.
    """
    entry = problem.columns.get("entry_point")
    if isinstance(entry, str) and isinstance(problem.columns.get("test"), str):
        if re.search(rf"\b{re.escape(entry)}\b", problem.text):
            return problem.text
        return f"{problem.text.rstrip()}\n\nThe function must be called `{entry}`."
    tests = problem.columns.get("test_list")
    first = tests[0] if isinstance(tests, list) and tests and isinstance(tests[0], str) else ""
    names = [name for name in re.findall(r"([A-Za-z_]\w*)\s*\(", first) if name not in dir(builtins)]
    if not names or any(re.search(rf"\b{name}\b", problem.text) for name in names):
        return problem.text
    return f"{problem.text.rstrip()}\n\nYour code should pass this test:\n\n{first.strip()}"


TASK = Task(
    name="code",
    check=code_verdicts,
    checks_beside_sampling=True,
    prompt="{problem}\n\nWrite the complete solution in one Python block, fenced by ```python and ```.",
    recognises=recognises,
    prepare=prepare,
    needs_gold=False,
)
