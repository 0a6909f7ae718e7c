"""Whether problems that `frugalrl eval` asks a run's model are the run's own test or validation problems.

They are if they share a text with a split that the run's recipe names, under whatever file name, or, where those data
are no longer there, if the hash of problems and golds is that of one of the run's evaluations.

Not covered: data that were reworded; a model that was copied out of its run.
"""

from collections.abc import Sequence
from pathlib import Path

from frugalrl.config.loading import load_part
from frugalrl.config.schema import DataSettings, ProblemSource
from frugalrl.config.section import Section
from frugalrl.errors import UserError
from frugalrl.evaluation.results import SUFFIX, read_results
from frugalrl.tasks.loading import load_problems
from frugalrl.types import Problem

SPLITS = ("test", "validation")


class _OfARecipe(Section):
    """What is read of a run's recipe, whatever version the rest is of."""

    data: DataSettings


def split_of_run(run: Path, problems: Sequence[Problem], data_hash: str) -> str | None:
    """The run's split that the problems belong to, test before validation; None if they are of neither."""
    asked = {_plain(problem.text) for problem in problems}
    sources = _sources(run)
    for split in SPLITS:
        if asked & _texts(sources.get(split)) or data_hash in _hashes(run, split):
            return split
    return None


def _sources(run: Path) -> dict[str, ProblemSource | None]:
    try:
        data = load_part(run / "recipe.yaml", _OfARecipe).data
    except UserError:  # of another version: the hashes decide
        return {}
    return {"test": data.test, "validation": data.validation}


def _texts(source: ProblemSource | None) -> set[str]:
    if source is None:
        return set()
    try:
        return {_plain(problem.text) for problem in load_problems(source)}
    except UserError:  # moved or removed: the hashes decide
        return set()


def _hashes(run: Path, split: str) -> set[str]:
    found = set()
    for path in sorted((run / "evaluations").glob(f"{split}-step-*{SUFFIX}")):
        try:
            found.add(read_results(path).header.data_hash)
        except UserError:  # of an older version, or lost: says nothing
            continue
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())
