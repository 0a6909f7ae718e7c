"""The written set: JSONL and Parquet by split, the report card, and the manifest, which comes last."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from frugalrl.curation.records import FIELDS, PoolRow
from frugalrl.data.tables import write_jsonl, write_parquet
from frugalrl.files import atomic_write


def write_splits(folder: Path, rows_by_split: Mapping[str, Sequence[PoolRow]]) -> list[Path]:
    """Write each split that has rows, with the same columns in all. Raises OutputError."""
    splits = {name: Written(rows) for name, rows in rows_by_split.items() if len(rows)}
    for name, rows in splits.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
    columns = list(dict.fromkeys([*FIELDS, *(column for rows in splits.values() for column in rows.columns)]))
    for name, rows in splits.items():
        write_parquet(folder / f"{name}.parquet", rows, columns)
    return [folder / f"{name}.{kind}" for name in splits for kind in ("jsonl", "parquet")]


class Written(Iterable[Mapping[str, Any]]):
    """Rows as they are written; iterating notes their columns."""

    def __init__(self, rows: Iterable[PoolRow]) -> None:
        self._rows = rows
        self.columns: dict[str, None] = {}

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self._rows:
            self.columns.update(dict.fromkeys(row.columns))
            yield row.values()


def write_text(path: Path, text: str) -> None:
    """Write a text atomically. Raises OutputError."""
    with atomic_write(path) as file:
        file.write(text)


def write_manifest(path: Path, values: Mapping[str, Any], outputs: Sequence[Path]) -> None:
    """What went in and came out, with hashes. Raises OutputError."""
    hashes = {output.name: sha256_of(output) for output in outputs}
    write_text(path, json.dumps({**values, "outputs": hashes}, indent=2, ensure_ascii=False) + "\n")


def sha256_of(path: Path) -> str:
    """Of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
