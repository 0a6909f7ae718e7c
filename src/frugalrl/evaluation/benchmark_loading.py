"""Benchmarks as problems: from a local folder where it has the file, otherwise from the Hub; a user's own file too.

Which folder that is, is an argument: the command reads the environment.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frugalrl.config.schema import ARITHMETIC, ProblemSource
from frugalrl.data.sources import load_problems
from frugalrl.errors import DataError
from frugalrl.evaluation.benchmarks import BOXED_TEMPLATE, Benchmark, Golds, benchmark_named, golds_of
from frugalrl.types import Problem

ARITHMETIC_SEED = 13
"""The stream that recipes/quickstart.yaml holds out as its test set."""


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark's problems with what counts as right for each."""

    name: str
    samples: int
    template: str
    problems: tuple[Problem, ...]
    golds: Mapping[str, Golds]
    """By problem id."""
    source: str
    """The file or the Hub id they were read from."""
    data_hash: str
    """Of all problems and golds, whatever part of them is evaluated."""


def load_benchmark(name: str, data_folder: Path | None) -> LoadedBenchmark:
    """A benchmark by its name, or the rows of a user's file by its path.

    Raises DataError for an unknown name, a file that is missing, unreadable or empty, a row without gold.
    """
    is_path = name.endswith((".jsonl", ".jsonl.gz", ".parquet", ".parquet.gz")) or "/" in name
    benchmark = _own(name) if is_path else benchmark_named(name)
    source = _source(benchmark, data_folder, name if is_path else None)
    problems = tuple(load_problems(source))
    if not is_path and len(problems) != benchmark.size:
        raise DataError(
            f"{source.source} holds {len(problems)} problems, not the {benchmark.size} of {benchmark.name}. "
            "Fetch it again, or evaluate the file under its own path."
        )
    golds = {problem.id: golds_of(benchmark.golds, problem.gold, problem.columns) for problem in problems}
    return LoadedBenchmark(
        name=benchmark.name,
        samples=benchmark.samples,
        template=benchmark.template,
        problems=problems,
        golds=golds,
        source=source.source,
        data_hash=_hash(problems, golds),
    )


def _own(path: str) -> Benchmark:
    return Benchmark(Path(path).name.split(".")[0], size=0, samples=1, template=BOXED_TEMPLATE)


def _source(benchmark: Benchmark, data_folder: Path | None, own_path: str | None) -> ProblemSource:
    if own_path is not None:
        if not Path(own_path).expanduser().exists():
            raise DataError(f"There is no benchmark file at {own_path}. Check the path.")
        return ProblemSource(source=own_path)
    if benchmark.name == ARITHMETIC:
        return ProblemSource(source=ARITHMETIC, split="test", limit=benchmark.size, seed=ARITHMETIC_SEED)
    local = data_folder / benchmark.local_file if data_folder is not None and benchmark.local_file else None
    if local is not None and local.is_file():
        return ProblemSource(source=str(local))
    return ProblemSource(
        source=str(benchmark.hub_id),
        subset=benchmark.hub_subset,
        split=benchmark.hub_split,
        problem_field=benchmark.hub_problem_field,
        answer_field=benchmark.hub_answer_field,
    )


def _hash(problems: tuple[Problem, ...], golds: Mapping[str, Golds]) -> str:
    rows = [[problem.id, problem.text, *golds[problem.id].accepted] for problem in problems]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
