"""The public API: what the command line does, as functions. `import frugalrl` offers everything here.

Every function imports what it needs when it is called, raises `frugalrl.errors.UserError` with one sentence of what is
wrong and one of what to do, and returns a frozen record. docs/python-api.md shows each by example.
"""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from frugalrl.errors import DataError, OutputError, RecipeError
from frugalrl.results import (
    CompareResult,
    CurateResult,
    EvaluateResult,
    ReportResult,
    ScoreResult,
    SftResult,
    TrainResult,
)

if TYPE_CHECKING:
    from frugalrl.config.curation_schema import CurationSpec
    from frugalrl.config.loading import Changes
    from frugalrl.config.schema import SftRecipe, TrainRecipe
    from frugalrl.config.section import Section
    from frugalrl.evaluation import benchmarking
    from frugalrl.planning.doctor.finding import Examination
    from frugalrl.rewards.given import Given

    R = TypeVar("R", bound=Section)

Source = str | Path | Mapping[str, Any]
"""A recipe: a file, the name of a shipped one (``quickstart``, ``mini/open-rs3``), or its keys and values."""
Kind = Literal["train", "sft", "curate"]
Show = Callable[[str], object]
"""Takes a line for people, e.g. ``print``."""


DATA_VARIABLE = "FRUGALRL_DATA"
"""The folder of shared data sets and benchmarks."""
_DATA_DEFAULT = "../shared/data"


def _silent(line: str) -> None:
    """Show nothing."""


# ---------------------------------------------------------------------------------------------------- recipes


@overload
def load_recipe(source: Source, changes: "Changes" = ()) -> "TrainRecipe": ...
@overload
def load_recipe(source: Source, changes: "Changes" = (), *, kind: Literal["train"]) -> "TrainRecipe": ...
@overload
def load_recipe(source: Source, changes: "Changes" = (), *, kind: Literal["sft"]) -> "SftRecipe": ...
@overload
def load_recipe(source: Source, changes: "Changes" = (), *, kind: Literal["curate"]) -> "CurationSpec": ...


def load_recipe(source: Source, changes: "Changes" = (), *, kind: Kind = "train") -> "Section":
    """Read a recipe, change it, and validate it.

    changes: new values by dotted key, ``{"training.steps": 20, "rewards.0.weight": 2.0}``, or as on the command line,
        ``["training.steps=20"]``.
    kind: what it is a recipe for. Raises RecipeError, which names the wrong place and the nearest key.
    """
    from frugalrl.config.curation_schema import CurationSpec
    from frugalrl.config.loading import load_recipe as load
    from frugalrl.config.loading import recipe_from
    from frugalrl.config.schema import SftRecipe, TrainRecipe

    kinds: dict[str, type[Section]] = {"train": TrainRecipe, "sft": SftRecipe, "curate": CurationSpec}
    if kind not in kinds:
        raise RecipeError(f"There is no kind of recipe {kind!r}. Give kind as one of {', '.join(kinds)}.")
    if isinstance(source, Mapping):
        return recipe_from(source, kinds[kind], changes)
    if not isinstance(source, str | os.PathLike):
        raise RecipeError(
            f"A recipe cannot be read from {source!r}. Give a path, a shipped recipe's name or a mapping."
        )
    return load(source, kinds[kind], changes)


def change(recipe: "R", changes: "Changes") -> "R":
    """The recipe with other values, as `load_recipe` takes them, validated anew. The recipe itself stays as it is.

    A preset of an algorithm is applied when a recipe is read: give ``algorithm.preset`` to `load_recipe`.
    """
    from frugalrl.config.loading import change_recipe

    return change_recipe(recipe, changes)


# --------------------------------------------------------------------------------------------------- training


