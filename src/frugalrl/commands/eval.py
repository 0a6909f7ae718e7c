"""`frugalrl eval MODEL --bench aime24,math500`: accuracy on benchmarks, with its uncertainty.

Results go to a folder, a file for each benchmark, and are kept: the same command again draws nothing twice, a
larger --k draws only what is new, a killed one is resumed. The table shows what an accuracy alone would hide:
the interval, the truncated share, and answers without a verdict.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frugalrl.errors import DataError, ModelError

if TYPE_CHECKING:
    from frugalrl.evaluation.benchmark_loading import LoadedBenchmark
    from frugalrl.evaluation.benchmarks import Preset
    from frugalrl.evaluation.records import Subject
    from frugalrl.evaluation.results import ResultsHeader
    from frugalrl.evaluation.runner import Progress
    from frugalrl.evaluation.scores import BenchmarkScore
    from frugalrl.rollout.engine import SamplingParams
    from frugalrl.training.model.policy import Policy
    from frugalrl.types import Prompt

_DATA_VARIABLE = "FRUGALRL_DATA"
_DATA_DEFAULT = "../shared/data"
_PARENT = Path("evaluations")
_TEMPERATURE = 0.6
_TOP_P = 0.95
"""What the makers of R1-Distill recommend, and nearly everybody evaluates with."""
_STOPPED = 130


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "eval",
        help="accuracy of a model on benchmarks, with intervals; resumes where it stopped",
        description="Sample and judge k completions of each problem of some benchmarks. Results are kept in a folder: "
        "the same command again resumes where it was stopped, and a larger --k only adds samples.",
    )
    parser.add_argument("model", help="folder in Hub layout, Hub id, or builtin:tiny")
    parser.add_argument(
        "--bench",
        required=True,
        help="with commas between: aime24, aime25, math500, amc23, minerva, olympiadbench, gsm8k, arithmetic, or the "
        "path of your own .jsonl (problem, answer; or problems of code or logic)",
    )
    parser.add_argument("--preset", help="ask and sample as published: open-rs")
    parser.add_argument("--k", type=int, help="samples a problem (default: the benchmark's own, 1 to 16; greedy 1)")
    parser.add_argument("--temperature", type=float, help=f"0 is greedy (default: {_TEMPERATURE})")
    parser.add_argument("--max-tokens", type=int, help="of a completion (default: 4096, or what the context leaves)")
    parser.add_argument("--limit", type=int, help="only the first problems of each benchmark")
    parser.add_argument("--out", type=Path, help="folder of the results (default: evaluations/MODEL)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling (default: 0)")
    parser.add_argument("--max-sequences", type=int, default=32, help="completions in flight at once (default: 32)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: bfloat16 on a GPU, else float32")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: auto")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print the table. Raises UserErrors for what cannot be named, read, loaded or written."""
    from frugalrl.evaluation.benchmark_loading import load_benchmark
    from frugalrl.evaluation.benchmarks import preset_named
    from frugalrl.evaluation.results import refuse_other_results

    _check_numbers(arguments)
    preset = preset_named(arguments.preset) if arguments.preset else None
    folder = os.environ.get(_DATA_VARIABLE, _DATA_DEFAULT)
    names = list(dict.fromkeys(name.strip() for name in arguments.bench.split(",") if name.strip()))
    benchmarks = [load_benchmark(name, Path(folder)) for name in names]
    _refuse_one_name_twice(benchmarks)
    model = _load(arguments)
    runs = [_planned(model, benchmark, preset, arguments) for benchmark in benchmarks]
    for one in runs:
        refuse_other_results(model.out, one.header)
    try:
        rows = [(one.benchmark.name, _evaluated(model, one, arguments)) for one in runs]
    except KeyboardInterrupt:
        _show(f"\nStopped. What is finished is in {model.out}; the same command resumes from there.")
        return _STOPPED
    _show(table(rows))
    for line in (line for name, score in rows for line in remarks(name, score)):
        _show(line)
    _show(f"Results: {model.out}")
    return 0


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name in ("k", "max_tokens", "limit", "max_sequences"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            option = "--" + name.replace("_", "-")
            raise DataError(f"{option} is {value}, which leaves nothing to evaluate. Give {option} 1 or more.")
    if arguments.temperature is not None and not 0 <= arguments.temperature < float("inf"):
        raise DataError(f"--temperature is {arguments.temperature}. Give 0 (greedy) or a number above it.")
    if not arguments.bench.strip(" ,"):
        raise DataError("--bench names no benchmark. Give one or more, for example --bench math500,amc23.")


def _refuse_one_name_twice(benchmarks: Sequence["LoadedBenchmark"]) -> None:
    names = [benchmark.name for benchmark in benchmarks]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(
            f"Two benchmarks would write to {repeated}.jsonl. Rename one of the files, or evaluate one at a time."
        )


# ---------------------------------------------------------------------------------------------- before sampling


@dataclass(frozen=True)
class _Model:
    policy: "Policy"
    engine: Any
    name: str
    weights: str
    dtype: str
    device: str
    out: Path


@dataclass(frozen=True)
class _Planned:
    benchmark: "LoadedBenchmark"
    prompts: "tuple[Prompt, ...]"
    sampling: "SamplingParams"
    samples: int
    subject: "Subject"
    header: "ResultsHeader"


def _load(arguments: argparse.Namespace) -> _Model:
    from frugalrl.config.schema import ModelSettings, TorchEngineSettings
    from frugalrl.rollout.factory import build_engine
    from frugalrl.training.model.policy import load_policy, pick_device, weights_hash

    device = pick_device(arguments.device)
    dtype: Literal["float32", "bfloat16"] = arguments.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    policy = load_policy(ModelSettings(path=arguments.model, dtype=dtype, device=arguments.device))
    if policy.end_token_note is not None:
        _show(f"WARNING: {policy.end_token_note}")
    last = arguments.model.replace("builtin:", "").rstrip("/").split("/")[-1]
    return _Model(
        policy=policy,
        engine=build_engine(TorchEngineSettings(), policy.model, policy.end_token_ids, arguments.max_sequences),
        name=arguments.model,
        weights=weights_hash(policy),
        dtype=dtype,
        device=str(device),
        out=arguments.out or _PARENT / last,
    )


def _planned(
    model: _Model, benchmark: "LoadedBenchmark", preset: "Preset | None", arguments: argparse.Namespace
) -> _Planned:
    from frugalrl.config.schema import PromptSettings
    from frugalrl.data.fingerprint import joined_hash, prompt_hash
    from frugalrl.data.prompts import build_prompts
    from frugalrl.evaluation.benchmarks import DEFAULT_MAX_TOKENS
    from frugalrl.rollout.engine import SamplingParams

    templates = [preset.template] * len(benchmark.problems) if preset else list(benchmark.templates)
    settings = {template: PromptSettings(template=template) for template in dict.fromkeys(templates)}
    tokenizer, context = model.policy.tokenizer, model.policy.context_tokens
    prompts = [
        build_prompts(tokenizer, [problem], settings[template], max_prompt_tokens=context - 1)[0]
        for problem, template in zip(benchmark.problems, templates, strict=True)
    ]
    longest = max(len(prompt.token_ids) for prompt in prompts)
    wanted = arguments.max_tokens or (preset.max_completion_tokens if preset else None)
    if wanted is not None and longest + wanted > context:
        raise ModelError(
            f"A prompt of {longest} tokens and {wanted} of completion do not fit the {context} of {model.name}. "
            f"Give --max-tokens {context - longest} or less."
        )
    temperature = preset.temperature if preset else _TEMPERATURE
    sampling = SamplingParams(
        max_completion_tokens=wanted or min(DEFAULT_MAX_TOKENS, context - longest),
        temperature=temperature if arguments.temperature is None else arguments.temperature,
        top_p=preset.top_p if preset else _TOP_P,
    )
    asked = joined_hash([prompt_hash(tokenizer, one) for one in settings.values()])
    subject = _subject(model, benchmark.name, asked)
    return _Planned(
        benchmark=benchmark,
        prompts=tuple(prompts[: arguments.limit]),
        sampling=sampling,
        samples=arguments.k or (benchmark.samples if sampling.temperature > 0 else 1),
        subject=subject,
        header=_header(subject, benchmark.data_hash, sampling, arguments.seed),
    )


def _subject(model: _Model, benchmark: str, prompt_hash: str) -> "Subject":
    from frugalrl.evaluation.ledger import run_and_step_of
    from frugalrl.evaluation.records import Subject

    found = run_and_step_of(Path(model.name))
    step = None if found is None else found[1]
    return Subject(benchmark, model.name, step, model.weights, prompt_hash, model.dtype, model.device)


def _header(subject: "Subject", data_hash: str, sampling: "SamplingParams", seed: int) -> "ResultsHeader":
    from frugalrl.evaluation.results import header_of
    from frugalrl.evaluation.runner import verifier_limit_seconds

    return header_of(subject, data_hash, sampling, seed, verifier_limit_seconds())


# ---------------------------------------------------------------------------------------------------- sampling


def _evaluated(model: _Model, planned: _Planned, arguments: argparse.Namespace) -> "BenchmarkScore":
    from frugalrl.evaluation.results import ResultsWriter, results_path, session_of
    from frugalrl.evaluation.runner import run_benchmark
    from frugalrl.evaluation.scores import score

    benchmark = planned.benchmark
    path = results_path(model.out, benchmark.name)
    with ResultsWriter(path, planned.header, session_of(planned.subject)) as writer:
        _show(_opening_line(planned, len(writer.samples)))
        run_benchmark(
            model.engine,
            model.policy.tokenizer,
            planned.prompts,
            writer,
            planned.samples,
            planned.sampling,
            arguments.seed,
            chunk_samples=2 * arguments.max_sequences,
            on_progress=lambda progress: _show(progress_line(benchmark.name, progress)),
        )
        _note_in_the_runs_ledger(model, planned)
        return score(planned.prompts, writer.samples, planned.samples)


def _note_in_the_runs_ledger(model: _Model, planned: _Planned) -> None:
    """The run's report counts every look at one of its models, and its own test set under that name."""
    from frugalrl.evaluation.ledger import LEDGER_FILE, note_look, run_and_step_of
    from frugalrl.evaluation.run_splits import split_of_run

    found = run_and_step_of(Path(model.name))
    if found is None:
        return
    run, step = found
    split = split_of_run(run, [prompt.problem for prompt in planned.prompts], planned.header.data_hash)
    shape = (len(planned.prompts), planned.samples)
    note_look(run, split or planned.benchmark.name, step, shape, planned.header.data_hash, "eval")
    if split is not None:
        _show(
            f"{planned.benchmark.name} holds {split} problems of the run {run}: the look is noted in its {LEDGER_FILE}."
        )


def _opening_line(planned: _Planned, there: int) -> str:
    sampling = planned.sampling
    kept = f"; {there} samples are there already" if there else ""
    return (
        f"{planned.benchmark.name}: {len(planned.prompts)} problems x {planned.samples} from "
        f"{planned.benchmark.source}, temperature {sampling.temperature}, top_p {sampling.top_p}, at most "
        f"{sampling.max_completion_tokens} tokens{kept}"
    )


def progress_line(name: str, progress: "Progress") -> str:
    """What is said after each chunk."""
    from frugalrl.reporting.console import duration, percent

    truncated = percent(progress.truncated / progress.done)
    return (
        f"  {name} {progress.done}/{progress.total}  truncated {truncated}  {duration(progress.seconds)} elapsed, "
        f"about {duration(progress.eta_seconds)} remaining"
    )


def table(rows: "Sequence[tuple[str, BenchmarkScore]]") -> str:
    """The final table: a line for each benchmark; accuracies in percent, the minimum detectable effect in
    points."""
    from frugalrl.reporting.console import percent
    from frugalrl.reporting.console import table as lined_up

    heads = ("benchmark", "problems", "k", "avg@k", "95 % interval", "pass@k", "majority@k", "detectable")
    lines: list[tuple[str, ...]] = [(*heads, "truncated", "unknown", "tokens")]
    for name, score in rows:
        accuracy = score.accuracy
        lines.append(
            (
                name,
                str(score.problems),
                str(score.samples),
                f"{100 * accuracy.value:.1f}",
                f"[{100 * accuracy.ci_low:.1f}, {100 * accuracy.ci_high:.1f}]",
                *(f"{100 * share:.1f}" for share in (score.pass_at_k, score.majority_at_k)),
                f"{100 * score.smallest_effect:.1f}" if score.smallest_effect <= 1 else "none",
                percent(score.truncated_fraction),
                str(score.unknown),
                f"{score.mean_tokens:.0f}",
            )
        )
    return lined_up(lines)


def remarks(name: str, score: "BenchmarkScore") -> list[str]:
    """What the table cannot say."""
    said = []
    if score.are_copies:
        said.append(
            f"{name}: the {score.samples} samples of a problem are copies of one another (greedy sampling): they say "
            "no more than --k 1."
        )
    if score.smallest_effect > 1:
        said.append(
            f"{name}: no gain over this model would be detected with 80 % power: there are too few problems, or too "
            "few that it leaves unsolved."
        )
    return said


def _show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
