"""Raw pools into rows, one after another: column mapping, ids, cleaning, and a hash of what was read.

Decisions:
- Pools are dirty: an empty problem or answer goes into the ledger, and so does what `cleaning` changed. A missing
  column is a mistake in the spec, and an error.
- Rows are read once and passed on; facts about the full pool (columns, size, hash) are known at its end.
- Names of environment variables in a path are replaced; FRUGALRL_DATA has the default that `frugalrl eval` has.
"""

import difflib
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from frugalrl.config.curation_schema import ColumnNames, PoolSettings
from frugalrl.curation import cleaning
from frugalrl.curation.cleaning import Faults
from frugalrl.curation.records import FIELDS, Decision, PoolRow
from frugalrl.curation.row_store import RowStore
from frugalrl.data.columns import ANSWER, PROBLEM, SOLUTION, columns_of, conversation, has, root_of, value_at
from frugalrl.data.folders import is_table
from frugalrl.data.sources import check_local, table_rows
from frugalrl.data.tables import TableRow
from frugalrl.errors import DataError

DATA_VARIABLE, DATA_DEFAULT = "FRUGALRL_DATA", "../shared/data"
_TAKEN = {*FIELDS, "band", "pass_rate", "pass_rate_low", "pass_rate_high", "solver", "samples"}
"""Names that curation gives; a pool's own column of that name becomes raw_NAME."""
_SENTENCES = {
    cleaning.SURROGATE: "held halves of characters or null bytes, which became U+FFFD",
    cleaning.NOT_FINITE: "are no finite number (NaN, infinity) and count as missing",
    cleaning.SPELLED_MISSING: "spell a missing value (NaN, null ...) and count as missing",
    cleaning.NESTED_GOLD: "are a list or an object and count as missing; name the column of the final answer",
    cleaning.ONE_OF_A_LIST: "are a list of one, which is taken out of it",
    cleaning.JOINED_TEXTS: "are several texts, which are joined",
    cleaning.CONVERTED: "are of a type that JSON lacks (a time, bytes ...) and became text",
    cleaning.LOST_BACKSLASH: "hold control characters where LaTeX's backslash was lost (a form feed before rac was "
    "\\frac); write the pool again with doubled backslashes",
}


