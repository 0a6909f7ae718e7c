"""Which columns of a row hold the question and its gold answer: as named, or guessed from the names that others use.

A guess is made only where the column that is asked for has its usual name and is not there, and it is always said. A
dotted name reaches into a nested column (`reward_model.ground_truth`), which may also be JSON in a text.
"""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = Mapping[str, str]
PROBLEM, ANSWER, SOLUTION = "problem", "answer", "solution"
PROBLEM_NAMES = ("question", "question_stem", "prompt", "query", "instruction", "messages", "conversations")
"""Besides `problem`: GSM8K and ARC, OpenBookQA, TRL and verl, others, open-r1's SFT sets."""
GOLD_NAMES = (
    "gold",
    "ground_truth",
    "reward_model.ground_truth",
    "final_answer",
    "expected_answer",
    "reference_answer",
    "correct_answer",
    "gt_answer",
    "target",
    "verification_info.ground_truth",
    "answerkey",
)
"""Besides `answer` and `solution`: verl keeps it in `reward_model`, SYNTHETIC-1 in `verification_info`, ARC in
`answerKey`: case does not matter."""
_MISSING = object()


@dataclass(frozen=True)
class Columns:
    """Where a source keeps the question and what is right."""

    problem: str
    answer: str
    solution: str
    guessed: tuple[str, ...] = ()
    """What was guessed, a phrase each; nothing if the columns have the names asked for."""

    def note(self, source: str) -> str | None:
        """The line that says what was guessed; None if nothing was."""
        if not self.guessed:
            return None
        return f"{source}: {' and '.join(self.guessed)} (guessed: name them with problem_field and answer_field)."


def columns_of(
    row: Mapping[str, Any], problem: str = PROBLEM, answer: str = ANSWER, solution: str = SOLUTION
) -> Columns:
    """The columns of a source, from its first row and the names that the recipe gives or leaves at their defaults."""
    guessed: list[str] = []
    if problem == PROBLEM and not has(row, problem):
        found = _first(row, (PROBLEM, *PROBLEM_NAMES))
        if found is not None:
            guessed.append(f"the question is read from {found!r}")
            problem = found
    if (answer, solution) == (ANSWER, SOLUTION) and not has(row, answer) and not has(row, solution):
        found = _first(row, (ANSWER, *GOLD_NAMES))
        if found is not None:
            guessed.append(f"the gold answer from {found!r}" if guessed else f"the gold answer is read from {found!r}")
            answer = found
        elif problem in ("messages", "conversations") and _ends_with_assistant(value_at(row, problem)):
            guessed.append("the gold answer from the assistant's last message")
            solution = problem
        elif (written := _first(row, (SOLUTION,))) is not None:
            guessed.append(f"the solution from {written!r}")
            solution = written
    return Columns(problem, answer, solution, tuple(guessed))


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first name that the row has, whatever its case."""
    for name in names:
        if has(row, name):
            return name
    lower = {key.lower(): key for key in row}
    return next((lower[name] for name in names if name in lower), None)


def has(row: Mapping[str, Any], name: str) -> bool:
    """Whether a row has a column, by its name or by a path into a nested one."""
    return _reach(row, name) is not _MISSING


def value_at(row: Mapping[str, Any], name: str) -> Any:
    """The value of a column or of a path into a nested one; None if there is none."""
    value = _reach(row, name)
    return None if value is _MISSING else value


def root_of(row: Mapping[str, Any], name: str) -> str:
    """The column itself of a path into it."""
    return name if name in row else name.partition(".")[0]


def _reach(row: Mapping[str, Any], name: str) -> Any:
    if name in row:
        return row[name]
    head, dot, rest = name.partition(".")
    inner = row.get(head) if dot else None
    if isinstance(inner, str) and inner.lstrip().startswith("{"):
        try:
            inner = json.loads(inner)
        except ValueError:
            return _MISSING
    return _reach(inner, rest) if isinstance(inner, Mapping) else _MISSING


# ------------------------------------------------------------------------------------------- conversations


def conversation(value: object) -> tuple[dict[str, str], ...] | None:
    """A list of messages, as TRL, verl and open-r1 write them, or ShareGPT's `from`/`value`; None if it is none.

    A list that was written as JSON text, as CSV and some Parquet files hold it, is read too.
    """
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        value = _listed(value)
    if not isinstance(value, list | tuple) or not value:
        return None
    messages = [_message(one) for one in value]
    return tuple(one for one in messages if one is not None) if all(messages) else None


_ROLES = {"human": "user", "gpt": "assistant"}


def _message(value: object) -> dict[str, str] | None:
    if not isinstance(value, Mapping):
        return None
    role, content = value.get("role", value.get("from")), value.get("content", value.get("value"))
    if isinstance(content, list):  # typed parts: only texts can be asked here
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "\n".join(map(str, texts)) if texts and all(isinstance(text, str) for text in texts) else None
    if not isinstance(role, str) or not isinstance(content, str):
        return None
    return {"role": _ROLES.get(role, role), "content": content}


def _ends_with_assistant(value: object) -> bool:
    messages = conversation(value)
    return messages is not None and messages[-1]["role"] == "assistant"


def several_golds(value: object) -> object:
    """A list of accepted answers that became a text (`['1/2', '0.5']`, as CSV holds it) as the list; else unchanged.

    Only a list of quoted texts: `[1, 2]` may be an interval.
    """
    if isinstance(value, str) and value.strip().startswith(("['", '["')):
        found = _listed(value)
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return found
    return value


def _listed(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text
