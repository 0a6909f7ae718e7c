"""Problems and completions of a source, each problem with the task that judges it.

The task of a row is decided here, once: by the recipe's `task`, by the column `task` of a row that this package wrote,
or by the first task that recognises the row's columns; else it is mathematics.
"""

import importlib.util
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frugalrl.config.dotted_paths import is_dotted_path, search_here
from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.config.task_table import TASKS
from frugalrl.data.columns import Columns, columns_of, conversation, root_of, several_golds, value_at
from frugalrl.data.prompts import Message, PromptedCompletion
from frugalrl.data.sources import check_local, completions_of_rows, problem_rows
from frugalrl.data.tables import SUFFIXES, TableRow
from frugalrl.errors import DataError, RecipeError
from frugalrl.tasks.choice import gold_of_number
from frugalrl.tasks.registry import task_named
from frugalrl.tasks.task import Task
from frugalrl.types import Problem
from frugalrl.verify.answers import gold_from_solution

MATHS = "maths"


@dataclass(frozen=True)
class Advice:
    """What to do about rows that cannot be read, in the words of the command that reads them."""

    no_text: str
    no_gold: str


BY_RECIPE = Advice(
    no_text="Name the column with problem_field.",
    no_gold="name the columns with answer_field or solution_field, or leave such rows out with skip_without_gold: true",
)
BY_FILE = Advice(
    no_text="Call the column of the question 'problem'.",
    no_gold="call the column of the gold 'answer' or 'solution', or take such rows out of the file",
)
"""Of commands that read a file without a recipe and have no keys to name its columns."""


def load_problems(
    source: ProblemSource, advice: Advice = BY_RECIPE, note: Callable[[str], None] = lambda line: None
) -> list[Problem]:
    """All problems of a source, in its order. note: is told how many rows are left out for want of a gold answer.

    Raises DataError for a missing, empty or malformed source, a row without problem or gold (unless the
    source says to skip the latter), a row that its task cannot judge, and two problems with one id; RecipeError for a
    task that cannot be found, or an endless one without `limit`.
    """
    problems = _own_problems(source) if _is_a_task(source.source) else _problems_of_rows(source, advice, note)
    _refuse_repeated_ids(problems, source.source)
    return problems


def load_completions(source: CompletionSource) -> list[PromptedCompletion]:
    """All examples of a source, in its order. Raises DataError and RecipeError as `load_problems` does."""
    if not _is_a_task(source.source):
        return completions_of_rows(source)
    write = task_named(source.source).completions
    if write is None or source.limit is None:
        what = "has no completions" if write is None else "is endless: say how many completions to take with `limit`"
        raise RecipeError(f"The {source.source} task {what}.")
    return list(itertools.islice(write(source), source.limit))


def check_sources(sources: Iterable[ProblemSource | CompletionSource | None]) -> None:
    """Raise DataError for the first path with nothing there, before a model is loaded or the Hub asked for anything."""
    check_local([one.source for one in sources if one is not None and not _is_a_task(one.source)])


def row_problem(problem: Problem, where: str, task: str | None = None) -> Problem:
    """A problem read from a row, with the task that judges it and its policy.

    task: what the recipe names; None: the columns decide. Raises DataError that names the row if its task cannot
    judge it.
    """
    name = task or task_of(problem.columns)
    own = task_named(name)
    try:
        prepared = problem if own.prepare is None else own.prepare(problem)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return replace(prepared, check=replace(prepared.check, task=name))


def task_of(columns: Mapping[str, Any]) -> str:
    """The built-in task that a row belongs to. A dotted path in a row is not followed: data must not run code."""
    named = columns.get("task")
    if isinstance(named, str) and named in TASKS:
        return named
    for name in TASKS:
        recognises = task_named(name).recognises
        if recognises is not None and recognises(columns):
            return name
    return MATHS


def golds_in(answer: object, solution: object) -> tuple[str, ...]:
    """The accepted golds of a row: its answer, each entry of a list of answers, or what a solution ends in."""
    answer = None if _is_nan(answer) else several_golds(answer)
    if isinstance(answer, list | tuple):
        return tuple(str(one).strip() for one in answer if one is not None and str(one).strip() and not _is_nan(one))
    if answer is None or not str(answer).strip() or "####" in str(answer):
        written_out = answer if answer and "####" in str(answer) else solution
        answer = gold_from_solution(str(written_out)) if written_out else None
    return (str(answer).strip(),) if answer is not None and str(answer).strip() else ()


def _is_nan(value: object) -> bool:
    """Whether it is what tables have for a missing number."""
    return isinstance(value, float) and math.isnan(value)


# ------------------------------------------------------------------------------------------ rows of a table


