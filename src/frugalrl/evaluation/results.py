"""The results file of one model on one set of problems, from `eval` and from a run: a JSON object per line.

    header    what every sample shares: model, prompt, data, sampling, verifier; another one is refused
    session   once for each start: versions and device, since they may change between a kill and the resume
    sample    one judged completion

`eval` appends lines in whole chunks and flushes them to disk, and no line is ever written twice. A kill in the middle
of a write leaves a torn last line, which is cut off at the next start: its sample is drawn again with the same seed, so
nothing changes. A run writes its file as a whole. A file holds no clock times: one evaluation gives the same bytes each
time.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from frugalrl.errors import OutputError
from frugalrl.evaluation.records import SampleRecord, Subject
from frugalrl.files import atomic_write
from frugalrl.line_files import LineFile
from frugalrl.rollout.engine import SamplingParams

SUFFIX = ".jsonl"
_SESSION_PACKAGES = ("torch", "transformers")


@dataclass(frozen=True)
class ResultsHeader:
    """What all samples of a file have in common. `Subject` says what its own fields mean."""

    benchmark: str
    model: str
    step: int | None
    model_hash: str
    prompt_hash: str
    data_hash: str
    """Of problems, golds and policies."""
    temperature: float
    top_p: float
    max_completion_tokens: int
    seed: int
    dtype: str
    frugalrl: str
    """Version of this package, whose reading of answers decides verdicts."""
    math_verify: str
    """Version of the library that decides what text and exact arithmetic cannot."""
    verifier_limit_seconds: float


@dataclass(frozen=True)
class Results:
    """A results file as it was read."""

    header: ResultsHeader
    samples: tuple[SampleRecord, ...]
    sessions: tuple[Mapping[str, str], ...] = ()
    """Versions and device of each start."""


def header_of(
    subject: Subject, data_hash: str, sampling: SamplingParams, seed: int, verifier_limit_seconds: float
) -> ResultsHeader:
    """The header of an evaluation that is made by this installation."""
    return ResultsHeader(
        benchmark=subject.benchmark,
        model=subject.model,
        step=subject.step,
        model_hash=subject.model_hash,
        prompt_hash=subject.prompt_hash,
        data_hash=data_hash,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_completion_tokens=sampling.max_completion_tokens,
        seed=seed,
        dtype=subject.dtype,
        frugalrl=metadata.version("frugalrl"),
        math_verify=metadata.version("math-verify"),
        verifier_limit_seconds=verifier_limit_seconds,
    )


def session_of(subject: Subject) -> dict[str, str]:
    """The record of a session's start."""
    return {**{name: metadata.version(name) for name in _SESSION_PACKAGES}, "device": subject.device}


def results_path(folder: Path, benchmark: str) -> Path:
    """The file of a benchmark's results in a folder."""
    return folder / f"{benchmark}{SUFFIX}"


def read_results(path: Path) -> Results:
    """The header and samples of a file; a torn last line is passed over. Raises OutputError."""
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        lines = [json.loads(line) for line in whole.splitlines()]
        if lines and _is_of_an_older_version(lines[0]):
            raise OutputError(
                f"{path} was written by an older version of frugalrl and does not say how it was made. Evaluate the "
                "model again into a new folder, or remove the file."
            )
        kinds = [line.pop("record") for line in lines]
        header = ResultsHeader(**lines[0]) if kinds[0] == "header" else None
        samples = tuple(SampleRecord(**line) for kind, line in zip(kinds, lines, strict=True) if kind == "sample")
        sessions = tuple(line for kind, line in zip(kinds, lines, strict=True) if kind == "session")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise _unreadable(path, error) from None
    if header is None:
        raise _unreadable(path, "its first line is no header")
    repeated = len(samples) - len({(one.problem_id, one.sample) for one in samples})
    if repeated:
        raise _unreadable(path, f"{repeated} samples occur in it twice")
    return Results(header, samples, sessions)


def write_results(path: Path, header: ResultsHeader, session: dict[str, str], samples: Iterable[SampleRecord]) -> None:
    """Write a complete results file atomically. Raises OutputError."""
    with atomic_write(path) as file:
        for line in (_header_line(header), _session_line(session), *map(_sample_line, samples)):
            file.write(json.dumps(line) + "\n")


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
                f"{found.model_hash}). Give this model its own folder with --out."
            )
        if path == own:
            _refuse_another(path, found, header)


class ResultsWriter:
    """Appends to a results file, new or old; one process at a time."""

    def __init__(self, path: Path, header: ResultsHeader, session: dict[str, str]) -> None:
        """Make the file, or check that it is of the same header, and note that a session begins.

        Raises OutputError if the file is another model's or prompt's, or unreadable, in use or not writable.
        """
        self._lines = LineFile(
            path, f"Another process is writing {path}. Wait for it, or choose another folder with --out."
        )
        try:
            self.samples = self._open(header)
            self._write([_session_line(session)])
        except BaseException:
            self._lines.close()
            raise

    def append(self, samples: Iterable[SampleRecord]) -> None:
        """Add finished samples; on return they are on the disk. Raises OutputError."""
        added = list(samples)
        self._write(list(map(_sample_line, added)))
        self.samples = (*self.samples, *added)

    def close(self) -> None:
        self._lines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, header: ResultsHeader) -> tuple[SampleRecord, ...]:
        """The samples that are there already; a new file gets its header, a torn last line goes."""
        path = self._lines.path
        if path.stat().st_size == 0:
            self._write([_header_line(header)])
            return ()
        found = read_results(path)
        _refuse_another(path, found.header, header)
        self._lines.cut_torn_line()
        return found.samples

    def _write(self, lines: list[dict[str, object]]) -> None:
        self._lines.append(lines)
        self._lines.sync()


def _header_line(header: ResultsHeader) -> dict[str, object]:
    return {"record": "header", **asdict(header)}


def _session_line(session: dict[str, str]) -> dict[str, object]:
    return {"record": "session", **session}


def _sample_line(sample: SampleRecord) -> dict[str, object]:
    return {"record": "sample", **asdict(sample)}


_SAID = {
    "model_hash": "another model",
    "prompt_hash": "another prompt",
    "data_hash": "other problems or golds",
    "benchmark": "another benchmark",
}
_NAMES = ("model", "step")
"""What people call the model: its weights tell whether it is the same."""


def _refuse_another(path: Path, found: ResultsHeader, wanted: ResultsHeader) -> None:
    for field in fields(ResultsHeader):
        before, now = getattr(found, field.name), getattr(wanted, field.name)
        if field.name in _NAMES or before == now:
            continue
        what = _SAID.get(field.name, f"another {field.name} ({before}, now {now})")
        raise OutputError(f"{path} holds results with {what}. Choose another folder with --out, or remove the file.")


def _is_of_an_older_version(first: object) -> bool:
    """A run's file without a header, or a header that lacks what it has now."""
    if not isinstance(first, dict):
        return False
    is_headless = "record" not in first and {"problem_id", "verdict", "completion_tokens"} <= first.keys()
    lacks = {field.name for field in fields(ResultsHeader)} - first.keys()
    return is_headless or (first.get("record") == "header" and "model_hash" in first and bool(lacks))


def _unreadable(path: Path, error: object) -> OutputError:
    return OutputError(f"{path} is no readable results file: {error}. Choose another folder with --out, or remove it.")
