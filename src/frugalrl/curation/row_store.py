"""Rows on disk: a pool takes only a few numbers per row in memory.

Two files without a name in the work folder (the system frees them when the process ends, however it ends): rows as
they were read, and what steps changed. In memory stand, for each row, its place, a hash of its id, its pool and, once a
step changed anything, the place of its changes: 18 to 26 bytes. `Rows` is a sequence of rows that reads them as they
are asked for.

Not covered: several processes.
"""

import hashlib
import itertools
import json
import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, overload

import numpy as np
from numpy.typing import NDArray

from frugalrl.curation.records import FIELDS, PoolRow
from frugalrl.errors import OutputError

_BUFFER_BYTES = 1 << 20
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_LENGTH_BITS = 24
"""Of a place of changes: the lower bits hold the length, which is below 16 MB."""


_FIXED = frozenset(FIELDS) - {"answer"}


class RowStore:
    """Every row of every pool, in the order they were read."""

    def __init__(self, folder: Path) -> None:
        """Raises OutputError if nothing can be written in the folder."""
        try:
            self._rows, self._changes = _nameless(folder), _nameless(folder)
        except OSError as error:
            raise _unwritable(error) from None
        self._ends = array("Q")
        self._hashes = array("Q")
        self._pool_of = array("H")
        self._pools: dict[str, int] = {}
        self._changed: array[int] | None = None
        self._changes_end = 0
        self._unflushed = False
        self._by_hash: NDArray[np.uint32] | None = None

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def disk_bytes(self) -> int:
        """Size of the rows on disk."""
        return (self._ends[-1] if self._ends else 0) + self._changes_end

    def add(self, row: PoolRow) -> None:
        """Add a row. Raises OutputError if the disk is full."""
        data = _packed([row.id, row.pool, row.source, row.problem, row.answer, row.solution, dict(row.columns)])
        self._write(self._rows, data)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(data))
        self._hashes.append(id_hash(row.id))
        self._pool_of.append(self._pools.setdefault(row.pool, len(self._pools)))
        self._by_hash = None

    def row(self, position: int) -> PoolRow:
        """A row with its changes."""
        if self._unflushed:
            self._flush()
        start = self._ends[position - 1] if position else 0
        data = os.pread(self._rows.fileno(), self._ends[position] - start, start)
        row_id, pool, source, problem, answer, solution, columns = json.loads(data)
        if self._changed is not None and self._changed[position]:
            changes = dict(self._changes_of(position))
            answer = changes.pop("answer", answer)
            columns = {**columns, **changes}
        return PoolRow(row_id, pool, source, problem, answer, solution, columns)

    def change(self, position: int, changes: Mapping[str, Any]) -> None:
        """Give a row new values of `answer` or of columns. Raises OutputError if the disk is full."""
        refused = _FIXED.intersection(changes)
        if refused:
            raise ValueError(f"a step may not change {', '.join(sorted(refused))}")
        if self._changed is None:
            self._changed = array("Q", bytes(8 * len(self)))
        merged = {**self._changes_of(position), **changes} if self._changed[position] else dict(changes)
        data = _packed(merged)
        if len(data) >> _LENGTH_BITS:
            raise ValueError("the changes of a row take more than 16 MB")
        self._write(self._changes, data)
        self._changed[position] = self._changes_end << _LENGTH_BITS | len(data)
        self._changes_end += len(data)

    def is_id(self, position: int, row_id: str) -> bool:
        """Whether the row at a position has this id, told without reading it."""
        return self._hashes[position] == id_hash(row_id)

    def position_of(self, row_id: str) -> int | None:
        """The position of the row with an id; None if there is none."""
        hashes = np.frombuffer(self._hashes, dtype=np.uint64)
        order = self._sorted()
        wanted = np.uint64(id_hash(row_id))
        at = int(np.searchsorted(hashes, wanted, sorter=order))
        while at < len(order) and hashes[order[at]] == wanted:
            if self.row(int(order[at])).id == row_id:
                return int(order[at])
            at += 1
        return None

    def repeated_id(self) -> tuple[int, int] | None:
        """The positions of the first two rows with one id; None if all ids differ."""
        hashes, order = np.frombuffer(self._hashes, dtype=np.uint64), self._sorted()
        same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        for second, first in sorted(zip(order[same + 1].tolist(), order[same].tolist(), strict=True)):
            if self.row(first).id == self.row(second).id:
                return first, second
        return None

    def of_pools(self, positions: NDArray[np.uint32], pools: Iterable[str]) -> NDArray[np.bool_]:
        """Which of the rows are of these pools."""
        numbers = [self._pools[pool] for pool in pools if pool in self._pools]
        return np.isin(np.frombuffer(self._pool_of, dtype=np.uint16)[positions], numbers)

    def all_rows(self) -> "Rows":
        """Every row."""
        return Rows(self, np.arange(len(self), dtype=np.uint32))

    def close(self) -> None:
        self._rows.close()
        self._changes.close()

    def __enter__(self) -> "RowStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _changes_of(self, position: int) -> dict[str, Any]:
        if self._changed is None or not self._changed[position]:
            return {}
        if self._unflushed:
            self._flush()
        place = self._changed[position]
        length = place & ((1 << _LENGTH_BITS) - 1)
        found: dict[str, Any] = json.loads(os.pread(self._changes.fileno(), length, place >> _LENGTH_BITS))
        return found

    def _sorted(self) -> NDArray[np.uint32]:
        if self._by_hash is None:
            order = np.argsort(np.frombuffer(self._hashes, dtype=np.uint64), kind="stable")
            self._by_hash = order.astype(np.uint32)
        return self._by_hash

    def _write(self, file: IO[bytes], data: bytes) -> None:
        try:
            file.write(data)
        except OSError as error:
            raise _unwritable(error) from None
        self._unflushed = True

    def _flush(self) -> None:
        try:
            self._rows.flush()
            self._changes.flush()
        except OSError as error:
            raise _unwritable(error) from None
        self._unflushed = False


