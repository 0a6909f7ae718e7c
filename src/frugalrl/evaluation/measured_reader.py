"""Reads the evaluations that `eval` and training runs saved, for a comparison."""

import re
from dataclasses import asdict
from pathlib import Path

from frugalrl.errors import DataError
from frugalrl.evaluation.comparing import Measured
from frugalrl.evaluation.ledger import kept_step
from frugalrl.evaluation.records import SampleRecord
from frugalrl.evaluation.results import SUFFIX, read_results

_RUN_FILE = re.compile(r"(?P<split>validation|test)-step-(?P<step>\d+)\.jsonl")
_RUN_FOLDER = "evaluations"
_NO_CONDITIONS = ("benchmark", "model", "step", "model_hash", "data_hash", "source", "format")
"""Fields of the header that say what was measured, and where it lay; all others say how."""


def read_measured(path: Path) -> dict[str, Measured]:
    """A model's measurements by benchmark (or split), from

    - a folder of `frugalrl eval`: every benchmark in it;
    - a run's folder: each split's evaluation of the kept model, or of the last while the run is under way;
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
    by_benchmark: dict[str, Measured] = {}
    for one in found:
        other = by_benchmark.setdefault(one.benchmark, one)
        if other is not one:
            raise DataError(f"{other.file} and {one.file} both hold results on {one.benchmark}. Name one of them.")
    return by_benchmark


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
    kept = kept_step(run)
    of_step = {split: [file for file in files if _step_of(file) == kept] for split, files in _by_split(run).items()}
    return [(of_step[split] or files)[-1] for split, files in _by_split(run).items()]


def _step_of(file: Path) -> int:
    return int(file.stem.rsplit("-", 1)[-1])


def _read_file(path: Path) -> Measured:
    results = read_results(path)
    header = asdict(results.header)
    conditions = {name: str(value) for name, value in header.items() if name not in _NO_CONDITIONS}
    grouped: dict[str, list[SampleRecord]] = {}
    for one in sorted(results.samples, key=lambda one: one.sample):
        grouped.setdefault(one.problem_id, []).append(one)
    if not grouped:
        raise DataError(f"{path} holds no sample yet. Evaluate first.")
    for name in dict.fromkeys(name for session in results.sessions for name in session):
        values = dict.fromkeys(str(session[name]) for session in results.sessions if name in session)
        conditions[name] = " and ".join(values)
    if results.header.dtype == "float32":  # then their number decides nothing
        conditions.pop("processes", None)
    else:
        conditions.setdefault("processes", "1")
    return Measured(
        results.header.benchmark,
        grouped,
        results.header.data_hash,
        results.header.model_hash,
        conditions,
        results.problems,
        str(path),
    )
