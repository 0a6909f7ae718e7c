"""The public API: what the command line does, as functions. `import frugalrl` offers everything here.

Every function imports what it needs when it is called, raises `frugalrl.errors.UserError` with one sentence of what is
wrong and one of what to do, and returns a frozen record. docs/python-api.md shows each by example.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from frugalrl.api_data import example_keys, pool_keys, with_problems
from frugalrl.api_evaluation import DATA_VARIABLE as DATA_VARIABLE
from frugalrl.api_evaluation import Show, as_path, line_by_line
from frugalrl.api_evaluation import compare as compare
from frugalrl.api_evaluation import evaluate as evaluate
from frugalrl.api_evaluation import forecast_evaluation as forecast_evaluation
from frugalrl.api_evaluation import regrade as regrade
from frugalrl.api_evaluation import score as score
from frugalrl.errors import OutputError, RecipeError
from frugalrl.results import CurateResult, ReportResult, SftResult, TrainResult
from frugalrl.threads import settle_threads, threads_line

if TYPE_CHECKING:
    from frugalrl.config.curation_schema import CurationSpec
    from frugalrl.config.loading import Changes
    from frugalrl.config.schema import SftRecipe, TrainRecipe
    from frugalrl.config.section import Section
    from frugalrl.planning.doctor.finding import Examination
    from frugalrl.planning.forecast.plan import Plan
    from frugalrl.rewards.given import Given
    from frugalrl.training.distributed.world import World

    R = TypeVar("R", bound=Section)

Source = str | Path | Mapping[str, Any]
"""A recipe: a file, the name of a shipped one (``quickstart``, ``mini/open-rs3``), or its keys and values."""
Kind = Literal["train", "sft", "curate"]


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
    data: Any = None,
    rewards: "Sequence[Given] | None" = None,
    on_step: Callable[[dict[str, Any]], object] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    show: Show | None = None,
    ignore_doctor: bool = False,
) -> TrainResult:
    """Train with GRPO, and measure the gain on held-out problems.

    data: problems in place of the recipe's: a pandas, datasets, pyarrow or polars table or a list of rows to train on,
        or a mapping from `train`, `validation` and `test` to such. They are written to ``runs/data``, under a name that
        is a hash of them, and the saved recipe names the files.
    rewards: used in place of the recipe's. Each is a name, a function with TRL's signature (see `Reward`), a pair of
        either with its weight, or a section of a recipe: ``[*recipe.rewards, (brevity, 0.2)]`` adds one. The saved
        recipe names functions by their dotted path; to resume a run whose functions cannot be imported by it (those of
        a script or notebook), give them again.
    on_step: called after each step with its metrics by name, and `step`; what it returns is ignored.
    out: the run's folder; None means ``runs/NAME``, or the next free ``runs/NAME-2`` ...
    resume: from the newest checkpoint of that folder; without a folder from `training.mirror`, if there is one.
    show: takes the lines that `frugalrl train` prints; None is silent.
    ignore_doctor: start though the cheap checks of `doctor` are red; else that is a RecipeError.
    Ctrl-C (interrupt, in a notebook) ends the run after its step with a checkpoint, and the result has no summary.
    Raises UserError; after an error in a step, a checkpoint of the step before it is saved.
    """
    settle_threads()
    from frugalrl.planning.doctor.examine import checking
    from frugalrl.reporting.console import final_lines
    from frugalrl.reporting.line_log import logged, write_lines
    from frugalrl.reporting.report import report_runs
    from frugalrl.training import trainer
    from frugalrl.training.distributed.folder import open_shared_folder
    from frugalrl.training.distributed.group import join_world
    from frugalrl.training.distributed.world import only_main
    from frugalrl.training.hooks.callback import Callback
    from frugalrl.training.limits.signals import GracefulStop
    from frugalrl.training.mirror.mirror import Mirror
    from frugalrl.training.mirror.mirroring import Mirroring

    chosen, functions = _with_rewards(with_problems(_loaded(recipe, "train"), data), rewards)
    if on_step is not None and not callable(on_step):
        raise RecipeError(f"on_step is {on_step!r}, which cannot be called. Give a function of one mapping.")
    every_line, hooks = line_by_line(show), [] if on_step is None else [Callback(on_step)]
    stores: list[Any] = []  # of the first process
    resumes = partial(_resumes, chosen, stores, as_path(out), resume, every_line)
    with (
        join_world(chosen.distributed, chosen.model.device, chosen.devices) as world,
        open_shared_folder(world, chosen, as_path(out), world.main(resumes)) as opened,
        GracefulStop(_heard(every_line, world), world.size) as stop,
    ):
        say = _heard(logged(opened.path, every_line), world)
        say(f"{opened.message}\n{threads_line()}")
        with Mirroring(Mirror(opened.path, stores[0]) if stores else None, say) as copies:
            parts = (stop.requested, stop.evaluating, (*hooks, *copies.hooks), functions, world)
            summary = trainer.train(chosen, opened.path, opened.checkpoint, say, *parts, checking(say, ignore_doctor))
            if summary is not None:
                only_main(world, lambda: report_runs([opened.path], opened.path / "report.html"))
                only_main(world, lambda: write_lines(opened.path, final_lines(summary, str(opened.path))))
                copies.close()
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
    settle_threads()
    from frugalrl.planning.doctor.examine import examine

    chosen, functions = _with_rewards(_loaded(recipe, "train"), rewards)
    named = os.environ.get(DATA_VARIABLE)
    return examine(chosen, as_path(out), minutes, cheap, functions, as_path(named))


def plan(
    recipe: "TrainRecipe | Source",
    *,
    changes: "Changes" = (),
    gpus: Sequence[str] = (),
    usd_per_hour: float | Mapping[str, float] | None = None,
    measure: bool = False,
    tries: Sequence[Sequence[str]] = (),
    mean_tokens: float | None = None,
    lengths: str | None = None,
    instant: bool = False,
    processes: int | None = None,
) -> "list[tuple[str, Plan]]":
    """What a recipe needs and costs on cards of the table, or on this machine: a plan for each, by name.

    changes: as for `load_recipe`; only where the recipe is not loaded yet. usd_per_hour: of any card, or by its name.
    measure: this machine, by trying it for half
    a minute. tries: settings to compare, each a list of changes. mean_tokens: of a completion; lengths: a .jsonl file
    of completions with `tokens`; without either a stated prior. instant: memory from the closed formula alone, and not
    from the program's own code on fake tensors, which takes some seconds. processes: as many cards share the run, as
    with torchrun; by default as many as `devices.train` names, or one. Raises UserError.
    """
    settle_threads()
    from frugalrl.planning.forecast.planning import plans

    chosen = _loaded(load_recipe(recipe, changes) if changes else recipe, "train")  # type: ignore[arg-type]
    return plans(chosen, gpus, usd_per_hour, measure, tries, mean_tokens, lengths, instant, processes)


def sft(
    recipe: "SftRecipe | Source",
    *,
    data: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    show: Show | None = None,
) -> SftResult:
    """Supervised fine-tuning on prompts and completions, or a new model from scratch. Arguments as for `train`.

    data: examples in place of the recipe's phases: a table with `prompt` and `completion`, or `messages`, or a mapping
        from `train` and `validation` to such.
    """
    settle_threads()
    from frugalrl.reporting.line_log import logged
    from frugalrl.training.distributed.folder import open_shared_folder
    from frugalrl.training.distributed.group import join_world
    from frugalrl.training.limits.signals import GracefulStop
    from frugalrl.training.mirror.mirror import Mirror
    from frugalrl.training.mirror.mirroring import Mirroring
    from frugalrl.training.sft import run_sft

    if data is not None:
        recipe = _with_sections(recipe, "sft", example_keys(data))
    chosen, every_line = _loaded(recipe, "sft"), line_by_line(show)
    stores: list[Any] = []  # of the first process
    resumes = partial(_resumes, chosen, stores, as_path(out), resume, every_line)
    with (
        join_world(chosen.distributed, chosen.model.device) as world,
        open_shared_folder(world, chosen, as_path(out), world.main(resumes)) as opened,
        GracefulStop(_heard(every_line, world), world.size) as stop,
    ):
        say = _heard(logged(opened.path, every_line), world)
        say(f"{opened.message}\n{threads_line()}")
        with Mirroring(Mirror(opened.path, stores[0]) if stores else None, say) as copies:

            def stopping() -> bool:
                copies.tell()
                return stop.requested()

            model = run_sft(chosen, opened.path, opened.checkpoint, say, stopping, world)
            if model is not None:
                copies.close()
        return SftResult(opened.path, model)


def _resumes(
    recipe: "TrainRecipe | SftRecipe", stores: list[Any], out: Path | None, resume: bool, show: Callable[[str], None]
) -> bool:
    """Whether there is a run to resume, in its folder or in its mirror, whose store goes into `stores`."""
    from frugalrl.training.mirror.opening import open_store
    from frugalrl.training.mirror.taking_up import is_there_a_run

    if recipe.training.mirror is None:
        return resume
    stores.append(open_store(recipe.training.mirror))
    return is_there_a_run(recipe, stores[0], out, resume, show)


def _with_sections(source: Any, kind: Kind, sections: Mapping[str, Any]) -> Any:
    """A recipe, or what one is made of, with other sections; a mapping need not have them."""
    if isinstance(source, Mapping):
        return {**source, **sections}
    return change(_loaded(source, kind), sections)


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


def _heard(say: Callable[[str], None], world: "World") -> Callable[[str], None]:
    """Lines for people, of the first process only."""
    return say if world.rank == 0 else line_by_line(None)


# -------------------------------------------------------------------------------------------- what came of it


def curate(
    spec: "CurationSpec | Source",
    *,
    data: Any = None,
    out: str | Path | None = None,
    resume: bool = False,
    show: Show | None = None,
) -> CurateResult:
    """From raw pools of problems to a clean, difficulty-mixed set, and why each problem was kept or dropped.

    data: a table in place of the spec's only pool, or a mapping from names of pools to tables, in place of those or
        beside the others. They are written to ``curated/data``, under a name that is a hash of them.
    out: the folder; None means ``curated/NAME``. A run that was interrupted is finished with `resume`.
    """
    from frugalrl.curation.pipeline import curate as curate_in
    from frugalrl.curation.workspace import open_workspace

    if data is not None:
        spec = spec if isinstance(spec, Mapping) else _loaded(spec, "curate")
        keys = spec if isinstance(spec, Mapping) else spec.model_dump(mode="json", exclude_unset=True)
        spec = _with_sections(spec, "curate", pool_keys(keys, data))
    chosen = _loaded(spec, "curate")
    with open_workspace(chosen, as_path(out), resume) as workspace:
        return CurateResult(workspace.path, curate_in(chosen, workspace, line_by_line(show)))


def report(runs: str | Path | Sequence[str | Path], out: str | Path | None = None) -> ReportResult:
    """One HTML page and a Markdown card of a run, or of several over each other.

    out: the .html file; None means ``RUN/report.html``, or ``report.html`` here for several runs.
    """
    from frugalrl.reporting.report import report_runs

    folders = [Path(one) for one in ([runs] if isinstance(runs, str | Path) else runs)]
    if not folders:
        raise OutputError("A report is of runs, and none is named. Name one or more run folders.")
    page = as_path(out) or (folders[0] / "report.html" if len(folders) == 1 else Path("report.html"))
    return ReportResult(page, report_runs(folders, page), tuple(folders))
