"""k samples of each problem of a benchmark, in chunks, through any rollout engine, into a results file.

A chunk is a few problems with the samples they still lack. It is sampled, judged and on the disk before the next
begins, so a kill loses one chunk at most. A sample's seed follows from the evaluation's seed, the problem and the
sample's number: a rerun gives the same numbers, and more samples only add.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.config.schema import PromptSettings
from frugalrl.data.prompts import messages_for, render
from frugalrl.evaluation.benchmarks import Golds, is_within_tolerance
from frugalrl.evaluation.results import ResultsWriter, SampleResult
from frugalrl.rollout.collect import collect_samples
from frugalrl.rollout.engine import RolloutEngine, SamplingParams
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k, majority_at_k, pass_at_k
from frugalrl.statistics.power import noise_seen_from, planned_noise, smallest_detectable_effect
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Prompt, RolloutGroup, Verdict
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool


@dataclass(frozen=True)
class Progress:
    """How far an evaluation is, after a chunk."""

    done: int
    total: int
    """Samples, those of earlier sessions included."""
    seconds: float
    eta_seconds: float
    truncated: int
    """Of the samples that are done."""


@dataclass(frozen=True)
class BenchmarkScore:
    """What k samples a problem came to."""

    accuracy: Estimate
    """avg@k in 0..1; an unknown verdict counts as not correct."""
    pass_at_k: float
    majority_at_k: float
    least_gain: float
    """What a comparison with an equally noisy model would find in four of five tries, in 0..1, if gains are alike."""
    problems: int
    samples: int
    """k"""
    truncated_fraction: float
    unknown: int
    mean_tokens: float


def run_benchmark(
    engine: RolloutEngine,
    tokenizer: Any,
    pool: VerifierPool,
    prompts: Sequence[Prompt],
    golds: Mapping[str, Golds],
    writer: ResultsWriter,
    samples: int,
    sampling: SamplingParams,
    seed: int,
    chunk_samples: int,
    on_progress: Callable[[Progress], None],
) -> None:
    """Draw, judge and write what the results file still lacks of `samples` samples for each prompt.

    chunk_samples: about how many samples are drawn at once; a problem's own are never cut apart.
    """
    lacking = _lacking(prompts, writer.samples, samples)
    total = len(prompts) * samples
    done = total - sum(len(numbers) for _, numbers in lacking)
    drawn, started = 0, time.monotonic()
    wanted = {prompt.problem.id for prompt in prompts}
    for chunk in _chunks(lacking, chunk_samples):
        begun = time.monotonic()
        groups = collect_samples(
            engine,
            tokenizer,
            [prompt for prompt, _ in chunk],
            [numbers for _, numbers in chunk],
            sampling,
            ("evaluation", seed),
        )
        verdicts = judged(groups, golds, pool)
        writer.append(_results(chunk, groups, verdicts, time.monotonic() - begun))
        drawn += sum(len(numbers) for _, numbers in chunk)
        seconds = time.monotonic() - started
        truncated = sum(
            one.finish_reason == "length" and one.problem_id in wanted and one.sample < samples
            for one in writer.samples
        )
        eta = seconds / drawn * (total - done - drawn)
        on_progress(Progress(done + drawn, total, seconds, eta, truncated))


def judged(groups: Sequence[RolloutGroup], golds: Mapping[str, Golds], pool: VerifierPool) -> list[list[Verdict]]:
    """A verdict for each completion of each group, by the problem's accepted golds and tolerance."""
    items = [
        AnswerItem(completion.text, golds[group.prompt.problem.id].accepted, prefills_think(group.prompt.text))
        for group in groups
        for completion in group.completions
    ]
    verdicts = iter(pool.judge_many(items))
    return [
        [_with_tolerance(next(verdicts), golds[group.prompt.problem.id]) for _ in group.completions] for group in groups
    ]


def score(prompts: Sequence[Prompt], results: Sequence[SampleResult], samples: int) -> BenchmarkScore:
    """The first `samples` samples of each prompt as one line of a table. All of them must be there."""
    by_problem: dict[str, list[SampleResult]] = {prompt.problem.id: [] for prompt in prompts}
    for one in results:
        if one.problem_id in by_problem and one.sample < samples:
            by_problem[one.problem_id].append(one)
    flat = [one for own in by_problem.values() for one in own]
    correct = [[one.verdict == "correct" for one in own] for own in by_problem.values()]
    answers = [[(one.extracted, one.verdict == "correct") for one in own] for own in by_problem.values()]
    return BenchmarkScore(
        accuracy=avg_at_k(correct),
        pass_at_k=pass_at_k(correct).value,
        majority_at_k=majority_at_k(answers).value,
        least_gain=_least_gain(correct, samples),
        problems=len(by_problem),
        samples=samples,
        truncated_fraction=sum(one.finish_reason == "length" for one in flat) / len(flat),
        unknown=sum(one.verdict == "unknown" for one in flat),
        mean_tokens=sum(one.tokens for one in flat) / len(flat),
    )


def _least_gain(correct: Correct, samples: int) -> float:
    noise = noise_seen_from(correct) if samples > 1 else planned_noise(avg_at_k(correct).value)
    return smallest_detectable_effect(noise, len(correct), samples)


def prompt_hash(tokenizer: Any, settings: PromptSettings) -> str:
    """Of how a problem is asked: the template inside the tokenizer's chat template, whatever the problem."""
    return hashlib.sha256(render(tokenizer, messages_for("{problem}", settings)).encode()).hexdigest()[:16]


_Lacking = tuple[Prompt, tuple[int, ...]]
"""A prompt and the numbers of the samples it still lacks."""


def _lacking(prompts: Sequence[Prompt], there: Sequence[SampleResult], samples: int) -> list[_Lacking]:
    finished = {(one.problem_id, one.sample) for one in there}
    lacking = [
        (prompt, tuple(number for number in range(samples) if (prompt.problem.id, number) not in finished))
        for prompt in prompts
    ]
    return [(prompt, numbers) for prompt, numbers in lacking if numbers]


def _chunks(lacking: Sequence[_Lacking], chunk_samples: int) -> Iterator[list[_Lacking]]:
    chunk: list[_Lacking] = []
    for one in lacking:
        if chunk and sum(len(numbers) for _, numbers in chunk) + len(one[1]) > chunk_samples:
            yield chunk
            chunk = []
        chunk.append(one)
    if chunk:
        yield chunk


def _with_tolerance(verdict: Verdict, golds: Golds) -> Verdict:
    if verdict.label == "correct" or verdict.extracted is None:
        return verdict
    if is_within_tolerance(verdict.extracted, golds):
        return Verdict("correct", verdict.extracted, "within_tolerance")
    return verdict


def _results(
    chunk: Sequence[_Lacking], groups: Sequence[RolloutGroup], verdicts: Sequence[Sequence[Verdict]], seconds: float
) -> list[SampleResult]:
    tokens = sum(len(completion.token_ids) for group in groups for completion in group.completions)
    return [
        SampleResult(
            problem_id=group.prompt.problem.id,
            sample=number,
            seed=completion.seed,
            tokens=len(completion.token_ids),
            finish_reason=completion.finish_reason,
            extracted=verdict.extracted,
            verdict=verdict.label,
            reason=verdict.reason,
            seconds=round(seconds * len(completion.token_ids) / max(tokens, 1), 4),
            text=completion.text,
        )
        for (_, numbers), group, own in zip(chunk, groups, verdicts, strict=True)
        for number, completion, verdict in zip(numbers, group.completions, own, strict=True)
    ]
