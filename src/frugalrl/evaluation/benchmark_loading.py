"""Benchmarks as problems: from a local folder where it has the file, otherwise from the Hub; a user's own file too.

The folder is an argument: the command reads the environment. The rows of a user's file are judged by the task they
belong to, with that task's prompt.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from frugalrl.config.schema import ProblemSource
from frugalrl.data.fingerprint import problems_hash
from frugalrl.data.tables import SUFFIXES
from frugalrl.errors import DataError
from frugalrl.evaluation.benchmarks import DEFAULT_MAX_TOKENS, Benchmark, GoldKind, benchmark_named
from frugalrl.tasks.loading import BY_FILE, load_problems
from frugalrl.tasks.registry import task_named
from frugalrl.types import Problem

TASK_SEED = 13
"""Seed of generated problems: the stream that recipes/quickstart.yaml holds out as its test set."""


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark's problems, each with what counts as right."""

    name: str
    samples: int
    templates: tuple[str, ...]
    """The prompt of each problem."""
    problems: tuple[Problem, ...]
    source: str
    """The file or the Hub id they were read from."""
    data_hash: str
    """Hash of all problems and golds, even if only part of them is evaluated."""
    max_tokens: int = DEFAULT_MAX_TOKENS
    """The default cap on a completion."""

    @property
    def judged_as(self) -> str:
        """The tasks that judge its problems, in words."""
        counts = Counter(problem.check.task for problem in self.problems)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{count} as {task}" for task, count in counts.most_common())


def load_benchmark(
    name: str,
    data_folder: Path | None,
    note: Callable[[str], None] = lambda line: None,
    task: str | None = None,
) -> LoadedBenchmark:
    """A benchmark by its name, or the rows of a user's file by its path. note: is told which columns were guessed.

    task: what judges a file's rows; None: each row's columns decide. A benchmark has its own.
    Raises DataError for an unknown name, a file that is missing, unreadable or empty, a row without gold.
    """
    is_path = name.endswith(SUFFIXES) or "/" in name
    if is_path:
        source = _own_file(name, task)
        problems = tuple(load_problems(source, BY_FILE, note))
        templates = tuple(task_named(problem.check.task).prompt for problem in problems)
        return _loaded(Path(name).name.split(".")[0], 1, templates, problems, source)
    benchmark = benchmark_named(name)
    source = _source(benchmark, data_folder)
    problems = tuple(_with_plain_gold(problem, benchmark.golds) for problem in load_problems(source, BY_FILE))
    if len(problems) != benchmark.size:
        raise DataError(
            f"{source.source} holds {len(problems)} problems, not the {benchmark.size} of {benchmark.name}. "
            "Fetch it again, or evaluate the file under its own path."
        )
    templates = (benchmark.template,) * len(problems)
    return _loaded(benchmark.name, benchmark.samples, templates, problems, source, benchmark.max_tokens)


def _loaded(
    name: str,
    samples: int,
    templates: tuple[str, ...],
    problems: tuple[Problem, ...],
    source: ProblemSource,
    max_tokens: int = DEFAULT_MAX_TOKENS,
) -> LoadedBenchmark:
    return LoadedBenchmark(name, samples, templates, problems, source.source, problems_hash(problems), max_tokens)


def _own_file(path: str, task: str | None) -> ProblemSource:
    if task is not None:
        task_named(task)
    if not Path(path).expanduser().exists():
        raise DataError(f"There is no benchmark file at {path}. Check the path.")
    return ProblemSource(source=path, task=task)


def _source(benchmark: Benchmark, data_folder: Path | None) -> ProblemSource:
    if benchmark.task is not None:
        return ProblemSource(source=benchmark.task, split="test", limit=benchmark.size, seed=TASK_SEED)
    local = data_folder / benchmark.local_file if data_folder is not None and benchmark.local_file else None
    if local is not None and local.is_file():
        return ProblemSource(source=str(local), task=benchmark.judged_by)
    if benchmark.hub_id is None:
        raise DataError(
            f"{benchmark.name} is read from a file, {benchmark.local_file} under FRUGALRL_DATA, which is not there. "
            "Fetch it, or evaluate your own file by its path."
        )
    return ProblemSource(
        source=str(benchmark.hub_id),
        subset=benchmark.hub_subset,
        split=benchmark.hub_split,
        problem_field=benchmark.hub_problem_field,
        answer_field=benchmark.hub_answer_field,
        task=benchmark.judged_by,
    )


def _with_plain_gold(problem: Problem, kind: GoldKind) -> Problem:
    """A zero-padded integer as the integer: equal to the verifier, but nobody writes the zeros."""
    is_integer = kind == "integer" and problem.gold.isdecimal()
    return replace(problem, gold=str(int(problem.gold))) if is_integer else problem