class PoolReader:
    """One pool being read. The fields are complete when `rows` is exhausted."""

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        self.size = 0
        self.faults: Counter[tuple[str, str]] = Counter()
        """How many rows have a fault in a column."""
        self.not_text = 0
        self.too_long = 0
        self.sha256 = ""
        """Of the file's bytes, of all files of a folder in order, or of the rows of a Hub data set."""
        self._path = expanded(settings.path)
        self._known: dict[str, None] = {}
        self._guessed: dict[str, str] = {}
        """Columns that have another usual name, by field."""
        self._note: str | None = None

    def rows(self) -> Iterator[tuple[PoolRow, Decision]]:
        """Each row with the first decision about it: kept, or dropped if it has no problem.

        Raises DataError if the pool cannot be read, lacks a column or is empty.
        """
        digest = None if Path(self._path).expanduser().exists() else hashlib.sha256()
        for raw in self._table():
            if not self.size:
                self._guess(raw.values)
            if digest is not None:
                digest.update(json.dumps(raw.values, sort_keys=True, default=str).encode())
            for name in raw.values:
                self._known.setdefault(name)
            yield self._row(raw)
            self.size += 1
        if not self.size:
            raise DataError(
                f"The pool {self.settings.name} ({self.settings.path}) is empty. Give one with at least one row."
            )
        self._refuse_missing_columns()
        self.sha256 = digest.hexdigest() if digest is not None else _sha256_of_files(self._path)

    def place(self, number: int) -> str:
        """File and line of a row, read again for an error message."""
        return next(islice(self._table(), number, None)).where

    def notes(self) -> list[str]:
        """What was changed in the pool, one sentence for each kind."""
        name = self.settings.name
        notes = [] if self._note is None else [self._note]
        notes += [
            f"{name}: {count:,} values of {column!r} {_SENTENCES[fault]}."
            for (column, fault), count in sorted(self.faults.items())
        ]
        if self.not_text:
            notes.append(f"{name}: {self.not_text:,} problems are a number, a list or an object, no text: dropped.")
        if self.too_long:
            most = cleaning.MOST_PROBLEM_CHARS
            notes.append(f"{name}: {self.too_long:,} problems have more than {most:,} characters: dropped.")
        return notes

    def _table(self) -> Iterator[TableRow]:
        settings = self.settings
        return islice(table_rows(self._path, settings.split, settings.subset, settings.revision), settings.limit)

    def _row(self, raw: TableRow) -> tuple[PoolRow, Decision]:
        faults = Faults()
        named = self._columns()
        if not has(raw.values, str(named["problem"])):
            self._refuse_row(raw, str(named["problem"]))
        values = {field: value_at(raw.values, column) if column else None for field, column in named.items()}
        asked = conversation(values["problem"])
        if asked is not None:  # the last question: an answer may follow it
            values["problem"] = next((one["content"] for one in reversed(asked) if one["role"] == "user"), "")
        called = {field: column or field for field, column in named.items()}
        problem, fault = cleaning.problem_text(values["problem"], called["problem"], faults)
        row_id = cleaning.scalar_text(values["id"], called["id"], faults).strip()
        used = {root_of(raw.values, column) for column in named.values() if column is not None}
        row = PoolRow(
            id=self.settings.id_prefix + (row_id or f"{self.settings.name}-{self.size}"),
            pool=self.settings.name,
            source=cleaning.scalar_text(values["source"], called["source"], faults).strip() or self.settings.name,
            problem=problem,
            answer=cleaning.answer_text(values["answer"], called["answer"], faults),
            solution=cleaning.solution_text(values["solution"], called["solution"], faults),
            columns={
                f"raw_{name}" if name in _TAKEN else name: cleaning.json_value(value, name, faults)
                for name, value in self._others(raw, used, faults)
            },
        )
        self.faults.update(faults.items())
        self.not_text += fault == "problem_is_no_text"
        self.too_long += fault == "problem_too_long"
        return row, Decision(row.id, not fault, fault or "read", {"cleaned": dict(faults)} if faults else {})

    def _others(self, raw: TableRow, used: set[str], faults: Faults) -> Iterator[tuple[str, object]]:
        """The columns that are no field, under names that can be written."""
        for name, value in raw.values.items():
            if name not in used:
                yield cleaning.plain_text(name, "the columns' names", faults), value

    def _columns(self) -> dict[str, str | None]:
        """The column of each field: the one that the spec names, or the field's own name unless it is claimed."""
        given = self.settings.columns.model_dump()
        claimed = {name for name in given.values() if name is not None}
        return {
            field: name or self._guessed.get(field) or (None if field in claimed else field)
            for field, name in given.items()
        }

    def _guess(self, row: Mapping[str, Any]) -> None:
        """Find the question and the gold by their other usual names, where the spec names no column."""
        given = self.settings.columns
        found = columns_of(row, given.problem or PROBLEM, given.answer or ANSWER, given.solution or SOLUTION)
        if found.guessed:
            self._guessed = {
                field: name
                for field, name in (("problem", found.problem), ("answer", found.answer))
                if name != field and getattr(given, field) is None
            }
            self._note = f"{self.settings.name}: {' and '.join(found.guessed)} (guessed: name them with columns)."

    def _refuse_row(self, raw: TableRow, column: str) -> None:
        known = [name for name in self._known if name not in raw.values] + list(raw.values)
        if self.size and column in known:
            raise DataError(
                f"{raw.where} has no column {column!r} (columns: {', '.join(raw.values)}). Fix or remove the row."
            )
        raise self._missing("columns.problem", column, known)

    def _refuse_missing_columns(self) -> None:
        """Raise DataError for a column that the spec names and no row has, and for a pool without any gold."""
        known = list(self._known)
        for field in ColumnNames.model_fields:
            name = getattr(self.settings.columns, field)
            if name is not None and name not in known:
                raise self._missing(f"columns.{field}", name, known)
        columns = self._columns()
        if columns["answer"] not in known and columns["solution"] not in known:
            raise DataError(
                f"The pool {self.settings.name} has neither a column answer nor a column solution (columns: "
                f"{', '.join(known)}). Name one with columns.answer or columns.solution."
            )

    def _missing(self, key: str, name: str, known: list[str]) -> DataError:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        return DataError(
            f"The pool {self.settings.name} has no column {name!r} (columns: {', '.join(known)}).{hint} Set {key} to "
            "the name of a column."
        )


def check_pools(pools: Iterable[PoolSettings]) -> None:
    """Raise DataError for a pool that is a path with nothing there, before anything is fetched or loaded."""
    check_local([expanded(one.path) for one in pools])


def refuse_repeated_ids(store: RowStore, readers: list[PoolReader]) -> None:
    """Raise DataError if two rows have one id, in one pool or in two."""
    found = store.repeated_id()
    if found is None:
        return
    first, second = found
    one, other = store.row(first), store.row(second)
    if one.pool != other.pool:
        raise DataError(
            f"The pools {one.pool} and {other.pool} both have a row with the id {one.id!r}. Give one of them an "
            "id_prefix."
        )
    begin = 0
    for reader in readers:
        if reader.settings.name == one.pool:
            places = f"{reader.place(first - begin)} and {reader.place(second - begin)}"
            raise DataError(
                f"The pool {one.pool} has two rows with the id {one.id!r}: {places}. Make ids unique, or name another "
                "column with columns.id."
            )
        begin += reader.size


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


def _sha256_of_files(path: str) -> str:
    digest = hashlib.sha256()
    local = Path(path).expanduser()
    files = sorted(file for file in local.rglob("*") if is_table(file)) if local.is_dir() else [local]
    for name in files:
        with name.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
