"""A model on benchmarks: what is asked and drawn is settled first, then each benchmark is sampled, judged and kept.

Results go to a folder, a file for each benchmark: the same settings again draw nothing twice, a larger k draws
only what is new, and what was killed is resumed. The model is loaded by the caller.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.schema import PromptSettings
from frugalrl.data.fingerprint import joined_hash, prompt_hash
from frugalrl.data.prompts import build_prompts
from frugalrl.errors import DataError, ModelError
from frugalrl.evaluation.benchmark_loading import LoadedBenchmark, load_benchmark
from frugalrl.evaluation.benchmarks import Preset, preset_named
from frugalrl.evaluation.ledger import LEDGER_FILE, note_look, run_and_step_of
from frugalrl.evaluation.records import Subject
from frugalrl.evaluation.results import (
    ResultsHeader,
    header_of,
    refuse_other_results,
    results_path,
    session_of,
)
from frugalrl.evaluation.run_splits import split_of_run
from frugalrl.evaluation.runner import Progress, run_benchmark, verifier_limit_seconds
from frugalrl.evaluation.scores import BenchmarkScore, score
from frugalrl.evaluation.sharing import IN_ONE_PROCESS, Sharing
from frugalrl.rollout.engine import RolloutEngine, SamplingParams
from frugalrl.tasks.judging import compares_answers
from frugalrl.types import Prompt

DEFAULT_TEMPERATURE = 0.6
DEFAULT_TOP_P = 0.95
"""What the makers of R1-Distill recommend, and nearly everybody evaluates with."""
_PARENT = Path("evaluations")


@dataclass(frozen=True)
class Settings:
    """How a model is asked; None stands for the preset's, or else the benchmark's own value."""

    preset: str | None = None
    """Ask and sample as published: ``open-rs``."""
    k: int | None = None
    """Samples of each problem."""
    temperature: float | None = None
    """0 is greedy."""
    max_tokens: int | None = None
    """Of a completion."""
    limit: int | None = None
    """Only the first problems of each benchmark."""
    seed: int = 0
    max_sequences: int = 32
    """Completions in flight at once."""


@dataclass(frozen=True)
class Model:
    """A model that is loaded, and where its results go."""

    name: str
    """As the user gave it."""
    tokenizer: Any
    context_tokens: int
    engine: RolloutEngine
    weights: str
    """Their hash."""
    dtype: str
    device: str
    folder: Path
    config: Any = None
    """Its configuration, of transformers."""


@dataclass(frozen=True)
class Plan:
    """One benchmark, ready to be sampled."""

    benchmark: LoadedBenchmark
    prompts: tuple[Prompt, ...]
    sampling: SamplingParams
    samples: int
    """k"""
    subject: Subject
    header: ResultsHeader


def check_settings(settings: Settings) -> None:
    """Raise DataError for a number that makes no sense, or a preset that there is not."""
    if settings.preset is not None:
        preset_named(settings.preset)
    for name in ("k", "max_tokens", "limit", "max_sequences"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise DataError(f"{name} is {value}, which leaves nothing to evaluate. Give 1 or more.")
    if settings.temperature is not None and not 0 <= settings.temperature < math.inf:
        raise DataError(f"temperature is {settings.temperature}. Give 0 (greedy) or a number above it.")


def load_benchmarks(
    names: Sequence[str],
    data_folder: Path,
    note: Callable[[str], None] = lambda line: None,
    task: str | None = None,
) -> list[LoadedBenchmark]:
    """Each benchmark once, in order; paths before what is fetched.

    note: is told which columns were guessed. task: what judges the rows of files.

    Raises DataError if one cannot be read, or two would be kept under one name.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    for name in wanted:
        if "/" in name and not Path(name).expanduser().exists():
            raise DataError(f"There is no benchmark file at {name}. Check the path.")
    if not wanted:
        raise DataError("bench names no benchmark. Give one or more, for example math500,amc23.")
    benchmarks = [load_benchmark(name, data_folder, note, task) for name in wanted]
    called = [benchmark.name for benchmark in benchmarks]
    repeated = next((name for name in called if called.count(name) > 1), None)
    if repeated is not None:
        raise DataError(
            f"Two benchmarks would write to {repeated}.jsonl. Rename one of the files, or evaluate one at a time."
        )
    return benchmarks


def default_folder(model: str) -> Path:
    """Where a model's results go where nobody says."""
    return _PARENT / model.replace("builtin:", "").rstrip("/").split("/")[-1]


