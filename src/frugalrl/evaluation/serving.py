"""A server's model on benchmarks: the same plans, results files and seeds as in process, filled as replies arrive."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.schema import PromptSettings
from frugalrl.data.fingerprint import joined_hash, prompt_hash
from frugalrl.data.prompts import messages_for, render
from frugalrl.errors import DataError
from frugalrl.evaluation.benchmark_loading import LoadedBenchmark
from frugalrl.evaluation.benchmarking import Plan, Settings, preset_of, sampling_of, templates_of
from frugalrl.evaluation.records import SampleRecord, Subject, record_of
from frugalrl.evaluation.results import ResultsWriter, header_of, refuse_other_results, results_path, session_of
from frugalrl.evaluation.runner import Progress, verifier_limit_seconds
from frugalrl.evaluation.scores import BenchmarkScore, score
from frugalrl.evaluation.text_server import REFUSED, Asked, Reply, TextServer
from frugalrl.rollout.collect import completion_seed
from frugalrl.tasks.judging import judge_groups
from frugalrl.types import Completion, Problem, Prompt, RolloutGroup

_CHARS_PER_TOKEN = 3.5
"""Where a server does not count: of English with mathematics, roughly."""
_PROMPT_TOKENS = 2048
"""Left for the prompt where the server states its context."""
_JUDGED_AT_ONCE = 16


@dataclass(frozen=True)
class Served:
    """A server's model, and where its results go."""

    server: TextServer
    tokenizer: Any
    """For ``completions`` and ``tokens``; None for ``chat``."""
    folder: Path
    reasoning_open: bool = False
    """Whether the server's template opens ``<think>``, which a chat server does not tell."""
    usd_per_million: tuple[float, float] | None = None
    """Dollars for a million tokens of prompts, and of completions."""


@dataclass(frozen=True)
class Spent:
    """What the samples of one start took."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


def plan_served(model: Served, benchmark: LoadedBenchmark, settings: Settings, context: int | None) -> Plan:
    """As `benchmarking.plan`; the server refuses what does not fit. Raises OutputError for another's results."""
    templates, asked = templates_of(benchmark, settings)
    preset = preset_of(settings)
    prompts = [
        _prompt(model, problem, asked[template])
        for problem, template in zip(benchmark.problems, templates, strict=True)
    ]
    default = preset.max_completion_tokens if preset else benchmark.max_tokens
    if context is not None:
        default = min(default, max(1, context - _PROMPT_TOKENS))
    sampling = sampling_of(settings, settings.max_tokens or default)
    header = header_of(
        _subject(model, benchmark, list(asked.values())),
        benchmark.data_hash,
        sampling,
        settings.seed,
        verifier_limit_seconds(),
    )
    refuse_other_results(model.folder, header)
    samples = settings.k or (benchmark.samples if sampling.temperature > 0 else 1)
    subject = _subject(model, benchmark, list(asked.values()))
    return Plan(benchmark, tuple(prompts[: settings.limit]), sampling, samples, subject, header)


def carry_out_served(
    model: Served,
    planned: Plan,
    settings: Settings,
    on_start: Callable[[Plan, int], None],
    on_progress: Callable[[Plan, Progress], None],
) -> tuple[BenchmarkScore, Spent]:
    """Ask for and judge what is not kept yet. Raises ModelError, OutputError; what is finished is kept."""
    path = results_path(model.folder, planned.benchmark.name)
    with ResultsWriter(path, planned.header, session_of(planned.subject)) as writer:
        on_start(planned, len(writer.samples))
        finished = {(one.problem_id, one.sample) for one in writer.samples}
        wanted = [
            (prompt, number)
            for prompt in planned.prompts
            for number in range(planned.samples)
            if (prompt.problem.id, number) not in finished
        ]
        total = len(planned.prompts) * planned.samples
        spent = _fill(
            model, planned, settings.seed, writer, wanted, lambda progress: on_progress(planned, progress), total
        )
        cap = planned.sampling.max_completion_tokens
        return score(planned.prompts, writer.samples, planned.samples, cap), spent


def cost(model: Served, prompt_tokens: int, completion_tokens: int) -> float | None:
    """In dollars, where prices are known."""
    if model.usd_per_million is None:
        return None
    return (prompt_tokens * model.usd_per_million[0] + completion_tokens * model.usd_per_million[1]) / 1e6


def prices(text: str) -> tuple[float, float]:
    """Dollars for a million tokens in and out, from ``0.15,0.60``. Raises DataError."""
    try:
        into, out = (float(part) for part in text.split(","))
    except ValueError:
        into = out = -1.0
    if into < 0 or out < 0:
        raise DataError(f"The price {text!r} is not two numbers. Give dollars a million tokens in and out: 0.15,0.60.")
    return into, out


