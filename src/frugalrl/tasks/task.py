"""What a task is: where its problems come from, how they are asked, and who judges the answers.

A task is one value of `Task`, made of plain functions, in one file. docs/tasks/README.md writes one from start to end.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.data.prompts import PromptedCompletion
from frugalrl.types import Problem, Verdict

Checker = Callable[[Sequence[str], Problem, bool], Sequence[Verdict]]
"""Completions of one problem, the problem, and whether the prompt had opened ``<think>``; a verdict for each."""
Prepare = Callable[[Problem], Problem]
"""A problem as it was read from a row, with the task's policy in its `check`. Raises DataError for one that the task
cannot judge."""


@dataclass(frozen=True)
class Task:
    """Problems, prompt and checker under one name."""

    name: str
    check: Checker | None = None
    """None: answers are compared with the accepted golds, as in mathematics."""
    checks_beside_sampling: bool = False
    """Whether `check` may be called by another thread than the main one while other completions are still sampled, with
    some of a problem's completions at a time: if no verdict depends on another completion, and it sets no alarms or
    signals. There are never two such calls at once."""
    problems: Callable[[ProblemSource], Iterable[Problem]] | None = None
    """The task's own problems without end (``seed``, ``split`` and ``difficulties`` are the source's); None: the task
    reads rows of tables."""
    splits: tuple[str, ...] = ()
    """Of its own problems; a source may name no other."""
    prompt: str = "{problem}"
    """How a problem is asked where neither recipe nor benchmark says."""
    recognises: Callable[[Mapping[str, Any]], bool] | None = None
    """Whether a row's columns show that it is this task's; None: only by its name."""
    prepare: Prepare | None = None
    """Policy of a row; None: the gold alone counts."""
    needs_gold: bool = True
    """Whether a row without a gold answer is an error."""
    completions: Callable[[CompletionSource], Iterable[PromptedCompletion]] | None = None
    """Written-out solutions without end, for supervised fine-tuning."""