def plan(model: Model, benchmark: LoadedBenchmark, settings: Settings) -> Plan:
    """Raises ModelError if a prompt and its completion do not fit the model, OutputError for another's results."""
    templates, asked = templates_of(benchmark, settings)
    prompts = [
        build_prompts(model.tokenizer, [problem], asked[template], max_prompt_tokens=model.context_tokens - 1)[0]
        for problem, template in zip(benchmark.problems, templates, strict=True)
    ]
    longest = max(len(prompt.token_ids) for prompt in prompts)
    preset = preset_of(settings)
    wanted = settings.max_tokens or (preset.max_completion_tokens if preset else None)
    if wanted is not None and longest + wanted > model.context_tokens:
        raise ModelError(
            f"A prompt of {longest} tokens and {wanted} of completion do not fit the {model.context_tokens} of "
            f"{model.name}. Give max_tokens {model.context_tokens - longest} or less."
        )
    sampling = sampling_of(settings, wanted or min(benchmark.max_tokens, model.context_tokens - longest))
    subject = _subject(model, benchmark, joined_hash([prompt_hash(model.tokenizer, one) for one in asked.values()]))
    header = header_of(subject, benchmark.data_hash, sampling, settings.seed, verifier_limit_seconds())
    refuse_other_results(model.folder, header)
    samples = settings.k or (benchmark.samples if sampling.temperature > 0 else 1)
    return Plan(benchmark, tuple(prompts[: settings.limit]), sampling, samples, subject, header)


def preset_of(settings: Settings) -> Preset | None:
    """The published setting that was asked for, if any. Raises DataError for one that there is not."""
    return preset_named(settings.preset) if settings.preset else None


def templates_of(benchmark: LoadedBenchmark, settings: Settings) -> tuple[list[str], dict[str, PromptSettings]]:
    """The query template of each problem, and the settings of each distinct one; a preset is for compared answers."""
    preset = preset_of(settings)
    templates = [
        preset.template if preset and compares_answers(problem) else template
        for problem, template in zip(benchmark.problems, benchmark.templates, strict=True)
    ]
    return templates, {template: PromptSettings(template=template) for template in dict.fromkeys(templates)}


def sampling_of(settings: Settings, max_completion_tokens: int) -> SamplingParams:
    """What is asked for, or else the preset's, or else what nearly everybody evaluates with."""
    preset = preset_of(settings)
    temperature = preset.temperature if preset else DEFAULT_TEMPERATURE
    return SamplingParams(
        max_completion_tokens=max_completion_tokens,
        temperature=temperature if settings.temperature is None else settings.temperature,
        top_p=preset.top_p if preset else DEFAULT_TOP_P,
    )


def _subject(model: Model, benchmark: LoadedBenchmark, asked: str) -> Subject:
    found = run_and_step_of(Path(model.name))
    step = None if found is None else found[1]
    return Subject(benchmark.name, model.name, step, model.weights, asked, model.dtype, model.device, benchmark.source)


def carry_out(
    model: Model,
    planned: Plan,
    settings: Settings,
    on_start: Callable[[Plan, int], None],
    on_progress: Callable[[Plan, Progress], None],
    on_note: Callable[[str], None],
    sharing: Sharing = IN_ONE_PROCESS,
) -> BenchmarkScore:
    """Draw and judge what is not kept yet.

    on_start: gets the samples that are kept already. sharing: the processes that do it together. Raises OutputError for
    a folder that cannot be written.
    """
    path = results_path(model.folder, planned.benchmark.name)
    with sharing.open(path, planned.header, session_of(planned.subject)) as writer:
        on_start(planned, len(writer.samples))
        run_benchmark(
            model.engine,
            model.tokenizer,
            planned.prompts,
            writer,
            planned.samples,
            planned.sampling,
            settings.seed,
            chunk_samples=2 * settings.max_sequences,
            on_progress=lambda progress: on_progress(planned, progress),
            sharing=sharing,
        )
        note = sharing.main(lambda: _note_in_the_runs_ledger(model, planned))
        if note is not None:
            on_note(note)
        return score(planned.prompts, writer.samples, planned.samples, planned.sampling.max_completion_tokens)


def _note_in_the_runs_ledger(model: Model, planned: Plan) -> str | None:
    """The run's report counts every look at one of its models, and at its own test set under that name.

    Returns a line for people where the benchmark holds problems of the run itself.
    """
    found = run_and_step_of(Path(model.name))
    if found is None:
        return None
    run, step = found
    split = split_of_run(run, [prompt.problem for prompt in planned.prompts], planned.header.data_hash)
    shape = (len(planned.prompts), planned.samples)
    note_look(run, split or planned.benchmark.name, step, shape, planned.header.data_hash, "eval")
    if split is None:
        return None
    return f"{planned.benchmark.name} holds {split} problems of the run {run}: the look is noted in its {LEDGER_FILE}."