class Rows(Sequence[PoolRow]):
    """Some rows of a store, in order, read as they are asked for."""

    def __init__(self, store: RowStore, positions: NDArray[np.uint32]) -> None:
        self.store, self.positions = store, positions

    def __len__(self) -> int:
        return len(self.positions)

    @overload
    def __getitem__(self, at: int) -> PoolRow: ...
    @overload
    def __getitem__(self, at: slice) -> "Rows": ...
    def __getitem__(self, at: int | slice) -> "PoolRow | Rows":
        if isinstance(at, slice):
            return Rows(self.store, self.positions[at])
        return self.store.row(int(self.positions[at]))

    def __iter__(self) -> Iterator[PoolRow]:
        return map(self.store.row, map(int, self.positions))


class Texts(Sequence[str]):
    """One text of each row, read as it is asked for."""

    def __init__(self, rows: Sequence[PoolRow], of: Callable[[PoolRow], str]) -> None:
        self._rows, self._of = rows, of

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> "Texts": ...
    def __getitem__(self, at: int | slice) -> "str | Texts":
        if isinstance(at, slice):
            return Texts(self._rows[at], self._of)
        return self._of(self._rows[at])

    def __iter__(self) -> Iterator[str]:
        return map(self._of, self._rows)


def in_parts(rows: Sequence[PoolRow], size: int) -> Iterator[list[PoolRow]]:
    """The rows, so many of them in memory at a time."""
    remaining = iter(rows)
    while part := list(itertools.islice(remaining, size)):
        yield part


def id_hash(row_id: str) -> int:
    """64 bits of an id's hash."""
    return int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=8).digest(), "little")


def _packed(values: Any) -> bytes:
    return _ENCODE(values).encode()


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder, buffering=_BUFFER_BYTES)


def _unwritable(error: OSError) -> OutputError:
    return OutputError(
        f"The rows cannot be kept in the work folder: {error.strerror or error}. Check space and rights."
    )
