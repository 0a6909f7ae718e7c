"""The written set: JSONL and Parquet by split, the report card, and the manifest, which comes last."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frugalrl.curation.records import FIELDS, PoolRow
from frugalrl.data.tables import write_jsonl, write_parquet
from frugalrl.files import written_whole


def write_splits(folder: Path, rows_by_split: Mapping[str, Sequence[PoolRow]]) -> list[Path]:
    """Write each split that has rows, with the same columns in all. Raises OutputError."""
    added = (name for rows in rows_by_split.values() for row in rows for name in row.columns)
    columns = list(dict.fromkeys([*FIELDS, *added]))
    written = []
    for split, rows in rows_by_split.items():
        if not rows:
            continue
        values = [row.values() for row in rows]
        paths = [folder / f"{split}.jsonl", folder / f"{split}.parquet"]
        write_jsonl(paths[0], values)
        write_parquet(paths[1], values, columns)
        written += paths
    return written


def write_text(path: Path, text: str) -> None:
    """A text, all of it or nothing. Raises OutputError."""
    with written_whole(path) as file:
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
