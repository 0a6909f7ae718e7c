"""The texts that problems are checked against for overlap: the benchmarks of `frugalrl eval`, or a user's file.

A user's file needs no golds: overlap is found by text, and also by answer if there are golds.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from frugalrl.curation import cleaning
from frugalrl.data.sources import table_rows
from frugalrl.data.tables import SUFFIXES
from frugalrl.errors import DataError
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.verify.answers import gold_from_solution

_PROBLEM_COLUMNS = ("problem", "question")


@dataclass(frozen=True)
class OverlapTexts:
    """A benchmark as far as overlap goes."""

    name: str
    rows: tuple[tuple[str, str, str], ...]
    """Row id, problem, gold; an empty gold where there is none."""
    data_hash: str

    @property
    def without_gold(self) -> int:
        return sum(not gold for _, _, gold in self.rows)


def load_overlap_texts(name: str, data_folder: Path) -> OverlapTexts:
    """A benchmark by its name, or the rows of a file by its path.

    Raises DataError for an unknown name, a file that is missing, unreadable or empty, a row without a problem.
    """
    if name.endswith(SUFFIXES) or "/" in name:
        return _own(name)
    loaded = load_benchmark(name, data_folder)
    rows = tuple((problem.id, problem.text, problem.gold) for problem in loaded.problems)
    return OverlapTexts(loaded.name, rows, loaded.data_hash)


def _own(path: str) -> OverlapTexts:
    place = Path(path).expanduser()
    if not place.exists():
        raise DataError(f"There is no benchmark file at {path}. Check the path.")
    rows = []
    for number, raw in enumerate(table_rows(str(place))):
        faults = cleaning.Faults()
        column = next((one for one in _PROBLEM_COLUMNS if one in raw.values), "problem")
        text, fault = cleaning.problem_text(raw.values.get(column), column, faults)
        if fault and fault != "problem_too_long":
            raise DataError(
                f"{raw.where} has no text in {' or '.join(_PROBLEM_COLUMNS)} (columns: {', '.join(raw.values)}). "
                "Rename the column of the problems, or remove the row."
            )
        row_id = cleaning.scalar_text(raw.values.get("id"), "id", faults) or f"{place.name}-{number}"
        gold = cleaning.answer_text(raw.values.get("answer"), "answer", faults)
        if not gold or "####" in gold:
            solution = gold or cleaning.solution_text(raw.values.get("solution"), "solution", faults)
            gold = gold_from_solution(solution) or ""
        rows.append((row_id, text, gold))
    if not rows:
        raise DataError(f"{path} holds no problem. Give a file with at least one row.")
    return OverlapTexts(place.name.split(".")[0], tuple(rows), _hash(rows))


def _hash(rows: Iterable[tuple[str, ...]]) -> str:
    return hashlib.sha256(json.dumps([list(row) for row in rows]).encode()).hexdigest()[:16]
