"""A permanent cache of solvers' answers: an append-only file, so that nothing is ever sampled twice.

Decisions:
- A sample is known by its solver, by how it was asked (prompt, sampling, seed), by the problem's text and by its
  number. A renamed problem, another pool or another spec finds it again.
- Only places in the file are held in memory; answers are read when they are asked for.
- A kill in the middle of a write leaves a torn last line, which is cut off at the next start: that sample alone is
  drawn again.
- A verdict is a separate line, with the gold it was for. Another gold is judged again, without sampling.
- Every line is handed to the system as it is written, so a killed process loses nothing; `sync` waits for the disk.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from frugalrl.errors import OutputError
from frugalrl.line_files import LineFile

FILE_NAME = "samples.jsonl"


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
        self._places: dict[tuple[str, int], int] = {}
        self._verdicts: dict[tuple[str, int, str], str] = {}
        try:
            self._lines.cut_torn_line()
            self._read_places()
        except BaseException:
            self._lines.close()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str, number: int) -> Sample | None:
        """A sample that was added once; None if there is none."""
        place = self._places.get((key, number))
        if place is None:
            return None
        values = json.loads(self._lines.line_at(place))
        return Sample(**{name: value for name, value in values.items() if name not in ("key", "sample")})

    def verdict(self, key: str, number: int, gold: str) -> str | None:
        """The verdict on a sample by this gold, if it was added."""
        return self._verdicts.get((key, number, _gold_hash(gold)))

    def add(self, key: str, number: int, sample: Sample) -> None:
        """Keep a sample. Raises OutputError if it cannot be written."""
        self._places[key, number] = self._write({"key": key, "sample": number, **asdict(sample)})

    def add_verdict(self, key: str, number: int, gold: str, verdict: str) -> None:
        """Keep a verdict. Raises OutputError if it cannot be written."""
        gold_hash = _gold_hash(gold)
        self._write({"key": key, "sample": number, "gold": gold_hash, "verdict": verdict})
        self._verdicts[key, number, gold_hash] = verdict

    def sync(self) -> None:
        """Wait until everything is on disk."""
        self._lines.sync()

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_places(self) -> None:
        for number, (place, line) in enumerate(self._lines.lines(), start=1):
            try:
                values = json.loads(line)
                if "verdict" in values:
                    self._verdicts[values["key"], values["sample"], values["gold"]] = values["verdict"]
                else:
                    self._places[values["key"], values["sample"]] = place
            except (ValueError, KeyError, TypeError) as error:
                raise OutputError(
                    f"{self.path}, line {number} is no sample: {error!r}. Remove the line (its sample is drawn "
                    "again), or name another samples_cache."
                ) from None

    def _write(self, values: dict[str, Any]) -> int:
        return self._lines.append([values])


def _gold_hash(gold: str) -> str:
    return hashlib.blake2b(gold.encode(), digest_size=8).hexdigest()
