"""The table of tasks: the names a recipe can use, and where each task is defined.

A new task is one new file and one line here; a user's task needs no line, its dotted path is its name. Modules are
imported on demand, so that the schema can name tasks without depending on them.
"""

from collections.abc import Mapping

from frugalrl.config.dotted_paths import import_dotted

TASKS: Mapping[str, str] = {
    "arithmetic": "frugalrl.tasks.arithmetic_task.TASK",
    "logic": "frugalrl.tasks.logic_task.TASK",
    "programs": "frugalrl.tasks.programs_task.TASK",
    "domains": "frugalrl.tasks.domains_task.TASK",
    "code": "frugalrl.tasks.code.TASK",
    "choice": "frugalrl.tasks.choice.TASK",
    "maths": "frugalrl.tasks.maths.TASK",
}
"""By name. Rows that do not name their task go to the first task that recognises them, else to maths."""


def splits_of(name: str) -> tuple[str, ...]:
    """The splits of a built-in task that generates endless problems; none for any other name."""
    if name not in TASKS:
        return ()
    splits: tuple[str, ...] = import_dotted(TASKS[name], "task").splits  # type: ignore[attr-defined]  # see tasks.task.Task
    return splits


def makes_completions(name: str) -> bool:
    """Whether a built-in task writes completions for supervised fine-tuning."""
    return name in TASKS and import_dotted(TASKS[name], "task").completions is not None  # type: ignore[attr-defined]
