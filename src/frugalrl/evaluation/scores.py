"""The score of a benchmark's samples: one line of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from frugalrl.evaluation.answer_groups import votes
from frugalrl.evaluation.records import SampleRecord
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k, majority_at_k, pass_at_k
from frugalrl.statistics.power import minimum_detectable_effect, seen_in
from frugalrl.types import Problem, Prompt


@dataclass(frozen=True)
class BenchmarkScore:
    """The score of k samples per problem."""

    accuracy: Estimate
    """avg@k in 0..1; an unknown verdict counts as not correct."""
    pass_at_k: float
    majority_at_k: float
    smallest_effect: float
    """The gain that a comparison with another model detects with 80 % power, in 0..1, if gains are alike; inf where
    even the largest one possible is not."""
    problems: int
    samples: int
    """k"""
    are_copies: bool
    """Whether each problem's samples are k times the same text, as greedy sampling gives them."""
    truncated_fraction: float
    unknown: int
    mean_tokens: float
    if_untruncated: float = 0.0
    """The accuracy if every truncated sample that is not correct had been: what a larger cap could reach at most."""
    max_completion_tokens: int = 0
    parts: tuple["Part", ...] = ()
    """The same by level, subject and the like, where the problems say so."""


@dataclass(frozen=True)
class Part:
    """The score of the problems with one value in a column, such as level 5."""

    column: str
    value: str
    accuracy: Estimate
    problems: int
    truncated_fraction: float


GROUPED_BY = ("level", "subject", "subfield", "difficulty", "family", "domain", "Subdomain")
"""Columns by which a score is split, if at least two problems share a value."""
_MOST_VALUES = 12


def score(
    prompts: Sequence[Prompt], results: Sequence[SampleRecord], samples: int, max_completion_tokens: int = 0
) -> BenchmarkScore:
    """The first `samples` samples of each prompt as one line of a table. All of them must be there."""
    return score_of([prompt.problem for prompt in prompts], results, samples, max_completion_tokens)


def score_of(
    problems: Sequence[Problem], results: Sequence[SampleRecord], samples: int, max_completion_tokens: int = 0
) -> BenchmarkScore:
    """`score` for problems."""
    by_problem: dict[str, list[SampleRecord]] = {problem.id: [] for problem in problems}
    for one in results:
        if one.problem_id in by_problem and one.sample < samples:
            by_problem[one.problem_id].append(one)
    flat = [one for own in by_problem.values() for one in own]
    correct = [[one.is_correct for one in own] for own in by_problem.values()]
    copies = are_copies(list(by_problem.values()))
    return BenchmarkScore(
        accuracy=avg_at_k(correct),
        pass_at_k=pass_at_k(correct).value,
        majority_at_k=majority_at_k([votes(own) for own in by_problem.values()]).value,
        smallest_effect=_smallest_effect(correct, copies),
        problems=len(by_problem),
        samples=samples,
        are_copies=copies,
        truncated_fraction=sum(one.is_truncated for one in flat) / len(flat),
        unknown=sum(one.verdict == "unknown" for one in flat),
        mean_tokens=sum(one.tokens for one in flat) / len(flat),
        if_untruncated=sum(one.is_correct or one.is_truncated for one in flat) / len(flat),
        max_completion_tokens=max_completion_tokens,
        parts=_parts(problems, by_problem),
    )


def _parts(problems: Sequence[Problem], samples: Mapping[str, Sequence[SampleRecord]]) -> tuple[Part, ...]:
    parts = []
    for column in GROUPED_BY:
        members: dict[str, list[Sequence[SampleRecord]]] = {}
        for problem in problems:
            value = problem.columns.get(column)
            if isinstance(value, str | int) and not isinstance(value, bool):
                members.setdefault(str(value), []).append(samples[problem.id])
        if 1 < len(members) <= _MOST_VALUES and len(problems) > len(members):
            parts += [_part(column, value, members[value]) for value in sorted(members)]
    return tuple(parts)


def _part(column: str, value: str, samples: Sequence[Sequence[SampleRecord]]) -> Part:
    flat = [one for own in samples for one in own]
    return Part(
        column,
        value,
        avg_at_k([[one.is_correct for one in own] for own in samples]),
        len(samples),
        sum(one.is_truncated for one in flat) / len(flat),
    )


def are_copies(samples: Sequence[Sequence[SampleRecord]]) -> bool:
    """Whether every problem's samples, two or more each, are one text: k of them say no more than one."""
    return all(len(own) > 1 and len({one.text for one in own}) == 1 for own in samples)


def _smallest_effect(correct: Correct, copies: bool) -> float:
    seen = [own[:1] for own in correct] if copies else correct
    k = min(map(len, seen))
    return minimum_detectable_effect(seen_in(seen), k, np.random.default_rng(0))
