"""The part of the public API about models and completions that are there already: evaluate, compare, judge, score.

As in `api`, every function imports what it needs when it is called, and returns a frozen record.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frugalrl.api_forecasting import Terms, forecasts
from frugalrl.api_in_process import evaluate_here, evaluation_page
from frugalrl.api_serving import Server, evaluate_served
from frugalrl.errors import DataError, OutputError, RecipeError
from frugalrl.results import CompareResult, EvaluateResult, RegradeResult, ScoreResult

if TYPE_CHECKING:
    from frugalrl.evaluation import benchmarking
    from frugalrl.evaluation.benchmark_loading import LoadedBenchmark
    from frugalrl.planning.forecast.evaluations import Forecast
    from frugalrl.rewards.given import Given

Show = Callable[[str], object]
"""Takes a line for people, e.g. ``print``."""
DATA_VARIABLE = "FRUGALRL_DATA"
"""The folder of shared data sets and benchmarks."""
_DATA_DEFAULT = "../shared/data"


def _silent(line: str) -> None:
    """Show nothing."""


def line_by_line(show: Show | None) -> Callable[[str], None]:
    """What `show` takes, or nothing. Raises RecipeError for what cannot be called."""
    if show is None:
        return _silent
    if not callable(show):
        raise RecipeError(f"show is {show!r}, which cannot be called. Give a function of one line, such as print.")
    return lambda line: (show(line), None)[1]


def as_path(out: str | Path | None) -> Path | None:
    """A path as such, if there is one."""
    return None if out is None else Path(out)


def evaluate(
    model: str | Path,
    bench: str | Sequence[str],
    *,
    preset: str | None = None,
    task: str | None = None,
    k: int | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    max_sequences: int = 32,
    dtype: Literal["float32", "bfloat16"] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    out: str | Path | None = None,
    server: "Server | str | None" = None,
    usd_per_hour: float | None = None,
    max_usd: float | None = None,
    mean_tokens: float | None = None,
    show: Show | None = None,
) -> EvaluateResult:
    """Accuracy of a model on benchmarks, with intervals.

    model: a folder in Hub layout or of a LoRA adapter, a Hub id, or ``builtin:tiny``.
    bench: names such as ``math500``, or the path of your own .jsonl; several as a list, or with commas between.
    preset: ask and sample as published: ``open-rs``. The settings after it win over it.
    task: what judges the rows of files (``maths``, ``code``, ``logic``, ``choice``); None: each row's columns decide.
    k: samples of each problem; None takes the benchmark's own number. max_tokens: of a completion.
    limit: only the first problems of each benchmark. dtype: None is bfloat16 on a GPU, else float32.
    out: folder of the results; None means ``evaluations/MODEL``. What is there already is not drawn again.
    server: an OpenAI-compatible server that has the model (a url, or `Server`); None loads it into this process, or
        into each of the processes that torchrun started, which then share the samples.
    usd_per_hour: of the machine, or of each of several GPUs: what it will cost is said before anything is sampled.
    max_usd: it ends where it has cost so much, and what is finished is kept. mean_tokens: of a completion, for the
        forecast.
    """
    (result,) = evaluate_each(
        (str(model),), bench, preset=preset, task=task, k=k, temperature=temperature, max_tokens=max_tokens,
        limit=limit, seed=seed, max_sequences=max_sequences, dtype=dtype, device=device, out=out, server=server,
        terms=Terms(usd_per_hour, max_usd, mean_tokens), show=show,
    )  # fmt: skip
    return result


def evaluate_each(
    models: Sequence[str],
    bench: str | Sequence[str],
    *,
    task: str | None,
    dtype: Literal["float32", "bfloat16"] | None,
    device: Literal["auto", "cpu", "cuda"],
    out: str | Path | None,
    server: "Server | str | None",
    terms: Terms,
    show: Show | None,
    **asked: Any,
) -> Iterator[EvaluateResult]:
    """`evaluate` for one model after the other. asked: the fields of `benchmarking.Settings`."""
    from frugalrl.evaluation import benchmarking
    from frugalrl.training.distributed.launch import launch_of

    settings = benchmarking.Settings(**asked)
    benchmarking.check_settings(settings)
    say = line_by_line(show)

    def load(note: Callable[[str], None]) -> "list[LoadedBenchmark]":
        return _benchmarks(bench, task, note)

    if server is None:
        yield from evaluate_here(models, load, settings, dtype, device, as_path(out), say, terms)
        return
    if (processes := launch_of(os.environ).size) > 1:
        raise RecipeError(
            f"A server spreads the work over its own GPUs, and {processes} processes were started to ask it. Evaluate "
            "it in one process: leave --processes or the launcher away."
        )
    benchmarks = load(say)
    for model in models:
        yield _evaluated_on_server(model, server, benchmarks, settings, as_path(out), say, terms)


def forecast_evaluation(
    model: str | Path,
    bench: str | Sequence[str],
    *,
    preset: str | None = None,
    task: str | None = None,
    k: int | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    limit: int | None = None,
    max_sequences: int = 32,
    out: str | Path | None = None,
    gpus: Sequence[str] = (),
    processes: int = 1,
    server: "Server | str | None" = None,
    usd_per_hour: float | None = None,
    mean_tokens: float | None = None,
) -> "list[tuple[str, Forecast]]":
    """What `evaluate` would take, before anything is sampled or loaded: a forecast for each card, by its name.

    Tokens, seconds and dollars have a likely value and a range; memory has a peak, and how many completions fit.
    Samples that lie in the results folder (out) are not counted.

    gpus: cards of the table of `plan`; by default five of them. processes: cards that share the evaluation.
    server: the forecast is of its tokens, and of their price if it has one; of time where gpus says what it runs on.
    The other arguments are those of `evaluate`. Raises UserError.
    """
    terms = Terms(usd_per_hour, None, mean_tokens)
    (found,) = forecast_each(
        (str(model),), bench, preset=preset, task=task, k=k, temperature=temperature, max_tokens=max_tokens,
        limit=limit, max_sequences=max_sequences, out=out, gpus=gpus, processes=processes, server=server, terms=terms,
    )  # fmt: skip
    return [(one.place or str(model), one) for one in found]


def forecast_each(
    models: Sequence[str],
    bench: str | Sequence[str],
    *,
    task: str | None,
    out: str | Path | None,
    gpus: Sequence[str],
    processes: int,
    server: "Server | str | None",
    terms: Terms,
    **asked: Any,
) -> "list[list[Forecast]]":
    """`forecast_evaluation` for each of several models, without names. asked: the fields of `benchmarking.Settings`."""
    from frugalrl.evaluation import benchmarking

    settings = benchmarking.Settings(**asked)
    benchmarking.check_settings(settings)
    prices = server.usd_per_million if isinstance(server, Server) else None
    benchmarks, folder = _benchmarks(bench, task, line_by_line(None)), as_path(out)
    about = terms, gpus, processes, prices, server is not None
    return [forecasts(model, benchmarks, settings, folder, *about) for model in models]


def _benchmarks(bench: str | Sequence[str], task: str | None, note: Callable[[str], None]) -> "list[LoadedBenchmark]":
    from frugalrl.evaluation.benchmarking import load_benchmarks

    names = bench.split(",") if isinstance(bench, str) else list(bench)
    return load_benchmarks(names, Path(os.environ.get(DATA_VARIABLE, _DATA_DEFAULT)), note, task)


def _evaluated_on_server(
    model: str,
    server: "Server | str",
    benchmarks: "Sequence[LoadedBenchmark]",
    settings: "benchmarking.Settings",
    out: Path | None,
    say: Callable[[str], None],
    terms: Terms,
) -> EvaluateResult:
    from frugalrl.evaluation import benchmarking
    from frugalrl.reporting.evaluation_text import scores_table

    folder = out or benchmarking.default_folder(model)
    asked = Server(server) if isinstance(server, str) else server
    scores = evaluate_served(model, asked, benchmarks, settings, folder, say, terms)
    page = evaluation_page(folder, model, scores)
    return EvaluateResult(folder, model, tuple(scores), scores_table(scores), page)


def compare(first: str | Path, second: str | Path | None = None, *, other_prompt: bool = False) -> CompareResult:
    """Whether the second model is better than the first on the same problems, problem by problem.

    Each is a folder or file that `evaluate` wrote, a run's folder, or a file of its `evaluations/`. A run alone is
    compared with its own base. other_prompt: compare though the two were asked in different words. Raises DataError for
    what is not there, or was measured on other problems or with another prompt.
    """
    from frugalrl.evaluation.comparing import compare as compare_measured
    from frugalrl.evaluation.measured_reader import read_first_and_last, read_measured
    from frugalrl.reporting.comparison_text import comparison_lines

    paths = [Path(one) for one in (first, second) if one is not None]
    for path in paths:
        if not path.exists():
            raise DataError(f"There is nothing at {path}. Name a run's folder, or what `frugalrl eval` wrote.")
    if second is None:
        base, trained = read_first_and_last(paths[0])
        names = f"{first}, its base", f"{first}, kept"
    else:
        base, trained = read_measured(paths[0]), read_measured(paths[1])
        names = str(first), str(second)
    comparisons = compare_measured(base, trained, other_prompt)
    return CompareResult(tuple(comparisons), *names, comparison_lines(comparisons, *names), paths[-1])


def regrade(
    path: str | Path,
    *,
    verifier: str = "frugalrl",
    several_boxes: Literal["last", "first", "refuse"] = "last",
    without_box: Literal["refuse", "stated"] = "refuse",
    cpu_seconds: float = 2.0,
    workers: int = 2,
    out: str | Path | None = None,
    in_place: bool = False,
    listed: int = 10,
) -> RegradeResult:
    """Judge every sample of an evaluation again, and say which verdicts change.

    path: a results file, a folder of them, or a run's folder.
    verifier: ``frugalrl``, ``math-verify`` as published, or the dotted path of a function of completion and gold that
        returns True, False or None.
    several_boxes, without_box: how answers are read; by default as training does.
    out: a folder for the files with the new verdicts; in_place: replace them. With neither nothing is written.
    listed: so many changed samples of a file are listed in `text`.
    """
    from frugalrl.evaluation import regrading
    from frugalrl.reporting.regrade_text import regraded_lines, summary_lines

    if out is not None and in_place:
        raise OutputError("out and in_place exclude each other. Give one of them, or neither.")
    settings = regrading.Settings(verifier, several_boxes, without_box, cpu_seconds, workers)
    regraded = [regrading.regrade(file, settings) for file in regrading.results_files(Path(path))]
    files = tuple(regrading.save(one, as_path(out)) for one in regraded) if out is not None or in_place else ()
    lines = [regraded_lines(one, listed) for one in regraded]
    lines += [summary_lines(regraded)] if len(regraded) > 1 else []
    lines += [f"Written: {', '.join(map(str, files))}"] if files else ["Nothing was written: give --out or --in-place."]
    return RegradeResult(tuple(regraded), files, "\n".join(lines))


# -------------------------------------------------------------------------------------------- verdicts, rewards


def score(
    completions: Any,
    *,
    rewards: "Sequence[Given]" = ("accuracy",),
    out: str | Path | None = None,
    without_box: Literal["stated", "refuse"] = "stated",
    several_boxes: Literal["last", "first", "refuse"] = "last",
    reasoning_open: bool = False,
    max_completion_tokens: int = 4096,
    cpu_seconds: float = 2.0,
    workers: int = 2,
    task: str | None = None,
    page: str | Path | None = None,
    show: Show | None = None,
) -> ScoreResult:
    """Verdicts and rewards of stored completions, as training would give them.

    completions: rows with `completion` and `gold` (a list of mappings, a pandas or datasets table), a JSONL, JSON,
        CSV or Parquet file of them, or a results file of `evaluate`. Rows that follow each other with the same
        `problem` are one group.
    rewards: as for `train`.
    out: a .jsonl file to write the scored rows to; for large files, which are then not held in memory.
    without_box, several_boxes, reasoning_open: as for `verify`. max_completion_tokens: bound of length rewards.
    task: what judges all rows (``maths``, ``code``, ``logic``, ``choice``); None: each row's columns decide.
    page: an .html file with the first 20,000 rows, to filter and read.
    show: takes a line of progress now and then.
    """
    from frugalrl.data.objects import rows_of
    from frugalrl.evaluation.completion_rows import completion_rows
    from frugalrl.files import atomic_write, refuse_overwriting
    from frugalrl.rewards.given import given_rewards
    from frugalrl.rewards.rubric import build_rubric
    from frugalrl.rewards.scoring import Tally, scored_rows
    from frugalrl.tasks.registry import task_named
    from frugalrl.verify.answers import AnswerPolicy
    from frugalrl.verify.workers.pool import VerifierPool

    if workers < 1 or not 0 < cpu_seconds < math.inf:
        raise DataError("A verifier needs a process and a time limit above 0. Change workers or cpu_seconds.")
    terms, functions = given_rewards(rewards)
    rubric = build_rubric(terms, max_completion_tokens, functions)
    rows = completion_rows(completions) if isinstance(completions, str | Path) else _numbered(rows_of(completions))
    if task is not None:
        task_named(task)
    policy = AnswerPolicy(several_boxes=several_boxes, without_box=without_box)
    tally, file = Tally(), as_path(out)
    if file is not None and isinstance(completions, str | Path):
        refuse_overwriting(file, [Path(completions)])
    with VerifierPool(workers, cpu_seconds, policy=policy) as pool:
        scored = _told(scored_rows(rows, rubric, pool, reasoning_open, tally, task), line_by_line(show))
        if file is None:
            kept = tuple(scored)
        else:
            kept = ()
            with atomic_write(file) as written:
                for row in scored:
                    written.write(json.dumps(row) + "\n")
    names = [term.name for term in terms]
    result = ScoreResult(file, kept, tally.shares() | tally.means(names), tally.summary(names))
    if page is not None:
        _score_page(Path(page), result, names, str(completions) if isinstance(completions, str | Path) else "rows")
    return result


def _score_page(page: Path, result: ScoreResult, rewards: Sequence[str], name: str) -> None:
    from frugalrl.data.sources import read_rows
    from frugalrl.reporting.pages import language, write_page
    from frugalrl.reporting.score_page import score_page

    rows = result.kept if result.file is None else (row for _, row in read_rows(result.file))
    write_page(page, score_page(name, rows, rewards, result.text, language()))


def _told(rows: "Iterator[dict[str, Any]]", say: Callable[[str], None]) -> "Iterator[dict[str, Any]]":
    """The same rows, with a line now and then."""
    from frugalrl.curation.progress import Progress

    tell = Progress("scoring", 0, say)
    for number, row in enumerate(rows, start=1):
        yield row
        tell(number)


def _numbered(rows: Any) -> "Iterator[tuple[str, Mapping[str, Any]]]":
    for number, row in enumerate(rows, start=1):
        yield f"row {number}", row
