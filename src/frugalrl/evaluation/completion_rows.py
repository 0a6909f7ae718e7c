"""Rows of stored completions from any file: a table, or a results file, whose problems and samples are put together."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frugalrl.data.sources import read_rows
from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import SUFFIX, read_results
from frugalrl.text.reasoning import prefills_think

_MARK = b'{"record": "header"'


def completion_rows(path: str | Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row with its location for messages.

    Raises DataError for a file that cannot be read, OutputError for a results file that cannot.
    """
    file = Path(path).expanduser()
    if not is_results_file(file):
        return read_rows(file)
    return _of_results(file)


def is_results_file(path: Path) -> bool:
    """Whether a file begins as a results file does."""
    if path.suffix != SUFFIX or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MARK)) == _MARK


def _of_results(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    found = read_results(path)
    order = {problem_id: at for at, problem_id in enumerate(dict.fromkeys(one.problem_id for one in found.samples))}
    for one in sorted(found.samples, key=lambda one: (order[one.problem_id], one.sample)):
        problem = found.problems.get(one.problem_id) or ProblemRecord(one.problem_id, "", "")
        yield f"{path}, {one.problem_id}, sample {one.sample},", _row(problem, one)


def _row(problem: ProblemRecord, sample: SampleRecord) -> dict[str, Any]:
    golds = [problem.gold, *problem.also_accepted]
    return {
        **problem.columns,
        "id": problem.problem_id,
        "problem": problem.problem,
        "gold": golds if len(golds) > 1 else problem.gold,
        "task": problem.task,
        "prompt": problem.prompt,
        "reasoning_open": prefills_think(problem.prompt),
        "completion": sample.text,
        "sample": sample.sample,
        "tokens": sample.tokens,
        "finish_reason": sample.finish_reason,
    }