def train(
    recipe: "TrainRecipe | Source",
    *,
    rewards: "Sequence[Given] | None" = None,
    on_step: Callable[[dict[str, Any]], object] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    show: Show | None = None,
    ignore_doctor: bool = False,
) -> TrainResult:
    """Train with GRPO, and measure the gain on held-out problems.

    rewards: used in place of the recipe's. Each is a name, a function with TRL's signature (see `Reward`), a pair of
        either with its weight, or a section of a recipe: ``[*recipe.rewards, (brevity, 0.2)]`` adds one. The saved
        recipe names functions by their dotted path; to resume a run whose functions cannot be imported by it (those of
        a script or notebook), give them again.
    on_step: called after each step with its metrics by name, and `step`; what it returns is ignored.
    out: the run's folder; None means ``runs/NAME``, or the next free ``runs/NAME-2`` ...
    resume: from the newest checkpoint of that folder.
    show: takes the lines that `frugalrl train` prints; None is silent.
    ignore_doctor: start though the cheap checks of `doctor` before the first step are red; else that is a RecipeError.

    Ctrl-C (interrupt, in a notebook) ends the run after its step with a checkpoint, and the result has no summary.
    Raises UserError; after an error in a step, a checkpoint of the step before it is saved.
    """
    from frugalrl.planning.doctor.examine import before_start, refuse_red
    from frugalrl.reporting.report import report_runs
    from frugalrl.training import trainer
    from frugalrl.training.hooks.callback import Callback
    from frugalrl.training.limits.launcher import refuse_several_processes
    from frugalrl.training.limits.signals import GracefulStop
    from frugalrl.training.state.run_folder import open_run_folder

    chosen, functions = _with_rewards(_loaded(recipe, "train"), rewards)
    if on_step is not None and not callable(on_step):
        raise RecipeError(f"on_step is {on_step!r}, which cannot be called. Give a function of one mapping.")
    refuse_several_processes(os.environ)
    say = _line_by_line(show)
    hooks = [] if on_step is None else [Callback(on_step)]
    with open_run_folder(chosen, _path(out), resume) as opened, GracefulStop(say) as stop:
        say(opened.message)
        summary = trainer.train(
            chosen,
            opened.path,
            opened.checkpoint,
            say,
            stop.requested,
            stop.evaluating,
            hooks,
            functions,
            before_start=lambda run: refuse_red(before_start(run), say, ignore_doctor),
        )
        if summary is not None:
            report_runs([opened.path], opened.path / "report.html")
        return TrainResult(opened.path, summary)


def doctor(
    recipe: "TrainRecipe | Source",
    *,
    rewards: "Sequence[Given] | None" = None,
    out: str | Path | None = None,
    minutes: float = 3.0,
    cheap: bool = False,
) -> "Examination":
    """Examine a recipe before it costs anything: `reds` are what would keep it from learning, each with its fix.

    rewards: as for `train`. out: the folder that the run would have. minutes: how long sampling may take. cheap: no
    samples, and no update is tried. Raises RecipeError for a recipe that cannot be read, and nothing else.
    """
    from frugalrl.planning.doctor.examine import examine

    chosen, functions = _with_rewards(_loaded(recipe, "train"), rewards)
    folder = Path(os.environ.get(DATA_VARIABLE, _DATA_DEFAULT))
    return examine(chosen, _path(out), minutes, cheap, functions, folder)


def sft(
    recipe: "SftRecipe | Source", *, out: str | Path | None = None, resume: bool = False, show: Show | None = None
) -> SftResult:
    """Supervised fine-tuning on prompts and completions, or a new model from scratch. Arguments as for `train`."""
    from frugalrl.training.limits.launcher import refuse_several_processes
    from frugalrl.training.limits.signals import GracefulStop
    from frugalrl.training.sft import run_sft
    from frugalrl.training.state.run_folder import open_run_folder

    chosen = _loaded(recipe, "sft")
    refuse_several_processes(os.environ)
    say = _line_by_line(show)
    with open_run_folder(chosen, _path(out), resume) as opened, GracefulStop(say) as stop:
        say(opened.message)
        return SftResult(opened.path, run_sft(chosen, opened.path, opened.checkpoint, say, stop.requested))


def _with_rewards(
    recipe: "TrainRecipe", rewards: "Sequence[Given] | None"
) -> "tuple[TrainRecipe, dict[str, Callable[..., Any]]]":
    from frugalrl.rewards.given import given_rewards

    if rewards is None:
        return recipe, {}
    terms, functions = given_rewards(rewards)
    return change(recipe, {"rewards": list(terms)}), functions


