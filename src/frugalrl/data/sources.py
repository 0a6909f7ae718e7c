"""Problems and completions from files, folders, Hub data sets, and the arithmetic task.

The only importer of `datasets`; files are read by `tables`. A row has a problem and a gold answer, or a solution to
read it from. What cannot be read is an error that names the file and the line; nothing is skipped in silence.
"""

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.schema import ARITHMETIC, LOGIC, CompletionSource, ProblemSource
from frugalrl.data.prompts import Message
from frugalrl.data.tables import SUFFIXES, TableRow, file_rows
from frugalrl.errors import DataError
from frugalrl.tasks import logic
from frugalrl.tasks.arithmetic import ArithmeticProblem, Split, generate
from frugalrl.tasks.strategies import SKILL_MIX, STRATEGY_MIX, Language, draw_strategy, write_completion
from frugalrl.types import Problem
from frugalrl.verify.answers import gold_from_solution


@dataclass(frozen=True)
class PromptedCompletion:
    """An example of supervised fine-tuning before the tokenizer."""

    prompt: str | tuple[Message, ...]
    """A problem's text, or a whole conversation."""
    completion: str


def load_problems(source: ProblemSource) -> list[Problem]:
    """All problems of a source, in its order.

    Raises DataError for a missing, empty or malformed source, a row without problem or gold (unless the
    source says to skip the latter), and two rows with one id.
    """
    if source.source == ARITHMETIC:
        return list(_arithmetic_problems(source))
    if source.source == LOGIC:
        return list(_logic_problems(source))
    problems = []
    without_gold = []
    for number, row in enumerate(itertools.islice(_rows(source), source.limit)):
        problem = _problem(row, number, source)
        if problem.gold:
            problems.append(problem)
        else:
            without_gold.append(row.where)
    if without_gold and not source.skip_without_gold:
        raise DataError(
            f"{len(without_gold)} rows have no gold answer, the first at {without_gold[0]}. Mend them, name the "
            "columns with answer_field or solution_field, or leave such rows out with skip_without_gold: true."
        )
    if not problems:
        raise DataError(f"{source.source} holds no problem with a gold answer. Check the file and its columns.")
    _refuse_repeated_ids(problems, source.source)
    return problems


def load_completions(source: CompletionSource) -> list[PromptedCompletion]:
    """All examples of a source, in its order. Raises DataError as `load_problems` does."""
    if source.source == ARITHMETIC:
        return list(_arithmetic_completions(source))
    examples = [
        PromptedCompletion(_prompt_of(row, source), _completion_of(row, source))
        for row in itertools.islice(_rows(source), source.limit)
    ]
    if not examples:
        raise DataError(f"{source.source} is empty. Give a file with at least one row.")
    return examples


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row of a file as it stands, with its place ("rows.jsonl, line 3,") for error messages.

    Raises DataError if the file is missing, of no known kind, unreadable, empty or malformed.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise DataError(f"There is no data file at {file}. Check the path.")
    return ((row.where, row.values) for row in file_rows(file))


def table_rows(
    path: str, split: str = "train", subset: str | None = None, revision: str | None = None
) -> Iterator[TableRow]:
    """Rows of a file, a folder of files or a Hub data set, as they stand. Raises DataError as `load_problems` does."""
    return _rows(ProblemSource(source=path, split=split, subset=subset, revision=revision))


# ------------------------------------------------------------------------------------- the synthetic tasks


def arithmetic_problem(problem: ArithmeticProblem, number: int, split: str) -> Problem:
    """A generated problem as the record every task shares."""
    return Problem(
        id=f"arithmetic-{split}-{number}",
        text=problem.text,
        gold=str(problem.answer),
        columns={"family": problem.family, "difficulty": problem.difficulty, "key": problem.key},
    )


def _generated(seed: int, split: str, limit: int | None, difficulties: tuple[int, ...]) -> Iterator[ArithmeticProblem]:
    known_split: Split = split  # type: ignore[assignment]  # the schema admits no other
    return itertools.islice(generate(seed, known_split, difficulties=difficulties), limit)


def _arithmetic_problems(source: ProblemSource) -> Iterator[Problem]:
    stream = _generated(source.seed, source.split, source.limit, source.difficulties)
    for number, problem in enumerate(stream):
        yield arithmetic_problem(problem, number, source.split)


