"""Rows and completions from files, folders and Hub data sets.

The only importer of `datasets`; files are read by `tables`. What cannot be read is an error that names the file and the
line; nothing is skipped silently. `tasks.loading` turns rows into problems.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.data.prompts import Message, PromptedCompletion
from frugalrl.data.tables import SUFFIXES, TableRow, file_rows
from frugalrl.errors import DataError


def completions_of_rows(source: CompletionSource) -> list[PromptedCompletion]:
    """All examples of a table, in its order. Raises DataError for one that is missing, empty or malformed."""
    examples = [
        PromptedCompletion(_prompt_of(row, source), _completion_of(row, source))
        for row in itertools.islice(_rows(source), source.limit)
    ]
    if not examples:
        raise DataError(f"{source.source} is empty. Give a file with at least one row.")
    return examples


def problem_rows(source: ProblemSource) -> Iterator[TableRow]:
    """The raw rows of a file, a folder of files or a Hub data set. Raises DataError if there is none."""
    return _rows(source)


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each raw row of a file, with its location ("rows.jsonl, line 3,") for error messages.

    Raises DataError if the file is missing, of no known kind, unreadable, empty or malformed.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise DataError(f"There is no data file at {file}. Check the path.")
    return ((row.where, row.values) for row in file_rows(file))


def table_rows(
    path: str, split: str = "train", subset: str | None = None, revision: str | None = None
) -> Iterator[TableRow]:
    """Raw rows of a file, a folder of files or a Hub data set. Raises DataError as `problem_rows` does."""
    return problem_rows(ProblemSource(source=path, split=split, subset=subset, revision=revision))


# ------------------------------------------------------------------------------------------ rows of a table


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
