"""What `eval` and a training run keep of an evaluation, read back for a comparison."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from frugalrl.errors import DataError, OutputError
from frugalrl.evaluation.comparing import Measured, MeasuredSample
from frugalrl.evaluation.records import SampleRecord
from frugalrl.evaluation.results import SUFFIX, Results, read_results

_RUN_FILE = re.compile(r"(?P<split>validation|test)-step-(?P<step>\d+)\.jsonl")
_RUN_FOLDER = "evaluations"


def read_measured(path: Path) -> dict[str, Measured]:
    """A model's measurements by benchmark (or split), from

    - a folder of `frugalrl eval`: every benchmark in it;
    - a run's folder: each split's evaluation of the kept model, or of the last while the run goes on;
    - one file of either.

    Raises DataError if there is nothing of the kind, OutputError if a file cannot be read.
    """
    if path.is_file():
        found = [_read_file(path)]
    elif (path / _RUN_FOLDER).is_dir():
        found = [_read_file(file) for file in _kept_of_each_split(path)]
    else:
        found = [_read_file(file) for file in sorted(path.glob(f"*{SUFFIX}")) if file.stat().st_size]
    if not found:
        raise DataError(
            f"{path} holds no evaluation. Name a folder or file that `frugalrl eval` wrote, or a run with "
            "validation or test data."
        )
    return {one.benchmark: one for one in found}


def read_first_and_last(run: Path) -> tuple[dict[str, Measured], dict[str, Measured]]:
    """A run's base and its kept model, by split. Raises as `read_measured` does."""
    base = {split: _read_file(files[0]) for split, files in _by_split(run).items() if len(files) > 1}
    if not base:
        raise DataError(
            f"{run} is no run with two evaluations of a split. Name two folders or files, or wait for the run's end."
        )
    last = read_measured(run)
    return base, {split: last[split] for split in base}


def _by_split(run: Path) -> dict[str, list[Path]]:
    """The files of each split in the order of their steps."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for file in (run / _RUN_FOLDER).glob(f"*{SUFFIX}"):
        match = _RUN_FILE.fullmatch(file.name)
        if match:
            found.setdefault(match["split"], []).append((int(match["step"]), file))
    return {split: [file for _, file in sorted(files)] for split, files in sorted(found.items())}


def _kept_of_each_split(run: Path) -> list[Path]:
    kept = _kept_step(run)
    of_step = {split: [file for file in files if _step_of(file) == kept] for split, files in _by_split(run).items()}
    return [(of_step[split] or files)[-1] for split, files in _by_split(run).items()]


def _kept_step(run: Path) -> int | None:
    """Of the model that a finished run kept."""
    try:
        summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    step = summary.get("kept_step") if isinstance(summary, dict) else None
    return step if isinstance(step, int) else None


def _step_of(file: Path) -> int:
    return int(file.stem.rsplit("-", 1)[-1])


def _read_file(path: Path) -> Measured:
    match = _RUN_FILE.fullmatch(path.name)
    return _of_a_run(path, match["split"]) if match else _of_results(read_results(path))


def _of_results(results: Results) -> Measured:
    header = results.header
    samples = [
        (one.problem_id, MeasuredSample(one.extracted, one.verdict == "correct", one.tokens, _cut(one.finish_reason)))
        for one in sorted(results.samples, key=lambda one: one.sample)
    ]
    names = ("temperature", "top_p", "max_completion_tokens")
    conditions = {name: str(getattr(header, name)) for name in names}
    return Measured(header.benchmark, _by_problem(samples), header.data_hash, conditions)


def _of_a_run(path: Path, split: str) -> Measured:
    try:
        records = [SampleRecord(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"{path} cannot be read: {error}. Evaluate again.") from None
    samples = [
        (one.problem_id, MeasuredSample(one.extracted, one.verdict == "correct", one.completion_tokens, one.truncated))
        for one in records
    ]
    if not samples:
        raise OutputError(f"{path} is empty. Evaluate again.")
    return Measured(split, _by_problem(samples), None, {})


def _by_problem(samples: Iterable[tuple[str, MeasuredSample]]) -> dict[str, list[MeasuredSample]]:
    grouped: dict[str, list[MeasuredSample]] = {}
    for problem_id, sample in samples:
        grouped.setdefault(problem_id, []).append(sample)
    return grouped


def _cut(finish_reason: str) -> bool:
    return finish_reason == "length"
