"""Tables on disk: rows of JSONL, JSON, CSV and Parquet files, read and written. The only importer of `pyarrow`.

Decisions:
- What cannot be read is an error that names file and line; nothing is skipped silently.
- Rows are read and written one at a time, so memory is bounded for files of any length.
- Writing is deterministic: the same rows give the same bytes with the same version of pyarrow.
- In Parquet a column has one type. A column whose values are of several types, or nested, is written as JSON text.
"""

import gzip
import hashlib
import itertools
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from frugalrl.data.text_tables import csv_rows, json_rows
from frugalrl.errors import DataError, OutputError
from frugalrl.files import atomic_path, atomic_write

KINDS = (".jsonl", ".parquet", ".json", ".csv", ".tsv")
SUFFIXES = tuple(f"{kind}{packed}" for kind in KINDS for packed in ("", ".gz"))
"""What can be read; of two files with the same rows, the earlier kind is taken."""


@dataclass(frozen=True)
class TableRow:
    """A raw row of a file."""

    where: str
    """File and line, or data set and row, for error messages."""
    values: dict[str, Any]


def file_rows(path: Path) -> Iterator[TableRow]:
    """Each row of a file. Raises DataError if it is of no known kind, unreadable, empty or malformed."""
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path} is of no known kind. Use one of {', '.join(KINDS)} (.gz too).")
    if path.is_dir():
        raise DataError(f"{path} is a folder with a file's name inside a folder. Name it itself, or move it away.")
    kind = next(one for one in KINDS if path.name.removesuffix(".gz").endswith(one))
    is_parquet = kind == ".parquet"
    rows = _readable(path, _parquet_rows(path) if is_parquet else _text_rows(path, kind))
    first = next(rows, None)
    if first is None and not (is_parquet and path.stat().st_size):
        raise DataError(f"{path} is empty. Give a file with at least one row.")
    return rows if first is None else itertools.chain([first], rows)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically. Raises OutputError."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with atomic_write(path) as file:
        for row in rows:
            file.write(encode(row) + "\n")


def keep_rows(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows to a file whose name is a hash of them, unless it is there: the same rows give the same path."""
    encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
    lines = [encode(row) for row in rows]
    if not lines:
        raise DataError("The data has no rows. Give at least one.")
    name = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    path = folder / f"{name}.jsonl"
    if not path.exists():
        with atomic_write(path) as file:
            file.writelines(f"{line}\n" for line in lines)
    return path


def write_nested_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a Parquet file with lists and mappings as they are, as TRL and verl read them. Raises OutputError."""
    import pyarrow
    import pyarrow.parquet

    try:
        with atomic_path(path) as scratch:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), scratch)
    except pyarrow.ArrowException as error:
        raise OutputError(f"{path} cannot be written: {error}. Check the columns.") from None


ROW_GROUP = 1 << 16
"""Rows buffered and written together."""


def write_parquet(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write a Parquet file with the named columns, atomically; a value that a row lacks is null.

    rows: iterated twice. Raises OutputError if it cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    kinds = {name: _Kinds() for name in columns}
    for row in rows:
        for name, seen in kinds.items():
            seen.add(row.get(name))
    types = {name: seen.arrow_type() for name, seen in kinds.items()}
    schema = pyarrow.schema([(name, kind or pyarrow.string()) for name, kind in types.items()])
    groups = iter(rows)
    with atomic_path(path) as scratch, pyarrow.parquet.ParquetWriter(scratch, schema) as writer:
        written = 0
        while (group := list(itertools.islice(groups, ROW_GROUP))) or not written:
            arrays = {name: _array([row.get(name) for row in group], kind) for name, kind in types.items()}
            writer.write_table(pyarrow.table(arrays, schema=schema))
            written += 1


_EXACT_IN_DOUBLE = 1 << 53


@dataclass
class _Kinds:
    """The kinds of values in a column, as far as they matter for its Parquet type."""

    kinds: set[type] = field(default_factory=set)
    low: int = 0
    high: int = 0

    def add(self, value: Any) -> None:
        if value is None:
            return
        self.kinds.add(type(value))
        if type(value) is int:
            self.low, self.high = min(self.low, value), max(self.high, value)

    def arrow_type(self) -> Any:
        """The type; None if values are written as JSON text."""
        import pyarrow

        if self.kinds <= {str}:
            return pyarrow.string()
        if self.kinds <= {bool}:
            return pyarrow.bool_()
        if self.kinds <= {int} and self.low >= -(1 << 63) and self.high < 1 << 63:
            return pyarrow.int64()
        if self.kinds <= {int, float} and max(-self.low, self.high) <= _EXACT_IN_DOUBLE:
            return pyarrow.float64()
        return None


def _array(values: list[Any], arrow_type: Any) -> Any:
    import pyarrow

    if arrow_type is not None:
        return pyarrow.array(values, arrow_type)
    texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return pyarrow.array(texts, pyarrow.string())


def _readable(path: Path, rows: Iterator[TableRow]) -> Iterator[TableRow]:
    """The same rows, with the system's errors about a file as DataError."""
    try:
        yield from rows
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Check its rights, or fetch it again.") from None


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]  # it is one


def _text_rows(path: Path, kind: str) -> Iterator[TableRow]:
    if kind == ".jsonl":
        yield from _jsonl_rows(path)
        return
    with _opened(path) as file:
        for where, values in (json_rows if kind == ".json" else csv_rows)(file, str(path)):
            yield TableRow(where, values)


def _jsonl_rows(path: Path) -> Iterator[TableRow]:
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise DataError(f"{path} is written in UTF-16. Convert it to UTF-8.")
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except RecursionError:
                raise DataError(f"{where} is nested too deeply to be read. Fix or remove the line.") from None
            except ValueError as error:
                raise DataError(f"{where} is not JSON: {error}. Fix or remove the line.") from None
            if not isinstance(values, dict):
                raise DataError(f"{where} is not a JSON object. Write one {{...}} per line.")
            yield TableRow(where, values)


def _parquet_rows(path: Path) -> Iterator[TableRow]:
    import pyarrow
    import pyarrow.parquet

    with tempfile.TemporaryFile() as unpacked, _opened(path) as file:
        source: IO[bytes] = file
        if path.name.endswith(".gz"):
            source = unpacked
            while block := file.read(1 << 20):
                source.write(block)
            source.seek(0)
        if not path.stat().st_size or not source.seek(0, os.SEEK_END):
            return
        source.seek(0)
        try:
            number = 0
            batches = pyarrow.parquet.ParquetFile(source).iter_batches(batch_size=1024)
            for batch in batches:
                for values in batch.to_pylist():
                    number += 1
                    yield TableRow(f"{path}, row {number}", values)
        except (pyarrow.ArrowException, OSError) as error:
            raise _no_parquet(path, error) from None


def _no_parquet(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not a readable Parquet file: {error}. Fetch or write it again.")


def decompressed_zstd(data: bytes) -> bytes:
    """What zstd compressed, whatever its size. Raises ValueError for what is not zstd."""
    import pyarrow

    try:
        with pyarrow.input_stream(pyarrow.BufferReader(data), compression="zstd") as stream:
            return bytes(stream.read())
    except OSError as error:
        raise ValueError(str(error)) from None
