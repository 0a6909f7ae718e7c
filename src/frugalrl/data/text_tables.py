"""Rows of JSON and CSV files: an array of objects, an object around one, comma, semicolon or tab between cells.

Decisions:
- A .json file may hold an array of objects, one object a line (as many data sets do), an object with one list of
  objects in it, or an object that is the table: all that pandas writes, columns by name and rows by name included.
- A CSV cell is text; an empty one is missing. Numbers stay as they are written, so a gold of 025 keeps its zero.
- A row with more or fewer cells than the header, or a header that names a column twice, is an error with its line.
"""

import csv
import io
import json
import sys
from collections.abc import Iterator
from typing import IO, Any

from frugalrl.errors import DataError

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def json_rows(file: IO[bytes], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a .json file with its place. Raises DataError."""
    text = _decoded(file, name)
    try:
        values = json.loads(text)
    except RecursionError:
        raise DataError(f"{name} is nested too deeply to be read. Write one {{...}} per line, as .jsonl.") from None
    except ValueError as error:
        values = _objects_by_line(text)
        if values is None:
            raise DataError(f"{name} is not JSON: {error}. Fix it, or write one {{...}} per line.") from None
    if isinstance(values, dict):
        values = _rows_in(values, name)
    if not isinstance(values, list):
        raise DataError(f"{name} is not a list of objects. Write [{{...}}, ...], or one {{...}} per line.")
    for number, row in enumerate(values, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{name}, entry {number} is not a JSON object. Write [{{...}}, ...].")
        yield f"{name}, entry {number}", row


def _rows_in(values: dict[str, Any], name: str) -> list[Any]:
    """The rows of the object that a .json file is; the object itself where it is one row."""
    lists = {key: inner for key, inner in values.items() if _holds_objects(inner)}
    if len(lists) > 1:
        raise DataError(f"{name} holds several lists ({', '.join(lists)}). Write the one to read to its own file.")
    if lists:
        return next(iter(lists.values()))
    inner = list(values.values())
    if {"columns", "data"} <= values.keys() <= {"columns", "index", "data"}:  # pandas, orient="split"
        return _by_row(values["columns"], values["data"], name)
    if len(inner) > 1 and all(isinstance(one, list) for one in inner):
        return _by_column(values, name)
    if inner and all(isinstance(one, dict) and one for one in inner):
        numbered = all(key.isdigit() for one in inner for key in one)
        if numbered and len({frozenset(one) for one in inner}) == 1:  # pandas, orient="columns"
            return [{column: cells[key] for column, cells in values.items()} for key in inner[0]]
        return inner  # rows by their names
    return [values]


def _by_row(columns: Any, rows: Any, name: str) -> list[Any]:
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise DataError(f"{name} has no lists under columns and data. Write [{{...}}, ...].")
    wrong = next((at for at, row in enumerate(rows, 1) if not isinstance(row, list) or len(row) != len(columns)), None)
    if wrong is not None:
        raise DataError(f"{name}, entry {wrong} is no list of {len(columns)} cells. Write [{{...}}, ...].")
    return [dict(zip(map(str, columns), row, strict=True)) for row in rows]


def _by_column(columns: dict[str, list[Any]], name: str) -> list[Any]:
    lengths = {column: len(cells) for column, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{column} {length}" for column, length in lengths.items())
        raise DataError(f"{name} has columns of different lengths ({listed}). Write [{{...}}, ...].")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _holds_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _objects_by_line(text: str) -> list[Any] | None:
    """The values of a .json file that is really JSON lines; None if it is not."""
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except ValueError:
        return None


def csv_rows(file: IO[bytes], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row of a .csv or .tsv file with its place. Raises DataError."""
    stream = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    csv.field_size_limit(sys.maxsize)
    try:
        if file.read(2) in _UTF16:
            raise DataError(f"{name} is written in UTF-16. Convert it to UTF-8.")
        file.seek(0)
        yield from _csv_rows(stream, name)
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text: {error.reason}. Save it as UTF-8.") from None
    except csv.Error as error:
        raise DataError(f"{name} cannot be read as CSV: {error}. Write it again, with quotes around texts.") from None
    finally:
        stream.detach()


def _csv_rows(stream: IO[str], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    first = stream.readline()
    stream.seek(0)
    reader = csv.reader(stream, delimiter=_delimiter(first, name), strict=True)
    header = next(reader, [])
    named = [column.strip() for column in header]
    twice = next((column for column in named if column and named.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{name} names the column {twice!r} twice. Rename one of them.")
    for cells in reader:
        if not cells:
            continue
        where = f"{name}, line {reader.line_num}"
        if len(cells) != len(named):
            raise DataError(
                f"{where} has {len(cells)} cells and the header {len(named)}. Put quotes around texts with commas."
            )
        # pandas writes its index as a column without a name.
        yield where, {column: cell or None for column, cell in zip(named, cells, strict=True) if column}


def _delimiter(header: str, name: str) -> str:
    """Of the separators that files use, the one that the header has most of; a tab in a .tsv."""
    if ".tsv" in name:
        return "\t"
    return max(",;\t", key=header.count)


def _decoded(file: IO[bytes], name: str) -> str:
    data = file.read()
    if data.startswith(_UTF16):
        raise DataError(f"{name} is written in UTF-16. Convert it to UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text: {error.reason}. Save it as UTF-8.") from None
