"""Raw pools into rows: column mapping, ids, and a hash of what was read.

Decisions:
- A pool is dirty: an empty problem or answer is a fact for the ledger. A column that is missing is a mistake of the
  spec, and an error.
- Names of environment variables in a path are replaced; FRUGALRL_DATA has the default that `frugalrl eval` has.
"""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from frugalrl.config.curation_schema import ColumnNames, PoolSettings
from frugalrl.curation.records import FIELDS, Decision, PoolRow
from frugalrl.data.sources import table_rows
from frugalrl.data.tables import SUFFIXES, TableRow
from frugalrl.errors import DataError

DATA_VARIABLE, DATA_DEFAULT = "FRUGALRL_DATA", "../shared/data"
_TAKEN = {*FIELDS, "band", "pass_rate", "pass_rate_low", "pass_rate_high", "solver", "samples"}
"""Names that curation gives; a pool's own column of that name becomes raw_NAME."""


@dataclass(frozen=True)
class Pool:
    """A pool as it was read."""

    rows: tuple[PoolRow, ...]
    decisions: tuple[Decision, ...]
    """About every row: kept, or dropped for want of a problem."""
    sha256: str
    """Of the file's bytes, of all files of a folder in order, or of the rows of a Hub data set."""


def read_pool(settings: PoolSettings) -> Pool:
    """All rows of a pool. Raises DataError if it cannot be read, lacks a column, is empty, or repeats an id."""
    path = expanded(settings.path)
    table = list(islice(table_rows(path, settings.split, settings.subset, settings.revision), settings.limit))
    if not table:
        raise DataError(f"The pool {settings.name} ({settings.path}) is empty. Give one with at least one row.")
    columns = _resolved(settings, table)
    rows, decisions = [], []
    seen: dict[str, str] = {}
    for number, raw in enumerate(table):
        row = _row(raw, number, settings, columns)
        if row.id in seen:
            raise DataError(
                f"The pool {settings.name} has two rows with the id {row.id!r}: {seen[row.id]} and {raw.where}. Make "
                "ids unique, or name another column with columns.id."
            )
        seen[row.id] = raw.where.rstrip(",")
        rows.append(row)
        fits = bool(row.problem.strip())
        decisions.append(Decision(row.id, fits, "read" if fits else "no_problem_text"))
    return Pool(tuple(rows), tuple(decisions), _hash(path, table))


def refuse_shared_ids(pools: Sequence[Pool]) -> None:
    """Raise DataError if two pools have a row with one id."""
    owner: dict[str, str] = {}
    for pool in pools:
        for row in pool.rows:
            if row.id in owner:
                raise DataError(
                    f"The pools {owner[row.id]} and {row.pool} both have a row with the id {row.id!r}. Give one of "
                    "them an id_prefix."
                )
        owner.update((row.id, row.pool) for row in pool.rows)


def expanded(path: str) -> str:
    """A path without variables. Raises DataError for one that is not set."""
    text = re.sub(rf"\$(?:{DATA_VARIABLE}|\{{{DATA_VARIABLE}\}})", lambda _: data_folder(), path)
    text = os.path.expandvars(text)
    unset = re.search(r"\$\{?(\w+)", text)
    if unset is not None:
        raise DataError(f"The path {path} names the variable {unset[1]}, which is not set. Set it, or write the path.")
    return text


def data_folder() -> str:
    """Where optional local data lies."""
    return os.environ.get(DATA_VARIABLE, DATA_DEFAULT)


# ------------------------------------------------------------------------------------------------- columns


def _resolved(settings: PoolSettings, table: Sequence[TableRow]) -> dict[str, str | None]:
    """The column of each field; None for a field that this pool does not have."""
    given, known = settings.columns, list(dict.fromkeys(name for row in table for name in row.values))
    found: dict[str, str | None] = {}
    for field in ColumnNames.model_fields:
        name = getattr(given, field)
        if name is not None and name not in known:
            raise _missing(settings, f"columns.{field}", name, known)
        claimed = [getattr(given, other) for other in ColumnNames.model_fields]
        default = field if field in known and field not in claimed else None
        found[field] = name if name is not None else default
    if found["problem"] is None:
        raise _missing(settings, "columns.problem", "problem", known)
    if found["answer"] is None and found["solution"] is None:
        raise DataError(
            f"The pool {settings.name} has neither a column answer nor a column solution (columns: "
            f"{', '.join(known)}). Name one with columns.answer or columns.solution."
        )
    return found


def _missing(settings: PoolSettings, key: str, name: str, known: Sequence[str]) -> DataError:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return DataError(
        f"The pool {settings.name} has no column {name!r} (columns: {', '.join(known)}).{hint} Set {key} to the name "
        "of a column."
    )


def _row(raw: TableRow, number: int, settings: PoolSettings, columns: dict[str, str | None]) -> PoolRow:
    def text(field: str) -> str:
        column = columns[field]
        return _text(raw.values.get(column)) if column is not None else ""

    problem_column = str(columns["problem"])
    if problem_column not in raw.values:
        raise DataError(
            f"{raw.where} has no column {problem_column!r} (columns: {', '.join(raw.values)}). Mend or remove the row."
        )
    used = {column for column in columns.values() if column is not None}
    others = {
        f"raw_{name}" if name in _TAKEN else name: value for name, value in raw.values.items() if name not in used
    }
    return PoolRow(
        id=settings.id_prefix + (text("id").strip() or f"{settings.name}-{number}"),
        pool=settings.name,
        source=text("source").strip() or settings.name,
        problem=text("problem"),
        answer=text("answer").strip(),
        solution=text("solution"),
        columns=others,
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _hash(path: str, table: Iterable[TableRow]) -> str:
    digest = hashlib.sha256()
    local = Path(path).expanduser()
    if local.exists():
        for file in (
            sorted(one for one in local.iterdir() if one.name.endswith(SUFFIXES)) if local.is_dir() else [local]
        ):
            digest.update(file.read_bytes())
        return digest.hexdigest()
    for row in table:
        digest.update(json.dumps(row.values, sort_keys=True, default=str).encode())
    return digest.hexdigest()