def _logic_problems(source: ProblemSource) -> Iterator[Problem]:
    known_split: Split = source.split  # type: ignore[assignment]  # the schema admits no other
    stream = logic.generate(source.seed, known_split, difficulties=source.difficulties)
    for number, puzzle in enumerate(itertools.islice(stream, source.limit)):
        yield logic.logic_problem(puzzle, number, known_split)


def _arithmetic_completions(source: CompletionSource) -> Iterator[PromptedCompletion]:
    rng = random.Random(f"completions/{source.mix}/{source.seed}")
    mix = SKILL_MIX if source.mix == "skill" else STRATEGY_MIX
    for problem in _generated(source.seed, source.split, source.limit, (1, 2, 3)):
        strategy = draw_strategy(rng, problem, mix)
        language: Language = "zh" if rng.random() < source.second_language_fraction else "en"
        yield PromptedCompletion(problem.text, write_completion(rng, problem, strategy, language))


# ------------------------------------------------------------------------------------------ rows of a table


def _problem(row: TableRow, number: int, source: ProblemSource) -> Problem:
    text = row.values.get(source.problem_field)
    if not isinstance(text, str) or not text.strip():
        raise DataError(
            f"{row.where} has no text in {source.problem_field!r} (columns: {', '.join(row.values)}). "
            "Name the column with problem_field."
        )
    gold = row.values.get(source.answer_field)
    if gold is None or not str(gold).strip() or "####" in str(gold):
        written_out = gold if gold and "####" in str(gold) else row.values.get(source.solution_field)
        gold = gold_from_solution(str(written_out)) if written_out else None
    used = {"id", source.problem_field, source.answer_field}
    return Problem(
        id=str(row.values.get("id", f"{Path(source.source).name}-{number}")),
        text=text,
        gold=str(gold).strip() if gold is not None else "",
        columns={name: value for name, value in row.values.items() if name not in used},
    )


def _prompt_of(row: TableRow, source: CompletionSource) -> str | tuple[Message, ...]:
    prompt = row.values.get(source.prompt_field)
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list) and prompt and all(_is_message(message) for message in prompt):
        return tuple({"role": message["role"], "content": message["content"]} for message in prompt)
    raise DataError(
        f"{row.where} has neither a text nor a list of messages in {source.prompt_field!r}. "
        "Name the column with prompt_field."
    )


def _completion_of(row: TableRow, source: CompletionSource) -> str:
    completion = row.values.get(source.completion_field)
    if isinstance(completion, list) and len(completion) == 1 and _is_message(completion[0]):
        completion = completion[0]["content"]
    if isinstance(completion, str) and completion:
        return completion
    raise DataError(f"{row.where} has no text in {source.completion_field!r}. Name the column with completion_field.")


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)


def _refuse_repeated_ids(problems: Iterable[Problem], source: str) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise DataError(f"{source} has two rows with the id {problem.id!r}. Make ids unique or drop the column.")
        seen.add(problem.id)


# ------------------------------------------------------------------------------------------ files and the Hub


def _rows(source: ProblemSource | CompletionSource) -> Iterator[TableRow]:
    path = Path(source.source).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES))
        if not files:
            raise DataError(f"The folder {path} holds no {' or '.join(SUFFIXES)} file. Check the path.")
        return itertools.chain.from_iterable(map(file_rows, files))
    if path.exists():
        return file_rows(path)
    if source.source.endswith(SUFFIXES) or source.source.count("/") != 1 or source.source.startswith((".", "/")):
        raise DataError(f"There is no data file at {path}. Check the path, or give a Hub id such as org/name.")
    return _hub_rows(source)


def _hub_rows(source: ProblemSource | CompletionSource) -> Iterator[TableRow]:
    import datasets

    try:
        rows = datasets.load_dataset(source.source, source.subset, split=source.split, revision=source.revision)
    except Exception as error:  # the Hub client raises many kinds, all of them about reaching or naming data
        raise DataError(
            f"The data set {source.source!r} (split {source.split!r}) cannot be loaded from the Hub: {error}. "
            "Check the id, the split and the connection, or give a local file."
        ) from error
    for number, values in enumerate(rows):
        yield TableRow(f"{source.source}, row {number},", dict(values))
