"""From a name, or a user's dotted path, to the task."""

import difflib
from functools import cache

from frugalrl.config.dotted_paths import import_dotted, is_dotted_path
from frugalrl.config.task_table import TASKS
from frugalrl.errors import RecipeError
from frugalrl.tasks.task import Task


@cache
def task_named(name: str) -> Task:
    """The task of that name or at that dotted path. Raises RecipeError."""
    if name not in TASKS and not is_dotted_path(name):
        close = difflib.get_close_matches(name, TASKS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(TASKS)}."
        raise RecipeError(f"There is no task {name!r}. {hint} A task of your own is module.TASK.")
    found = import_dotted(TASKS.get(name, name), "task")
    if not isinstance(found, Task):
        raise RecipeError(f"{name} is no task but {type(found).__name__}. Name a value of frugalrl.tasks.task.Task.")
    return found
