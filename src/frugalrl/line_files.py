"""Append-only JSON-lines files that survive a kill in the middle of a write.

Decisions:
- One process at a time, by a lock that ends with the process.
- A complete line is never rewritten. A torn last line is cut off before anything is appended.
- A line is handed to the system as it is written, so a killed process loses nothing; `sync` waits for the disk.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from frugalrl.errors import OutputError


class LineFile:
    """An open JSON-lines file."""

    def __init__(self, path: Path, in_use: str) -> None:
        """Open or create the file.

        in_use: the message if another process has it open: a sentence of what happened, one of what to do.
        Raises OutputError for that, and if it cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("ab+")
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise OutputError(in_use) from None

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each complete line with its position; a torn last line is skipped."""
        self._file.seek(0)
        place = 0
        for line in self._file:
            if line.endswith(b"\n"):
                yield place, line
            place += len(line)

    def cut_torn_line(self) -> None:
        """Remove what follows the last complete line. Raises OutputError."""
        end = max((place + len(line) for place, line in self.lines()), default=0)
        try:
            self._file.truncate(end)
        except OSError as error:
            raise self._unwritable(error) from None

    def line_at(self, place: int) -> bytes:
        """The line at a position that `lines` or `append` returned."""
        self._file.seek(place)
        return self._file.readline()

    def append(self, values: Iterable[Mapping[str, Any]]) -> int:
        """Append objects; returns the position of the first. Raises OutputError."""
        try:
            place = self._file.seek(0, os.SEEK_END)
            self._file.write("".join(json.dumps(value) + "\n" for value in values).encode())
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None
        return place

    def sync(self) -> None:
        """Wait until everything is on disk. Raises OutputError."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path} cannot be written: {error.strerror or error}. Check space and rights.")
