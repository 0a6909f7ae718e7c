"""The score of a benchmark's samples: one line of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from frugalrl.evaluation.records import SampleRecord
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k, majority_at_k, pass_at_k
from frugalrl.statistics.power import noise_seen_from, planned_noise, smallest_detectable_effect
from frugalrl.types import Prompt


@dataclass(frozen=True)
class BenchmarkScore:
    """The score of k samples per problem."""

    accuracy: Estimate
    """avg@k in 0..1; an unknown verdict counts as not correct."""
    pass_at_k: float
    majority_at_k: float
    smallest_effect: float
    """What a comparison with an equally noisy model detects with 80 % power, in 0..1, if gains are alike."""
    problems: int
    samples: int
    """k"""
    truncated_fraction: float
    unknown: int
    mean_tokens: float


def score(prompts: Sequence[Prompt], results: Sequence[SampleRecord], samples: int) -> BenchmarkScore:
    """The first `samples` samples of each prompt as one line of a table. All of them must be there."""
    by_problem: dict[str, list[SampleRecord]] = {prompt.problem.id: [] for prompt in prompts}
    for one in results:
        if one.problem_id in by_problem and one.sample < samples:
            by_problem[one.problem_id].append(one)
    flat = [one for own in by_problem.values() for one in own]
    correct = [[one.is_correct for one in own] for own in by_problem.values()]
    answers = [[(one.extracted, one.is_correct) for one in own] for own in by_problem.values()]
    return BenchmarkScore(
        accuracy=avg_at_k(correct),
        pass_at_k=pass_at_k(correct).value,
        majority_at_k=majority_at_k(answers).value,
        smallest_effect=_smallest_effect(correct, samples),
        problems=len(by_problem),
        samples=samples,
        truncated_fraction=sum(one.is_truncated for one in flat) / len(flat),
        unknown=sum(one.verdict == "unknown" for one in flat),
        mean_tokens=sum(one.tokens for one in flat) / len(flat),
    )


def _smallest_effect(correct: Correct, samples: int) -> float:
    noise = noise_seen_from(correct) if samples > 1 else planned_noise(avg_at_k(correct).value)
    return smallest_detectable_effect(noise, len(correct), samples)