def _problems_of_rows(source: ProblemSource, advice: Advice, note: Callable[[str], None]) -> list[Problem]:
    problems: list[Problem] = []
    without_gold: list[str] = []
    columns: Columns | None = None
    for number, row in enumerate(itertools.islice(problem_rows(source), source.limit)):
        if columns is None:
            columns = columns_of(row.values, source.problem_field, source.answer_field, source.solution_field)
            if (line := columns.note(source.source)) is not None:
                note(line)
        problem = row_problem(_problem(row, number, source, columns, advice), row.where, source.task)
        if problem.gold or not task_named(problem.check.task).needs_gold:
            problems.append(problem)
        else:
            without_gold.append(row.where)
    if without_gold and not source.skip_without_gold:
        raise DataError(
            f"{len(without_gold)} rows have no gold answer, the first at {without_gold[0]}. Fix them, {advice.no_gold}."
        )
    if without_gold:
        read = len(problems) + len(without_gold)
        note(f"Left out {len(without_gold):,} of {read:,} rows of {source.source}: no gold answer (skip_without_gold).")
    if not problems:
        raise DataError(f"{source.source} holds no problem with a gold answer. Check the file and its columns.")
    return problems


def _problem(row: TableRow, number: int, source: ProblemSource, columns: Columns, advice: Advice) -> Problem:
    value = value_at(row.values, columns.problem)
    messages = conversation(value)
    text = value if messages is None else _last_question(messages, row.where)
    if not isinstance(text, str) or not text.strip():
        raise DataError(
            f"{row.where} has no text in {columns.problem!r} (columns: {', '.join(row.values)}). {advice.no_text}"
        )
    answer = gold_of_number(value_at(row.values, columns.answer), row.values.get("choices"))
    golds = golds_in(answer, _solution(row, columns))
    used = {"id", root_of(row.values, columns.problem), columns.answer}
    problem = Problem(
        id=str(row.values.get("id", f"{Path(source.source).name}-{number}")),
        text=text,
        gold=golds[0] if golds else "",
        columns={name: value for name, value in row.values.items() if name not in used},
        messages=_asking(messages),
    )
    return replace(problem, check=replace(problem.check, also_accepted=golds[1:]))


def _solution(row: TableRow, columns: Columns) -> object:
    """The written-out solution; of a whole conversation, its last answer."""
    solution = value_at(row.values, columns.solution)
    messages = conversation(solution)
    return solution if messages is None else messages[-1]["content"]


def _asking(messages: Sequence[Message] | None) -> tuple[Message, ...]:
    """The conversation up to the question: without the answer that open-r1's `messages` end with. Empty where a plain
    question says the same."""
    if messages is None:
        return ()
    asked = messages[:-1] if messages[-1]["role"] == "assistant" else messages
    return tuple(asked) if len(asked) > 1 else ()


def _last_question(messages: Sequence[Message], where: str) -> str:
    asked = messages[:-1] if messages[-1]["role"] == "assistant" else messages
    if not asked or asked[-1]["role"] != "user":
        raise DataError(f"{where} has a conversation without a user's question at its end. Remove or fix the row.")
    return asked[-1]["content"]


# --------------------------------------------------------------------------------- tasks with problems of their own


def _is_a_task(source: str) -> bool:
    """Whether a source is a task by name or dotted path, and no file, folder or Hub id."""
    if source in TASKS:
        return task_named(source).problems is not None
    if not is_dotted_path(source) or source.endswith(SUFFIXES) or Path(source).expanduser().exists():
        return False
    search_here()
    if importlib.util.find_spec(source.partition(".")[0]) is None:
        raise RecipeError(
            f"{source} is neither a data file nor a task that can be imported. Check the path, or PYTHONPATH."
        )
    return True


def _own_problems(source: ProblemSource) -> list[Problem]:
    name = source.source
    task = task_named(name)
    if task.problems is None:
        raise RecipeError(f"The task {source.source} generates no problems. Give a file as source, and this as `task`.")
    if source.limit is None:
        raise RecipeError(f"The task {source.source} is endless: say how many problems to take with `limit`.")
    if task.splits and source.split not in task.splits:
        raise RecipeError(f"The task {source.source} has the splits {_listed(task)}, not {source.split!r}.")
    taken = itertools.islice(task.problems(source), source.limit)
    problems = [one if one.check.task != MATHS else replace(one, check=replace(one.check, task=name)) for one in taken]
    if not problems:
        raise DataError(f"The task {source.source} gave no problem. Check its function.")
    return problems


def _listed(task: Task) -> str:
    return " and ".join((", ".join(task.splits[:-1]), task.splits[-1])) if task.splits[1:] else task.splits[0]


def _refuse_repeated_ids(problems: Iterable[Problem], source: str) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise DataError(f"{source} has two rows with the id {problem.id!r}. Make ids unique or drop the column.")
        seen.add(problem.id)
