"""Tables on disk: rows of .jsonl and .parquet files (.gz too), read and written. The only importer of `pyarrow`.

Decisions:
- What cannot be read is an error that names file and line; nothing is skipped in silence.
- Writing is deterministic: the same rows give the same bytes with the same version of pyarrow.
- In Parquet a column has one type. A column whose values are of several types, or nested, is written as JSON text.

Not covered: rows that do not fit in memory one file at a time.
"""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.errors import DataError, OutputError
from frugalrl.files import written_whole

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".parquet.gz")


@dataclass(frozen=True)
class TableRow:
    """A row as it stands in its file."""

    where: str
    """File and line, or data set and row, for error messages."""
    values: dict[str, Any]


def file_rows(path: Path) -> Iterator[TableRow]:
    """Each row of a file. Raises DataError if it is of no known kind, unreadable, empty or malformed."""
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path} is of no known kind. Use one of {', '.join(SUFFIXES)}.")
    try:
        data = path.read_bytes()
        if path.name.endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Check its rights, or fetch it again.") from None
    if not data.strip():
        raise DataError(f"{path} is empty. Give a file with at least one row.")
    return _parquet_rows(path, data) if ".parquet" in path.name else _jsonl_rows(path, data)


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object a line, all of it or nothing. Raises OutputError."""
    with written_whole(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A Parquet file with the named columns, all of it or nothing; a value that a row lacks is null.

    Raises OutputError if it cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    arrays = {name: _column([row.get(name) for row in rows]) for name in columns}
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table(arrays), scratch)
        os.replace(scratch, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path} cannot be written: {reason}. Check space and rights.") from None
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def _column(values: list[Any]) -> Any:
    import pyarrow

    kinds = {type(value) for value in values if value is not None}
    for kinds_allowed, arrow_type in (
        ({str}, pyarrow.string()),
        ({bool}, pyarrow.bool_()),
        ({int}, pyarrow.int64()),
        ({int, float}, pyarrow.float64()),
    ):
        if kinds <= kinds_allowed:
            with suppress(pyarrow.ArrowException, OverflowError):
                return pyarrow.array(values, arrow_type)
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return pyarrow.array(texts, pyarrow.string())


def _jsonl_rows(path: Path, data: bytes) -> Iterator[TableRow]:
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
        yield TableRow(where, values)


def _parquet_rows(path: Path, data: bytes) -> Iterator[TableRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}. Fetch or write it again.") from None
    for batch in table.to_batches(max_chunksize=1024):
        for values in batch.to_pylist():
            yield TableRow(f"{path}", values)
