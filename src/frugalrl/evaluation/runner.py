"""The evaluator: k samples of each problem through any rollout engine, judged by each problem's task, saved.

Training evaluates in memory and writes a file as a whole; `eval` goes in chunks and appends, so that a kill loses one
chunk at most. Both draw, judge and write the same way. A sample's seed follows from the evaluation's seed, the problem
and the sample's number: base and trained model get the same randomness, a rerun gives the same numbers, and more
samples only add. Verdicts are those of training's rewards: the problem's policy under the process's verifier limit.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from frugalrl.config.schema import EvaluationSettings
from frugalrl.data.fingerprint import problems_hash
from frugalrl.errors import OutputError
from frugalrl.evaluation.records import Evaluation, SampleRecord, Subject, record_of
from frugalrl.evaluation.results import header_of, read_results, session_of, write_results
from frugalrl.evaluation.sharing import IN_ONE_PROCESS, Keeper, Sharing, Wanted
from frugalrl.rollout.collect import collect_samples
from frugalrl.rollout.engine import RolloutEngine, SamplingParams
from frugalrl.tasks.judging import Judge
from frugalrl.tasks.judging_ahead import JudgingAhead
from frugalrl.types import Prompt
from frugalrl.verify.answers import default_pool


@dataclass(frozen=True)
class Progress:
    """Progress of an evaluation, after a chunk."""

    done: int
    total: int
    """Samples, those of earlier sessions included."""
    seconds: float
    eta_seconds: float
    truncated: int
    """Of the samples that are done."""
    usd: float | None = None
    """That a server's tokens have cost in this benchmark, if prices are known."""


def evaluate(
    engine: RolloutEngine,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    settings: EvaluationSettings,
    max_completion_tokens: int,
    judge: Judge | None = None,
) -> Evaluation:
    """Sample and judge, all at once. There is at least one prompt. judge: as for `judged_samples`."""
    return evaluate_sets(engine, tokenizer, [prompts], settings, max_completion_tokens, judge)[0]


def evaluate_sets(
    engine: RolloutEngine,
    tokenizer: Any,
    sets: Sequence[Sequence[Prompt]],
    settings: EvaluationSettings,
    max_completion_tokens: int,
    judge: Judge | None = None,
) -> list[Evaluation]:
    """`evaluate` for each of some sets of prompts, in one call to the engine: all wait for one longest completion."""
    sampling = SamplingParams(
        max_completion_tokens=settings.max_completion_tokens or max_completion_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
    )
    numbers = tuple(range(settings.samples_per_problem))
    wanted = [(prompt, numbers) for prompts in sets for prompt in prompts]
    records = iter(judged_samples(engine, tokenizer, wanted, sampling, settings.seed, judge))
    limit = verifier_limit_seconds()
    return [
        Evaluation(tuple(prompts), tuple(tuple(next(records)) for _ in prompts), sampling, settings.seed, limit)
        for prompts in sets
    ]


def verifier_limit_seconds() -> float:
    """Of processor time for one answer, in every evaluation: that of the pool that rewards use."""
    return default_pool().limits.cpu_seconds


def save_evaluation(evaluation: Evaluation, path: Path, subject: Subject) -> None:
    """Write a results file atomically. Raises OutputError."""
    data_hash = problems_hash([prompt.problem for prompt in evaluation.prompts])
    header = header_of(subject, data_hash, evaluation.sampling, evaluation.seed, evaluation.verifier_limit_seconds)
    write_results(path, header, session_of(subject), evaluation.flat, map(record_of, evaluation.prompts))


def load_evaluation(prompts: Sequence[Prompt], path: Path) -> Evaluation:
    """What `save_evaluation` wrote, for the same prompts. Raises OutputError if it does not fit."""
    results = read_results(path)
    by_problem: dict[str, list[SampleRecord]] = {prompt.problem.id: [] for prompt in prompts}
    for record in results.samples:
        if record.problem_id not in by_problem:
            raise OutputError(f"{path} holds other problems than the recipe's. Remove it to evaluate again.")
        by_problem[record.problem_id].append(record)
    if not all(by_problem.values()):
        raise OutputError(f"{path} lacks some of the recipe's problems. Remove it to evaluate again.")
    header = results.header
    return Evaluation(
        tuple(prompts),
        tuple(map(tuple, by_problem.values())),
        SamplingParams(header.max_completion_tokens, header.temperature, header.top_p),
        header.seed,
        header.verifier_limit_seconds,
    )