def _fill(
    model: Served,
    planned: Plan,
    seed: int,
    writer: ResultsWriter,
    wanted: Sequence[tuple[Prompt, int]],
    on_progress: Callable[[Progress], None],
    total: int,
) -> Spent:
    asked = [
        Asked(at, _sent(model, prompt), completion_seed("evaluation", seed, prompt.problem.id, number))
        for at, (prompt, number) in enumerate(wanted)
    ]
    there, started, counts = total - len(wanted), time.monotonic(), [0, 0, 0]
    waiting: list[Reply] = []
    truncated = sum(one.is_truncated for one in writer.samples)
    try:
        for reply in model.server.replies(asked, planned.sampling):
            waiting.append(reply)
            counts[0] += 1
            counts[1] += reply.prompt_tokens or 0
            counts[2] += reply.completion_tokens or 0
            truncated += reply.finish_reason == "length"
            if len(waiting) >= _JUDGED_AT_ONCE:
                _judge_and_keep(waiting, wanted, asked, writer)
                waiting = []
                seconds = time.monotonic() - started
                eta = seconds / counts[0] * (len(wanted) - counts[0])
                usd = cost(model, counts[1], counts[2])
                on_progress(Progress(there + counts[0], total, seconds, eta, truncated, usd))
    finally:  # what has arrived was paid for
        _judge_and_keep(waiting, wanted, asked, writer)
    return Spent(counts[0], counts[1], counts[2], cost(model, counts[1], counts[2]))


def _judge_and_keep(
    replies: Sequence[Reply], wanted: Sequence[tuple[Prompt, int]], asked: Sequence[Asked], writer: ResultsWriter
) -> None:
    groups = [_group(reply, wanted[reply.place][0], asked[reply.place].seed) for reply in replies]
    records = []
    for reply, group, (verdict,) in zip(replies, groups, judge_groups(groups), strict=True):
        prompt, number = wanted[reply.place]
        completion = group.completions[0]
        records.append(
            SampleRecord(
                problem_id=prompt.problem.id,
                sample=number,
                seed=completion.seed,
                tokens=len(completion.token_ids),
                finish_reason=completion.finish_reason,
                extracted=verdict.extracted,
                verdict="incorrect" if reply.is_refused else verdict.label,
                reason=REFUSED if reply.is_refused else verdict.reason,
                text=completion.text,
            )
        )
    writer.append(records, [record_of(group.prompt) for group in groups])


def _group(reply: Reply, prompt: Prompt, seed: int) -> RolloutGroup:
    """Token ids stay with the server: as many zeros stand for them."""
    tokens = reply.completion_tokens
    count = round(len(reply.text) / _CHARS_PER_TOKEN) if tokens is None else tokens
    ids = (0,) * count
    return RolloutGroup(prompt, (Completion(reply.text, ids, (0.0,) * count, reply.finish_reason, ids, seed),))


def _prompt(model: Served, problem: Problem, settings: PromptSettings) -> Prompt:
    """The text that a completions server gets; of a chat the messages as JSON, which is all that is known of it."""
    messages = messages_for(problem.text, settings)
    if model.tokenizer is not None:
        return Prompt(problem, render(model.tokenizer, messages), ())
    opened = "\n<think>\n" if model.reasoning_open else ""
    return Prompt(problem, json.dumps(messages, ensure_ascii=False) + opened, ())


def _sent(model: Served, prompt: Prompt) -> "str | tuple[dict[str, str], ...]":
    if model.tokenizer is not None:
        return prompt.text
    messages: list[Mapping[str, str]] = json.loads(prompt.text.removesuffix("\n<think>\n"))
    return tuple(dict(one) for one in messages)


def _subject(model: Served, benchmark: LoadedBenchmark, asked: Sequence[PromptSettings]) -> Subject:
    settings = model.server.settings
    if model.tokenizer is not None:
        hashes = [prompt_hash(model.tokenizer, one) for one in asked]
    else:
        hashes = [_hash("chat", json.dumps(messages_for("{problem}", one)), str(model.reasoning_open)) for one in asked]
    return Subject(
        benchmark=benchmark.name,
        model=settings.model,
        step=None,
        model_hash=_hash("served", settings.model),
        prompt_hash=joined_hash(hashes),
        dtype="served",
        device=settings.url,
        source=benchmark.source,
        asked_through=model.server.api,
    )


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
