"""The results file of one model on one benchmark: a JSON object a line, and no line is ever written twice.

    header    what every sample shares: model, prompt, data, sampling; another one is refused
    session   once for each start: versions and device, since they may change between a kill and the resume
    sample    one judged completion

Lines are appended in whole chunks and flushed to disk. A kill in the middle of a write leaves a torn last line,
which is cut off at the next start: its sample is drawn again with the same seed, so nothing changes.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from frugalrl.errors import OutputError
from frugalrl.types import FinishReason, VerdictLabel

SUFFIX = ".jsonl"


@dataclass(frozen=True)
class ResultsHeader:
    """What all samples of a file have in common."""

    benchmark: str
    model: str
    """As the user named it, for people."""
    model_hash: str
    """Of the weights in their dtype: a moved folder is the same model, a retrained one is not."""
    prompt_hash: str
    """Of the template after the tokenizer's chat template."""
    data_hash: str
    temperature: float
    top_p: float
    max_completion_tokens: int
    seed: int
    dtype: str


@dataclass(frozen=True)
class SampleResult:
    """One judged completion."""

    problem_id: str
    sample: int
    """0 to k - 1."""
    seed: int
    tokens: int
    finish_reason: FinishReason
    extracted: str | None
    verdict: VerdictLabel
    reason: str
    seconds: float
    """Its share, by tokens, of the wall clock of the chunk it was sampled in."""
    text: str


@dataclass(frozen=True)
class Results:
    """A results file as it was read."""

    header: ResultsHeader
    samples: tuple[SampleResult, ...]


def results_path(folder: Path, benchmark: str) -> Path:
    """Where a benchmark's results stand in a folder."""
    return folder / f"{benchmark}{SUFFIX}"


def read_results(path: Path) -> Results:
    """The header and samples of a file; a torn last line is passed over. Raises OutputError."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        kinds = [line.pop("record") for line in lines]
        header = ResultsHeader(**lines[0]) if kinds[0] == "header" else None
        samples = tuple(SampleResult(**line) for kind, line in zip(kinds, lines, strict=True) if kind == "sample")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _unreadable(path, error) from None
    if header is None:
        raise _unreadable(path, "its first line is no header")
    repeated = len(samples) - len({(one.problem_id, one.sample) for one in samples})
    if repeated:
        raise _unreadable(path, f"{repeated} samples stand in it twice")
    return Results(header, samples)


def refuse_other_results(folder: Path, header: ResultsHeader) -> None:
    """Raise OutputError if a folder holds results of another model, or of this benchmark asked in another way.

    To be asked for every benchmark before the first is sampled.
    """
    own = results_path(folder, header.benchmark)
    for path in sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stat().st_size):
        found = read_results(path).header
        if found.model_hash != header.model_hash:
            raise OutputError(
                f"{path} holds results of another model ({found.model} in {found.dtype}, weights "
                f"{found.model_hash}). Give this model a folder of its own with --out."
            )
        if path == own:
            _refuse_another(path, found, header)


class ResultsWriter:
    """Appends to a results file, new or old; one process at a time."""

    def __init__(self, path: Path, header: ResultsHeader, session: dict[str, str]) -> None:
        """Make the file, or check that it is of the same header, and note that a session begins.

        Raises OutputError if the file is another model's or prompt's, or unreadable, in use or not writable.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("ab+")
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            self._lock()
            self.samples = self._open(header)
            self._write([{"record": "session", **session}])
        except BaseException:
            self._file.close()
            raise

    def append(self, samples: Iterable[SampleResult]) -> None:
        """Add finished samples; on return they are on the disk. Raises OutputError."""
        added = list(samples)
        self._write([{"record": "sample", **asdict(one)} for one in added])
        self.samples = (*self.samples, *added)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "ResultsWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(
                f"Another process is writing {self._path}. Wait for it, or choose another --out."
            ) from None

    def _open(self, header: ResultsHeader) -> tuple[SampleResult, ...]:
        """The samples that are there already; a new file gets its header, a torn last line goes."""
        if self._path.stat().st_size == 0:
            self._write([{"record": "header", **asdict(header)}])
            return ()
        found = read_results(self._path)
        _refuse_another(self._path, found.header, header)
        data = self._path.read_bytes()
        self._file.truncate(data.rfind(b"\n") + 1)
        return found.samples

    def _write(self, lines: Sequence[dict[str, Any]]) -> None:
        try:
            self._file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from None


_SAID = {
    "model_hash": "another model",
    "prompt_hash": "another prompt",
    "data_hash": "other problems or golds",
    "benchmark": "another benchmark",
}


def _refuse_another(path: Path, found: ResultsHeader, wanted: ResultsHeader) -> None:
    for field in fields(ResultsHeader):
        before, now = getattr(found, field.name), getattr(wanted, field.name)
        if field.name == "model" or before == now:
            continue
        what = _SAID.get(field.name, f"another {field.name} ({before}, now {now})")
        raise OutputError(f"{path} holds results with {what}. Choose another folder with --out, or remove the file.")


def _unreadable(path: Path, error: object) -> OutputError:
    return OutputError(f"{path} is no readable results file: {error}. Choose another folder with --out, or remove it.")


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path} cannot be written: {error.strerror or error}. Check space and rights, or choose --out.")
