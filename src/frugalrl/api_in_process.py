"""`evaluate` for models in this process, or in several of torchrun or `--processes`: what the public API does."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frugalrl.results import EvaluateResult

if TYPE_CHECKING:
    from frugalrl.api_forecasting import Terms
    from frugalrl.evaluation.benchmark_loading import LoadedBenchmark
    from frugalrl.evaluation.benchmarking import Model, Plan, Settings
    from frugalrl.evaluation.runner import Progress
    from frugalrl.evaluation.scores import BenchmarkScore
    from frugalrl.training.distributed.world import World

Say = Callable[[str], None]
_RESUME = "What is finished is kept: the same command resumes."
_DAY_SECONDS = 86400.0
"""A process that has done its part of a round waits for the slowest answer of the others. A lost one shows at once."""


def evaluate_here(
    models: Sequence[str],
    load: "Callable[[Say], list[LoadedBenchmark]]",
    settings: "Settings",
    dtype: Literal["float32", "bfloat16"] | None,
    device: Literal["auto", "cpu", "cuda"],
    out: Path | None,
    say: Say,
    terms: "Terms",
) -> Iterator[EvaluateResult]:
    """One model after the other; with several processes each yields the same. load: reads the benchmarks.

    Raises UserError.
    """
    from frugalrl.config.distributed_schema import DistributedSettings
    from frugalrl.training.distributed.group import join_world
    from frugalrl.training.distributed.placement import own_part

    with join_world(DistributedSettings(timeout_seconds=_DAY_SECONDS), device, resume=_RESUME) as world:
        heard = say if world.rank == 0 else _unheard
        benchmarks = own_part(world, lambda: load(heard))
        for name in models:
            loaded = own_part(world, partial(_loaded_model, name, dtype, device, settings, out, heard))
            yield _evaluated(world, loaded, benchmarks, settings, heard, terms)


def _unheard(line: str) -> None:
    """Of several processes the first one speaks."""


def _evaluated(
    world: "World",
    loaded: "Model",
    benchmarks: "Sequence[LoadedBenchmark]",
    settings: "Settings",
    say: Say,
    terms: "Terms",
) -> EvaluateResult:
    from frugalrl.api_forecasting import Meter, foretell_here
    from frugalrl.evaluation import benchmarking
    from frugalrl.reporting.evaluation_text import opening_line, scores_table
    from frugalrl.reporting.summary import versions
    from frugalrl.training.distributed.agreement import refuse_disagreement
    from frugalrl.training.distributed.evaluation import SharedEvaluation
    from frugalrl.training.distributed.placement import own_part
    from frugalrl.training.distributed.world import only_main

    plans = own_part(world, lambda: [benchmarking.plan(loaded, one, settings) for one in benchmarks])
    if world.size > 1:
        refuse_disagreement(world, {"model": loaded.weights, **_asked(plans), **versions()})
        say(f"{world.size} processes share the work.")
    elif (idle := _idle_gpus(loaded.device)) > 0:
        say(f"{idle + 1} GPUs are here and 1 is used: --processes {idle + 1} shares the work among them.")
    meter = Meter(foretell_here(world, loaded, plans, settings, terms, say), terms.max_usd)

    def told(planned: "Plan", progress: "Progress") -> None:
        say(meter.line(planned, progress))
        if terms.max_usd is not None:
            only_main(world, lambda: meter.refuse_more(progress))

    scores = []
    for planned in plans:
        score = benchmarking.carry_out(
            loaded,
            planned,
            settings,
            on_start=lambda planned, there: say(opening_line(planned, there)),
            on_progress=told,
            on_note=say,
            **({"sharing": SharedEvaluation(world)} if world.size > 1 else {}),
        )
        scores.append((planned.benchmark.name, score))
    page = Path(world.main(lambda: str(evaluation_page(loaded.folder, loaded.name, scores))))
    return EvaluateResult(loaded.folder, loaded.name, tuple(scores), scores_table(scores), page)


def _asked(plans: "Sequence[Plan]") -> dict[str, str]:
    """What must be the same in every process, by what a person calls it."""
    return {
        f"{what} of {one.benchmark.name}": value
        for one in plans
        for what, value in (("data", one.header.data_hash), ("prompt", one.header.prompt_hash))
    }


def _idle_gpus(device: str) -> int:
    import torch

    return torch.cuda.device_count() - 1 if device == "cuda" else 0


def evaluation_page(folder: Path, name: str, scores: "Sequence[tuple[str, BenchmarkScore]]") -> Path:
    """Write the page of all benchmarks that were asked for."""
    from frugalrl.evaluation.results import results_path
    from frugalrl.reporting.evaluation_text import remarks
    from frugalrl.reporting.pages import PAGE, evaluated, write_evaluation_page

    files = [results_path(folder, benchmark) for benchmark, _ in scores]
    said = [line for benchmark, score in scores for line in remarks(benchmark, score)]
    return write_evaluation_page(folder / PAGE, [evaluated(name, files)], said)


def _loaded_model(
    name: str,
    dtype: Literal["float32", "bfloat16"] | None,
    device: Literal["auto", "cpu", "cuda"],
    settings: "Settings",
    folder: Path | None,
    say: Say,
) -> "Model":
    from frugalrl.config.engine_schema import TorchEngineSettings
    from frugalrl.config.schema import ModelSettings
    from frugalrl.evaluation import benchmarking
    from frugalrl.rollout.factory import build_engine
    from frugalrl.training.model.kernels import ready_kernels
    from frugalrl.training.model.loading import load_sampled
    from frugalrl.training.model.policy import pick_device, weights_hash

    found = pick_device(device)
    kept: Literal["float32", "bfloat16"] = dtype or ("bfloat16" if found.type == "cuda" else "float32")
    policy = load_sampled(ModelSettings(path=name, dtype=kept, device=device))
    if policy.end_token_note is not None:
        say(f"WARNING: {policy.end_token_note}")
    ready_kernels(policy, say)
    return benchmarking.Model(
        name=name,
        tokenizer=policy.tokenizer,
        context_tokens=policy.context_tokens,
        engine=build_engine(TorchEngineSettings(), policy.model, policy.end_token_ids, settings.max_sequences),
        weights=weights_hash(policy),
        dtype=kept,
        device=str(found),
        folder=folder or benchmarking.default_folder(name),
        config=policy.model.config,
    )
