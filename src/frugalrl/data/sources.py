"""Rows and completions from files, folders, `save_to_disk` and Hub data sets.

The only importer of `datasets`; files are read by `tables`, `folders` says which of a folder are a
split. What cannot be read is an error that names the file and the line; nothing is skipped
silently. `tasks.loading` turns rows into problems.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from frugalrl.config.schema import CompletionSource, ProblemSource
from frugalrl.data.columns import conversation, value_at
from frugalrl.data.folders import files_of, is_saved_to_disk
from frugalrl.data.prompts import Message, PromptedCompletion
from frugalrl.data.tables import SUFFIXES, TableRow, file_rows
from frugalrl.errors import DataError
from frugalrl.hub import UNREACHABLE, hub_access


def completions_of_rows(source: CompletionSource) -> list[PromptedCompletion]:
    """All examples of a table, in its order. Raises DataError for one that is missing, empty or malformed."""
    examples = [_example(row, source) for row in itertools.islice(_rows(source), source.limit)]
    if not examples:
        raise DataError(f"{source.source} is empty. Give a file with at least one row.")
    return examples


def problem_rows(source: ProblemSource) -> Iterator[TableRow]:
    """The raw rows of a file, a folder of files or a Hub data set. Raises DataError if there is none."""
    return _rows(source)


def read_rows(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each raw row of a file, with its location ("rows.jsonl, line 3") for error messages.

    Raises DataError if the file is missing, of no known kind, unreadable, empty or malformed.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise DataError(f"There is no data file at {file}. Check the path.")
    return ((row.where, row.values) for row in table_rows(str(file)))


def check_local(sources: Iterable[str]) -> None:
    """Raise DataError for the first source that is a path with nothing there: before the Hub is asked for any other."""
    for source in sources:
        path = Path(source).expanduser()
        if not path.exists() and _is_a_path(source):
            raise DataError(f"There is no data file at {path}. Check the path, or give a Hub id such as org/name.")


def table_rows(
    path: str, split: str = "train", subset: str | None = None, revision: str | None = None
) -> Iterator[TableRow]:
    """Raw rows of a file, a folder of files or a Hub data set. Raises DataError as `problem_rows` does."""
    return problem_rows(ProblemSource(source=path, split=split, subset=subset, revision=revision))


# ------------------------------------------------------------------------------------------ rows of a table


_CONVERSATIONS = ("messages", "conversations")
"""Columns of whole conversations: open-r1's and most others' name, ShareGPT's."""


def _example(row: TableRow, source: CompletionSource) -> PromptedCompletion:
    """A prompt with its completion, or the last turn of a conversation with what went before it."""
    fields = CompletionSource.model_fields
    is_default = source.completion_field == fields["completion_field"].default
    if is_default and source.completion_field not in row.values and source.prompt_field not in row.values:
        whole = next((found for name in _CONVERSATIONS if (found := conversation(row.values.get(name)))), None)
        if whole is not None:
            *before, last = whole
            if not before or last["role"] != "assistant" or not last["content"]:
                raise DataError(f"{row.where} has messages that do not end with an answer. Remove the row.")
            return PromptedCompletion(tuple(before), last["content"])
    return PromptedCompletion(_prompt_of(row, source), _completion_of(row, source))


def _prompt_of(row: TableRow, source: CompletionSource) -> str | tuple[Message, ...]:
    prompt = value_at(row.values, source.prompt_field)
    messages = conversation(prompt)
    if messages is not None:
        return messages
    if isinstance(prompt, str) and prompt:
        return prompt
    raise DataError(
        f"{row.where} has neither a text nor a list of messages in {source.prompt_field!r}. "
        "Name the column with prompt_field."
    )


def _completion_of(row: TableRow, source: CompletionSource) -> str:
    completion = value_at(row.values, source.completion_field)
    messages = conversation(completion)
    if messages is not None and len(messages) == 1:
        completion = messages[0]["content"]
    if isinstance(completion, str) and completion:
        return completion
    raise DataError(f"{row.where} has no text in {source.completion_field!r}. Name the column with completion_field.")


# ------------------------------------------------------------------------------------------ files and the Hub


def _rows(source: ProblemSource | CompletionSource) -> Iterator[TableRow]:
    path = Path(source.source).expanduser()
    if path.is_dir():
        if is_saved_to_disk(path):
            return _saved_rows(path, source.split)
        return itertools.chain.from_iterable(map(file_rows, files_of(path, source.split, source.subset)))
    if path.exists():
        return file_rows(path)
    check_local([source.source])
    return _hub_rows(source)


def _is_a_path(source: str) -> bool:
    """Whether a source can only be a path: no Hub id has a data file's suffix, a leading dot or two slashes."""
    return source.endswith(SUFFIXES) or source.count("/") != 1 or source.startswith((".", "/", "~"))


def _saved_rows(folder: Path, split: str) -> Iterator[TableRow]:
    """Rows of what `datasets.save_to_disk` wrote."""
    import datasets

    try:
        rows = datasets.load_from_disk(str(folder))
    except Exception as error:  # datasets and pyarrow raise many kinds, all of them about this folder
        raise DataError(f"{folder} cannot be read as a saved data set: {error}. Save or copy it again.") from error
    if isinstance(rows, datasets.DatasetDict):
        if split not in rows:
            raise DataError(f"{folder} has no split {split!r}, only {', '.join(rows)}. Name one of them with `split`.")
        rows = rows[split]
    for number, values in enumerate(rows, start=1):
        yield TableRow(f"{folder}, row {number}", dict(values))


def _hub_rows(source: ProblemSource | CompletionSource) -> Iterator[TableRow]:
    import datasets

    with hub_access() as reachable:
        try:
            rows = datasets.load_dataset(source.source, source.subset, split=source.split, revision=source.revision)
        except Exception as error:  # the Hub client raises many kinds, all of them about reaching or naming data
            why = str(error).rstrip(".") if reachable else UNREACHABLE
            raise DataError(
                f"The data set {source.source!r} (split {source.split!r}) cannot be loaded from the Hub: {why}. "
                "Check the id, the split and the connection, or give a local file."
            ) from error
    for number, values in enumerate(rows):
        yield TableRow(f"{source.source}, row {number}", dict(values))
