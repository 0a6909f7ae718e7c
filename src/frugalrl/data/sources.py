"""Problems and completions from files, folders, Hub data sets, and the arithmetic task.

The only importer of `datasets` and `pyarrow`. A row has a problem and a gold answer, or a solution to read
it from. What cannot be read is an error that names the file and the line; nothing is skipped in silence.
"""

import gzip
import io
import itertools
import json
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.schema import ARITHMETIC, CompletionSource, ProblemSource
from frugalrl.data.prompts import Message
from frugalrl.errors import DataError
from frugalrl.rewards.answers import gold_from_solution
from frugalrl.tasks.arithmetic import ArithmeticProblem, Split, generate
from frugalrl.tasks.strategies import SKILL_MIX, STRATEGY_MIX, Language, draw_strategy, write_completion
from frugalrl.types import Problem

_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".parquet.gz")


@dataclass(frozen=True)
class PromptedCompletion:
    """An example of supervised fine-tuning before the tokenizer."""

    prompt: str | tuple[Message, ...]
    """A problem's text, or a whole conversation."""
    completion: str


@dataclass(frozen=True)
class _Row:
    where: str
    """File and line, or data set and row, for error messages."""
    values: dict[str, Any]


def load_problems(source: ProblemSource) -> list[Problem]:
    """All problems of a source, in its order.

    Raises DataError for a missing, empty or malformed source, a row without problem or gold (unless the
    source says to skip the latter), and two rows with one id.
    """
    if source.source == ARITHMETIC:
        return list(_arithmetic_problems(source))
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
    return ((row.where, row.values) for row in _file_rows(file))


# ------------------------------------------------------------------------------------- the arithmetic task


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


def _arithmetic_completions(source: CompletionSource) -> Iterator[PromptedCompletion]:
    rng = random.Random(f"completions/{source.mix}/{source.seed}")
    mix = SKILL_MIX if source.mix == "skill" else STRATEGY_MIX
    for problem in _generated(source.seed, source.split, source.limit, (1, 2, 3)):
        strategy = draw_strategy(rng, problem, mix)
        language: Language = "zh" if rng.random() < source.second_language_fraction else "en"
        yield PromptedCompletion(problem.text, write_completion(rng, problem, strategy, language))


# ------------------------------------------------------------------------------------------ rows of a table


def _problem(row: _Row, number: int, source: ProblemSource) -> Problem:
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


def _prompt_of(row: _Row, source: CompletionSource) -> str | tuple[Message, ...]:
    prompt = row.values.get(source.prompt_field)
    if isinstance(prompt, str) and prompt:
        return prompt
    if isinstance(prompt, list) and prompt and all(_is_message(message) for message in prompt):
        return tuple({"role": message["role"], "content": message["content"]} for message in prompt)
    raise DataError(
        f"{row.where} has neither a text nor a list of messages in {source.prompt_field!r}. "
        "Name the column with prompt_field."
    )


def _completion_of(row: _Row, source: CompletionSource) -> str:
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


def _rows(source: ProblemSource | CompletionSource) -> Iterator[_Row]:
    path = Path(source.source).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(_SUFFIXES))
        if not files:
            raise DataError(f"The folder {path} holds no {' or '.join(_SUFFIXES)} file. Check the path.")
        return itertools.chain.from_iterable(map(_file_rows, files))
    if path.exists():
        return _file_rows(path)
    if source.source.endswith(_SUFFIXES) or source.source.count("/") != 1 or source.source.startswith((".", "/")):
        raise DataError(f"There is no data file at {path}. Check the path, or give a Hub id such as org/name.")
    return _hub_rows(source)


def _file_rows(path: Path) -> Iterator[_Row]:
    if not path.name.endswith(_SUFFIXES):
        raise DataError(f"{path} is of no known kind. Use one of {', '.join(_SUFFIXES)}.")
    try:
        data = path.read_bytes()
        if path.name.endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Check its rights, or fetch it again.") from None
    if not data.strip():
        raise DataError(f"{path} is empty. Give a file with at least one row.")
    return _parquet_rows(path, data) if ".parquet" in path.name else _jsonl_rows(path, data)


def _jsonl_rows(path: Path, data: bytes) -> Iterator[_Row]:
    for number, line in enumerate(io.BytesIO(data), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number},"
        try:
            values = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where} is not JSON: {error}. Mend or remove the line.") from None
        if not isinstance(values, dict):
            raise DataError(f"{where} is not a JSON object. Write one {{...}} a line.")
        yield _Row(where, values)


def _parquet_rows(path: Path, data: bytes) -> Iterator[_Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}. Fetch or write it again.") from None
    for batch in table.to_batches(max_chunksize=1024):
        for values in batch.to_pylist():
            yield _Row(f"{path}", values)


def _hub_rows(source: ProblemSource | CompletionSource) -> Iterator[_Row]:
    import datasets

    try:
        rows = datasets.load_dataset(source.source, source.subset, split=source.split, revision=source.revision)
    except Exception as error:  # the Hub client raises many kinds, all of them about reaching or naming data
        raise DataError(
            f"The data set {source.source!r} (split {source.split!r}) cannot be loaded from the Hub: {error}. "
            "Check the id, the split and the connection, or give a local file."
        ) from error
    for number, values in enumerate(rows):
        yield _Row(f"{source.source}, row {number},", dict(values))
