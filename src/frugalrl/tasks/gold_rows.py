"""The gold answers of a file, checked before any token is paid for: what fails, where, and why.

What is checked of one gold is in `verify/golds.py`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.data.columns import GOLD_NAMES, columns_of, has, value_at
from frugalrl.data.sources import read_rows
from frugalrl.errors import DataError
from frugalrl.tasks.judging import compares_answers
from frugalrl.tasks.loading import golds_in, row_problem
from frugalrl.types import Problem
from frugalrl.verify.golds import GoldCheck, check_golds
from frugalrl.verify.workers.pool import VerifierPool

_GOLD_FIELDS = ("gold", "answer", "solution", *GOLD_NAMES[1:])
_MEANING = {
    "missing": "no gold answer in the row",
    "no_answer": "is in words that state no answer",
    "unparseable": "cannot be read: every answer to it is `unknown` and earns nothing",
    "not_itself": "is not accepted for itself",
    "not_respelt": "is not accepted in another spelling",
    "accepts_wrong": "accepts an answer that is wrong",
    "slow": "takes too long to compare",
}


def check_file(
    file: Path, field: str | None, workers: int, on_progress: Callable[[int, int], object] = lambda done, total: None
) -> tuple[str, bool]:
    """The printed text, and whether every gold is fit for training.

    on_progress: is told how many of how many different golds are checked.
    field: the column of the gold answer; None tries the usual names. Raises DataError for a file that cannot be read,
    or has no column of golds.
    """
    found = [_read(row, field, where) for where, row in read_rows(file)]
    compared = [one for one in found if one.is_compared]
    distinct = list(dict.fromkeys(gold for one in compared for gold in one.golds))
    with VerifierPool(workers=workers) as pool:
        done = check_golds(distinct, pool, on_progress=lambda count: on_progress(count, len(distinct)))
        checks = {check.gold: check for check in done}
    places = [one.place for one in compared for _ in one.golds or ("",)]
    golds = [gold for one in compared for gold in one.golds or ("",)]
    text = report(places, golds, checks, len(found) - len(compared))
    return text, all(gold and not checks[gold].problems for gold in golds)


@dataclass(frozen=True)
class _Row:
    place: str
    golds: tuple[str, ...]
    """Accepted answers; none where the row has no gold."""
    is_compared: bool
    """False: a checker of its own judges the answers, and never reads a gold as mathematics."""


def _read(row: Mapping[str, Any], field: str | None, where: str) -> _Row:
    """Raises DataError for a row that its task cannot judge, or that has no column of golds though it needs one."""
    text = str(value_at(row, columns_of(row).problem) or "")
    problem = row_problem(Problem(str(row.get("id", where)), text, "", row), where)
    is_compared = compares_answers(problem)
    golds = _golds(row, field, where) if is_compared else ()
    return _Row(str(row.get("id", where)), golds, is_compared)


def _golds(row: Mapping[str, Any], field: str | None, where: str) -> tuple[str, ...]:
    """The golds of a row; a written-out solution gives its last box or what follows ####."""
    names = (field,) if field else _GOLD_FIELDS
    if not any(has(row, name) for name in names):
        raise DataError(
            f"{where} has none of the columns {', '.join(names[:3])} (columns: {', '.join(row)}). "
            "Name the column of the gold answer with --field."
        )
    values = {name: value_at(row, name) for name in names}
    name = next((name for name, value in values.items() if value not in (None, "")), None)
    if name is None:
        return ()
    return golds_in(None, values[name]) if name == "solution" else golds_in(values[name], None)


def report(places: Sequence[str], golds: Sequence[str], checks: Mapping[str, GoldCheck], judged_otherwise: int) -> str:
    """The printed text: a count for each kind of failure, then each failing gold with what showed it.

    judged_otherwise: rows whose answers are not compared with a gold.
    """
    counts: Counter[str] = Counter()
    failing: list[str] = []
    for place, gold in zip(places, golds, strict=True):
        problems: tuple[str, ...] = checks[gold].problems if gold else ("missing",)
        counts.update(problems)
        if problems:
            detail = f": {checks[gold].detail}" if gold and checks[gold].detail else ""
            failing.append(f"{place}  {_shortened(gold)}  {', '.join(problems)}{_shortened(detail)}")
    slowest = max((check.seconds for check in checks.values()), default=0.0)
    lines = [
        f"{len(golds)} {'gold' if len(golds) == 1 else 'golds'}, {len(checks)} different, "
        f"{len(golds) - len(failing)} fit for training; slowest comparison {slowest:.2f} s"
    ]
    lines += [f"  {name:<14}{counts[name]:>7}  {meaning}" for name, meaning in _MEANING.items() if counts[name]]
    if judged_otherwise:
        lines.append(f"{judged_otherwise} rows are judged by tests or a checker: their golds are not checked.")
    return "\n".join([*lines, *failing]) + "\n"


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= 120 else plain[:117] + "..."
