"""The results file of one model on one set of problems, from `eval` and from a run: a JSON object per line.

    header    what every sample shares: model, prompt, data, sampling, verifier; another one is refused
    session   once for each start: versions and device, since they may change between a kill and the resume
    problem   once for each problem, before its first sample: text, gold, policy, prompt, columns of its row
    sample    one judged completion
    regrade   once for each time that all samples were judged again: by what, and how many verdicts changed

With the problems in it a file can be read and judged again where neither model nor data are at hand.

`eval` appends lines in whole chunks and flushes them to disk, and no line is ever written twice. A kill in the middle
of a write leaves a torn last line, which is cut off at the next start: its sample is drawn again with the same seed, so
nothing changes. A run writes its file as a whole. A file holds no clock times: one evaluation gives the same bytes each
time.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

from frugalrl.errors import OutputError
from frugalrl.evaluation.records import ProblemRecord, SampleRecord, Subject
from frugalrl.evaluation.verifier_identity import verifier_digest
from frugalrl.files import atomic_write
from frugalrl.line_files import LineFile
from frugalrl.rollout.engine import SamplingParams
from frugalrl.types import FinishReason, VerdictLabel

SUFFIX = ".jsonl"
FORMAT = 2
"""Of the files that are written; those of format 1 have neither problems nor a verifier, and can still be compared."""
OWN_POLICY = "several_boxes=last without_box=refuse percent=by_question"
"""How an evaluation reads answers, as `verify.maths.extraction.AnswerPolicy` says."""
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
    format: int = 1
    verifier: str = ""
    """Hash of the code that reads and judges answers: it changes with every fix, versions only with releases."""
    answer_policy: str = OWN_POLICY
    judged_by: str = "frugalrl"
    """Or another verifier's name; ``imported`` for the verdicts of somebody else's log."""
    asked_through: str = "torch"
    """``torch``, or how a server was asked: ``chat`` or ``completions``; of an import, the tool and its version."""
    source: str = ""
    """Where the problems came from; a moved file is the same data."""


@dataclass(frozen=True)
class Results:
    """A results file as it was read."""

    header: ResultsHeader
    samples: tuple[SampleRecord, ...]
    sessions: tuple[Mapping[str, str], ...] = ()
    """Versions and device of each start."""
    problems: Mapping[str, ProblemRecord] = field(default_factory=dict)
    """By id; none in a file of format 1."""
    regrades: tuple[Mapping[str, Any], ...] = ()


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
        format=FORMAT,
        verifier=verifier_digest(),
        asked_through=subject.asked_through,
        source=subject.source,
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
        if not lines:
            raise _unreadable(path, "it has no whole line")
        if _is_of_an_older_version(lines[0]):
            raise OutputError(
                f"{path} was written by an older version of frugalrl and does not say how it was made. Evaluate the "
                "model again into a new folder, or remove the file."
            )
        of_kind: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            of_kind.setdefault(line.pop("record"), []).append(line)
        header = ResultsHeader(**lines[0]) if lines[0] in of_kind.get("header", [])[:1] else None
        samples = tuple(SampleRecord(**line) for line in of_kind.get("sample", []))
        problems = {line["problem_id"]: ProblemRecord(**line) for line in of_kind.get("problem", [])}
        sessions, regrades = (tuple(of_kind.get(kind, [])) for kind in ("session", "regrade"))
    except KeyError as error:
        raise _unreadable(path, f"a line of it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, error) from None
    if header is None:
        raise _unreadable(path, "its first line is no header")
    if len(of_kind["header"]) > 1:
        raise _unreadable(path, f"{len(of_kind['header'])} files were joined in it, each with its header")
    records: list[ResultsHeader | ProblemRecord | SampleRecord] = [header, *problems.values(), *samples]
    wrong = next((one for one in records if not _is_of_ours(one)), None)
    if wrong is not None:
        where = f" of problem {getattr(wrong, 'problem_id', '')!r}" if wrong is not header else ""
        raise _unreadable(path, f"a {type(wrong).__name__}{where} has a value of another kind than it is written with")
    repeated = len(samples) - len({(one.problem_id, one.sample) for one in samples})
    if repeated:
        raise _unreadable(path, f"{repeated} samples occur in it twice")
    return Results(header, samples, sessions, problems, regrades)


_KINDS: Mapping[Any, tuple[type, ...]] = {str: (str,), int: (int,), float: (int, float)}
"""What JSON has for a field of this type."""
_FRACTION = re.compile(r"\d+(/[1-9]\d*|\.\d+)?")
"""As a tolerance is written."""


def _is_of_ours(record: ResultsHeader | ProblemRecord | SampleRecord) -> bool:
    """Whether each value is of the kind that is written: any other might count for something that it is not."""
    for field_ in fields(record):
        value, kinds = getattr(record, field_.name), _KINDS.get(field_.type)
        if kinds is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            return False
    if isinstance(record, SampleRecord):
        is_known = record.verdict in get_args(VerdictLabel) and record.finish_reason in get_args(FinishReason)
        return is_known and record.sample >= 0 <= record.tokens and isinstance(record.extracted, str | None)
    if isinstance(record, ProblemRecord):
        accepted, tolerance = record.also_accepted, record.tolerance
        are_texts = isinstance(accepted, list | tuple) and all(isinstance(one, str) for one in accepted)
        is_stated = tolerance is None or (isinstance(tolerance, str) and _FRACTION.fullmatch(tolerance) is not None)
        return are_texts and is_stated and isinstance(record.columns, Mapping)
    return True


def write_results(
    path: Path,
    header: ResultsHeader,
    session: Mapping[str, str],
    samples: Iterable[SampleRecord],
    problems: Iterable[ProblemRecord] = (),
) -> None:
    """Write a complete results file atomically. Raises OutputError."""
    write_whole(path, Results(header, tuple(samples), (session,), {one.problem_id: one for one in problems}))


def write_whole(path: Path, results: Results) -> None:
    """Write a results file as it would be read, atomically. Raises OutputError."""
    lines = [
        _header_line(results.header),
        *(_line("session", session) for session in results.sessions),
        *(_line("regrade", regrade) for regrade in results.regrades),
        *map(_problem_line, results.problems.values()),
        *map(_sample_line, results.samples),
    ]
    with atomic_write(path) as file:
        for line in lines:
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

    def __init__(self, path: Path, header: ResultsHeader, session: Mapping[str, str]) -> None:
        """Make the file, or check that it is of the same header, and note that a session begins.

        Raises OutputError if the file is another model's or prompt's, or unreadable, in use or not writable.
        """
        self._lines = LineFile(
            path, f"Another process is writing {path}. Wait for it, or choose another folder with --out."
        )
        try:
            self.samples = self._open(header)
            self._write([_line("session", session)])
        except BaseException:
            self._lines.close()
            raise

    def append(self, samples: Iterable[SampleRecord], problems: Iterable[ProblemRecord] = ()) -> None:
        """Add finished samples, and their problems where the file lacks them; on return they are on the disk.

        Raises OutputError.
        """
        added, new = list(samples), [one for one in problems if one.problem_id not in self._problems]
        self._write([*map(_problem_line, new), *map(_sample_line, added)])
        self._problems |= {one.problem_id for one in new}
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
        path, self._problems = self._lines.path, set[str]()
        if path.stat().st_size == 0:
            self._write([_header_line(header)])
            return ()
        found = read_results(path)
        _refuse_another(path, found.header, header)
        self._problems |= found.problems.keys()
        self._lines.cut_torn_line()
        return found.samples

    def _write(self, lines: list[dict[str, object]]) -> None:
        self._lines.append(lines)
        self._lines.sync()


def _header_line(header: ResultsHeader) -> dict[str, object]:
    return {"record": "header", **asdict(header)}


def _line(kind: str, values: Mapping[str, Any]) -> dict[str, object]:
    return {"record": kind, **values}


def _problem_line(problem: ProblemRecord) -> dict[str, object]:
    """A column that JSON has no form for (a date, bytes of an image) is kept as its text."""
    return {
        "record": "problem",
        **asdict(problem),
        "columns": json.loads(json.dumps(dict(problem.columns), default=str)),
    }


def _sample_line(sample: SampleRecord) -> dict[str, object]:
    return {"record": "sample", **asdict(sample)}


_SAID = {
    "model_hash": "another model",
    "prompt_hash": "another prompt",
    "data_hash": "other problems or golds",
    "benchmark": "another benchmark",
}
_NAMES = ("model", "step", "source")
"""What people call the model and the data: hashes tell whether they are the same."""
OF_THE_VERIFIER = ("frugalrl", "math_verify", "verifier_limit_seconds", "verifier", "answer_policy", "judged_by")
"""Fields whose change leaves the completions as they are: they can be judged again."""


def _refuse_another(path: Path, found: ResultsHeader, wanted: ResultsHeader) -> None:
    """Other completions first: judging them again would not help."""
    if found.format == 1 and wanted.format > 1:
        raise OutputError(
            f"{path} was written by an older version of frugalrl, without problems and verifier. It can be compared, "
            "but not resumed: choose another folder with --out."
        )
    names = [field.name for field in fields(ResultsHeader) if field.name not in (*_NAMES, *OF_THE_VERIFIER)]
    for name in (*names, *OF_THE_VERIFIER):
        before, now = getattr(found, name), getattr(wanted, name)
        if before == now:
            continue
        if name in OF_THE_VERIFIER:
            raise OutputError(
                f"{path} was judged by another verifier ({name} {before}, now {now}). Judge its samples again with "
                f"`frugalrl regrade {path} --in-place`, or choose another folder with --out."
            )
        what = _SAID.get(name, f"another {name} ({before}, now {now})")
        raise OutputError(f"{path} holds results with {what}. Choose another folder with --out, or remove the file.")


def _is_of_an_older_version(first: object) -> bool:
    """A run's file without a header, or a header that lacks what it has now."""
    if not isinstance(first, dict):
        return False
    is_headless = "record" not in first and {"problem_id", "verdict", "completion_tokens"} <= first.keys()
    lacks = {field.name for field in fields(ResultsHeader) if field.default is MISSING} - first.keys()
    return is_headless or (first.get("record") == "header" and "model_hash" in first and bool(lacks))


def _unreadable(path: Path, error: object) -> OutputError:
    return OutputError(f"{path} is no readable results file: {error}. Choose another folder with --out, or remove it.")
