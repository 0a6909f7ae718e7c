"""A permanent cache of solvers' answers: an append-only file, so that nothing is ever sampled twice.

Decisions:
- A sample is known by its solver, by how it was asked (prompt, sampling, seed), by the problem's text and by its
  number. A renamed problem, another pool or another spec finds it again.
- Places in the file and verdicts are indexed in a temporary SQLite database, which goes to the disk beyond a few
  megabytes; answers are read when they are asked for. So memory does not grow with the samples.
- A kill in the middle of a write leaves a torn last line, which is cut off at the next start: that sample alone is
  drawn again.
- A verdict is a separate line, with the gold it was for. Another gold is judged again, without sampling.
- Every line is handed to the system as it is written, so a killed process loses nothing; `sync` waits for the disk.
"""

import hashlib
import json
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from frugalrl.errors import OutputError
from frugalrl.line_files import LineFile

FILE_NAME = "samples.jsonl"
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16384;
CREATE TABLE places (key TEXT, number INTEGER, place INTEGER, PRIMARY KEY (key, number)) WITHOUT ROWID;
CREATE TABLE verdicts (key TEXT, number INTEGER, gold TEXT, verdict TEXT, PRIMARY KEY (key, number, gold))
    WITHOUT ROWID;
"""
"""The index is made anew at each start, so it needs no journal; 16 MB of it stay in memory."""


@dataclass(frozen=True)
class Sample:
    """One answer of a solver."""

    completion: str
    finish_reason: str
    """``stop`` or ``length``. Older files hold ``refused`` too, which is asked again."""
    tokens: int
    """Of the completion; -1 if an endpoint does not report it."""
    reasoning_open: bool
    """Whether the prompt's template had opened ``<think>`` already."""
    prompt_tokens: int = -1
    """Of the prompt; -1 if unknown, and in older files."""


def sample_key(solver_id: str, asked: str, text: str) -> str:
    """What all samples of one problem by one solver share."""
    return hashlib.blake2b("\x1f".join((solver_id, asked, text)).encode(), digest_size=16).hexdigest()


class SampleCache:
    """Samples by key and number; one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open or make the file. Raises OutputError if it is damaged, in use, or cannot be written."""
        self.path = folder / FILE_NAME
        self._lines = LineFile(
            self.path,
            f"Another process is using the samples in {self.path}. Wait for it, or name another samples_cache.",
        )
        self._index = sqlite3.connect("", isolation_level=None)  # "": temporary, on the disk, removed with the process
        try:
            self._index.executescript(_TABLES)
            self._lines.cut_torn_line()
            self._read_places()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        count: int = self._index.execute("SELECT count(*) FROM places").fetchone()[0]
        return count

    def get(self, key: str, number: int) -> Sample | None:
        """A sample that was added once; None if there is none."""
        found = self._index.execute("SELECT place FROM places WHERE key = ? AND number = ?", (key, number)).fetchone()
        if found is None:
            return None
        values = json.loads(self._lines.line_at(found[0]))
        return Sample(**{name: value for name, value in values.items() if name not in ("key", "sample")})

    def verdict(self, key: str, number: int, gold: str) -> str | None:
        """The verdict on a sample by this gold, if it was added."""
        found = self._index.execute(
            "SELECT verdict FROM verdicts WHERE key = ? AND number = ? AND gold = ?", (key, number, _gold_hash(gold))
        ).fetchone()
        return None if found is None else str(found[0])

    def add(self, key: str, number: int, sample: Sample) -> None:
        """Keep a sample. Raises OutputError if it cannot be written."""
        self._index_place(key, number, self._write({"key": key, "sample": number, **asdict(sample)}))

    def add_verdict(self, key: str, number: int, gold: str, verdict: str) -> None:
        """Keep a verdict. Raises OutputError if it cannot be written."""
        gold_hash = _gold_hash(gold)
        self._write({"key": key, "sample": number, "gold": gold_hash, "verdict": verdict})
        self._index_verdict(key, number, gold_hash, verdict)

    def sync(self) -> None:
        """Wait until everything is on disk."""
        self._lines.sync()

    def close(self) -> None:
        self._index.close()
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_places(self) -> None:
        self._index.execute("BEGIN")
        for number, (place, line) in enumerate(self._lines.lines(), start=1):
            try:
                values = json.loads(line)
                if "verdict" in values:
                    self._index_verdict(values["key"], values["sample"], values["gold"], values["verdict"])
                else:
                    self._index_place(values["key"], values["sample"], place)
            except (ValueError, KeyError, TypeError, sqlite3.Error) as error:
                raise OutputError(
                    f"{self.path}, line {number} is no sample: {error!r}. Remove the line (its sample is drawn "
                    "again), or name another samples_cache."
                ) from None
        self._index.execute("COMMIT")

    def _index_place(self, key: str, number: int, place: int) -> None:
        self._index.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", (key, number, place))

    def _index_verdict(self, key: str, number: int, gold_hash: str, verdict: str) -> None:
        self._index.execute("INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)", (key, number, gold_hash, verdict))

    def _write(self, values: dict[str, Any]) -> int:
        return self._lines.append([values])


def _gold_hash(gold: str) -> str:
    return hashlib.blake2b(gold.encode(), digest_size=8).hexdigest()