def run_benchmark(
    engine: RolloutEngine,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    writer: Keeper,
    samples: int,
    sampling: SamplingParams,
    seed: int,
    chunk_samples: int,
    on_progress: Callable[[Progress], None],
    sharing: Sharing = IN_ONE_PROCESS,
) -> None:
    """Draw, judge and append the samples that the results file still lacks, `samples` for each prompt.

    chunk_samples: about how many samples are drawn at once; those of one problem are never split. Several processes
    draw as many chunks at once, each a part of all, and append them as one process does: chunk by chunk.
    """
    lacking = _lacking(prompts, writer.samples, samples)
    total = len(prompts) * samples
    done = total - sum(len(numbers) for _, numbers in lacking)
    drawn, started = 0, time.monotonic()
    wanted = {prompt.problem.id for prompt in prompts}
    chunks = _chunks(lacking, chunk_samples)
    while at_once := list(islice(chunks, sharing.processes)):
        records = iter(
            sharing.draw(
                [one for chunk in at_once for one in chunk],
                lambda wanted: judged_samples(engine, tokenizer, wanted, sampling, seed),
            )
        )
        for chunk in at_once:
            own = [record for _, records_of_one in zip(chunk, records, strict=False) for record in records_of_one]
            writer.append(own, [record_of(prompt) for prompt, _ in chunk])
            drawn += sum(len(numbers) for _, numbers in chunk)
        seconds = time.monotonic() - started
        truncated = sum(
            one.is_truncated and one.problem_id in wanted and one.sample < samples for one in writer.samples
        )
        eta = seconds / drawn * (total - done - drawn)
        on_progress(Progress(done + drawn, total, seconds, eta, truncated))


def judged_samples(
    engine: RolloutEngine,
    tokenizer: Any,
    wanted: Sequence[Wanted],
    sampling: SamplingParams,
    seed: int,
    judge: Judge | None = None,
) -> list[list[SampleRecord]]:
    """The wanted samples of each prompt, drawn in one call to the engine.

    judge: None judges here, each completion as soon as it is there.
    """
    prompts, numbers = [prompt for prompt, _ in wanted], [own for _, own in wanted]
    with JudgingAhead(prompts) as judging:
        told = judging.add if judge is None else None
        groups = collect_samples(engine, tokenizer, prompts, numbers, sampling, ("evaluation", seed), told)
        judged = (judge or judging.verdicts)(groups)
    return [
        [
            SampleRecord(
                problem_id=group.prompt.problem.id,
                sample=number,
                seed=completion.seed,
                tokens=len(completion.token_ids),
                finish_reason=completion.finish_reason,
                extracted=verdict.extracted,
                verdict=verdict.label,
                reason=verdict.reason,
                text=completion.text,
            )
            for number, completion, verdict in zip(own, group.completions, verdicts, strict=True)
        ]
        for own, group, verdicts in zip(numbers, groups, judged, strict=True)
    ]


def _lacking(prompts: Sequence[Prompt], there: Sequence[SampleRecord], samples: int) -> list[Wanted]:
    finished = {(one.problem_id, one.sample) for one in there}
    lacking = [
        (prompt, tuple(number for number in range(samples) if (prompt.problem.id, number) not in finished))
        for prompt in prompts
    ]
    return [(prompt, numbers) for prompt, numbers in lacking if numbers]


def _chunks(lacking: Sequence[Wanted], chunk_samples: int) -> Iterator[list[Wanted]]:
    chunk: list[Wanted] = []
    for one in lacking:
        if chunk and sum(len(numbers) for _, numbers in chunk) + len(one[1]) > chunk_samples:
            yield chunk
            chunk = []
        chunk.append(one)
    if chunk:
        yield chunk