@overload
def _loaded(recipe: "TrainRecipe | Source", kind: Literal["train"]) -> "TrainRecipe": ...
@overload
def _loaded(recipe: "SftRecipe | Source", kind: Literal["sft"]) -> "SftRecipe": ...
@overload
def _loaded(recipe: "CurationSpec | Source", kind: Literal["curate"]) -> "CurationSpec": ...


def _loaded(recipe: Any, kind: Kind) -> Any:
    """A recipe as it is, or read."""
    from frugalrl.config.curation_schema import CurationSpec
    from frugalrl.config.schema import SftRecipe, TrainRecipe

    kinds: dict[type, Kind] = {TrainRecipe: "train", SftRecipe: "sft", CurationSpec: "curate"}
    found = kinds.get(type(recipe))
    if found is None:
        return load_recipe(recipe, kind=kind)
    if found != kind:
        raise RecipeError(f"{recipe.name} is a recipe for {found}(). Give {kind}() one of its own kind.")
    return recipe


def _line_by_line(show: Show | None) -> Callable[[str], None]:
    if show is None:
        return _silent
    if not callable(show):
        raise RecipeError(f"show is {show!r}, which cannot be called. Give a function of one line, such as print.")
    return lambda line: (show(line), None)[1]


def _path(out: str | Path | None) -> Path | None:
    return None if out is None else Path(out)


# -------------------------------------------------------------------------------------------- what came of it


def evaluate(
    model: str | Path,
    bench: str | Sequence[str],
    *,
    preset: str | None = None,
    k: int | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    max_sequences: int = 32,
    dtype: Literal["float32", "bfloat16"] | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    out: str | Path | None = None,
    show: Show | None = None,
) -> EvaluateResult:
    """Accuracy of a model on benchmarks, with intervals.

    model: a folder in Hub layout, a Hub id, or ``builtin:tiny``.
    bench: names such as ``math500``, or the path of your own .jsonl; several as a list, or with commas between.
    preset: ask and sample as published: ``open-rs``. The settings after it win over it.
    k: samples of each problem; None takes the benchmark's own number. max_tokens: of a completion.
    limit: only the first problems of each benchmark. dtype: None is bfloat16 on a GPU, else float32.
    out: folder of the results; None means ``evaluations/MODEL``. What is there already is not drawn again.
    """
    from frugalrl.evaluation import benchmarking
    from frugalrl.reporting.evaluation_text import opening_line, progress_line, scores_table

    settings = benchmarking.Settings(preset, k, temperature, max_tokens, limit, seed, max_sequences)
    benchmarking.check_settings(settings)
    names = bench.split(",") if isinstance(bench, str) else list(bench)
    benchmarks = benchmarking.load_benchmarks(names, Path(os.environ.get(DATA_VARIABLE, _DATA_DEFAULT)))
    say = _line_by_line(show)
    loaded = _loaded_model(str(model), dtype, device, max_sequences, _path(out), say)
    plans = [benchmarking.plan(loaded, one, settings) for one in benchmarks]
    scores = []
    for planned in plans:
        score = benchmarking.carry_out(
            loaded,
            planned,
            settings,
            on_start=lambda planned, there: say(opening_line(planned, there)),
            on_progress=lambda planned, progress: say(progress_line(planned.benchmark.name, progress)),
            on_note=say,
        )
        scores.append((planned.benchmark.name, score))
    return EvaluateResult(loaded.folder, loaded.name, tuple(scores), scores_table(scores))


def _loaded_model(
    name: str,
    dtype: Literal["float32", "bfloat16"] | None,
    device: Literal["auto", "cpu", "cuda"],
    max_sequences: int,
    folder: Path | None,
    say: Callable[[str], None],
) -> "benchmarking.Model":
    from frugalrl.config.schema import ModelSettings, TorchEngineSettings
    from frugalrl.evaluation import benchmarking
    from frugalrl.rollout.factory import build_engine
    from frugalrl.training.model.policy import load_policy, pick_device, weights_hash

    found = pick_device(device)
    kept: Literal["float32", "bfloat16"] = dtype or ("bfloat16" if found.type == "cuda" else "float32")
    policy = load_policy(ModelSettings(path=name, dtype=kept, device=device))
    if policy.end_token_note is not None:
        say(f"WARNING: {policy.end_token_note}")
    return benchmarking.Model(
        name=name,
        tokenizer=policy.tokenizer,
        context_tokens=policy.context_tokens,
        engine=build_engine(TorchEngineSettings(), policy.model, policy.end_token_ids, max_sequences),
        weights=weights_hash(policy),
        dtype=kept,
        device=str(found),
        folder=folder or benchmarking.default_folder(name),
    )


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


def curate(
    spec: "CurationSpec | Source", *, out: str | Path | None = None, resume: bool = False, show: Show | None = None
) -> CurateResult:
    """From raw pools of problems to a clean, difficulty-mixed set, and why each problem was kept or dropped.

    out: the folder; None means ``curated/NAME``. A run that was interrupted is finished with `resume`.
    """
    from frugalrl.curation.pipeline import curate as curate_in
    from frugalrl.curation.workspace import open_workspace

    chosen = _loaded(spec, "curate")
    with open_workspace(chosen, _path(out), resume) as workspace:
        return CurateResult(workspace.path, curate_in(chosen, workspace, _line_by_line(show)))


def report(runs: str | Path | Sequence[str | Path], out: str | Path | None = None) -> ReportResult:
    """One HTML page and a Markdown card of a run, or of several over each other.

    out: the .html file; None means ``RUN/report.html``, or ``report.html`` here for several runs.
    """
    from frugalrl.reporting.report import report_runs

    folders = [Path(one) for one in ([runs] if isinstance(runs, str | Path) else runs)]
    if not folders:
        raise OutputError("A report is of runs, and none is named. Name one or more run folders.")
    page = _path(out) or (folders[0] / "report.html" if len(folders) == 1 else Path("report.html"))
    return ReportResult(page, report_runs(folders, page), tuple(folders))


# -------------------------------------------------------------------------------------------- verdicts, rewards


def score(
    completions: str | Path | Sequence[Mapping[str, Any]],
    *,
    rewards: "Sequence[Given]" = ("accuracy",),
    out: str | Path | None = None,
    without_box: Literal["stated", "refuse"] = "stated",
    several_boxes: Literal["last", "first", "refuse"] = "last",
    reasoning_open: bool = False,
    max_completion_tokens: int = 4096,
    cpu_seconds: float = 2.0,
    workers: int = 2,
) -> ScoreResult:
    """Verdicts and rewards of stored completions, as training would give them.

    completions: rows with `completion` and `gold`, or a .jsonl or .parquet file of them (.gz too). Rows that follow
        each other with the same `problem` are one group.
    rewards: as for `train`.
    out: a .jsonl file to write the scored rows to; for large files, which are then not held in memory.
    without_box, several_boxes, reasoning_open: as for `verify`. max_completion_tokens: bound of length rewards.
    """
    from frugalrl.data.sources import read_rows
    from frugalrl.files import atomic_write
    from frugalrl.rewards.given import given_rewards
    from frugalrl.rewards.rubric import build_rubric
    from frugalrl.rewards.scoring import Tally, scored_rows
    from frugalrl.verify.answers import AnswerPolicy
    from frugalrl.verify.workers.pool import VerifierPool

    if workers < 1 or not 0 < cpu_seconds < math.inf:
        raise DataError("A verifier needs a process and a time limit above 0. Change workers or cpu_seconds.")
    terms, functions = given_rewards(rewards)
    rubric = build_rubric(terms, max_completion_tokens, functions)
    rows = read_rows(Path(completions)) if isinstance(completions, str | Path) else _numbered(completions)
    policy = AnswerPolicy(several_boxes=several_boxes, without_box=without_box)
    tally, file = Tally(), _path(out)
    with VerifierPool(workers, cpu_seconds, policy=policy) as pool:
        scored = scored_rows(rows, rubric, pool, reasoning_open, tally)
        if file is None:
            kept = tuple(scored)
        else:
            kept = ()
            with atomic_write(file) as written:
                for row in scored:
                    written.write(json.dumps(row) + "\n")
    names = [term.name for term in terms]
    return ScoreResult(file, kept, tally.shares() | tally.means(names), tally.summary(names))


def _numbered(rows: Any) -> "Iterator[tuple[str, Mapping[str, Any]]]":
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"Row {number} is {row!r}. Give mappings, such as {{'completion': ..., 'gold': ...}}.")
        yield f"row {number}", row
