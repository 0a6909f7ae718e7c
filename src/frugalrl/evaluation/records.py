"""The records of an evaluation: the result of each sample of each problem, and the conditions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from frugalrl.rollout.engine import SamplingParams
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k
from frugalrl.statistics.paired_tests import Bounds
from frugalrl.types import Check, FinishReason, Problem, Prompt, VerdictLabel


@dataclass(frozen=True)
class SampleRecord:
    """One judged completion."""

    problem_id: str
    sample: int
    """0 to k - 1."""
    seed: int
    tokens: int
    """Of the completion."""
    finish_reason: FinishReason
    extracted: str | None
    """The extracted answer; None if there was none."""
    verdict: VerdictLabel
    reason: str
    text: str

    @property
    def is_correct(self) -> bool:
        """An unknown verdict counts as not correct."""
        return self.verdict == "correct"

    @property
    def is_truncated(self) -> bool:
        return self.finish_reason == "length"


@dataclass(frozen=True)
class ProblemRecord:
    """What a problem's samples answer: all that is needed to read them, and to judge them again."""

    problem_id: str
    problem: str
    gold: str
    also_accepted: tuple[str, ...] = ()
    tolerance: str | None = None
    """A fraction such as ``1/10``."""
    task: str = "maths"
    prompt: str = ""
    """As the model saw it; the messages as JSON where a server made the prompt of them."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Of its row: level, subject, tests ..."""

    def as_problem(self) -> Problem:
        """The problem again, with its policy."""
        tolerance = None if self.tolerance is None else Fraction(self.tolerance)
        check = Check(self.task, tuple(self.also_accepted), tolerance)
        return Problem(self.problem_id, self.problem, self.gold, self.columns, check)


def record_of(prompt: Prompt) -> ProblemRecord:
    """What a file keeps of a prompt's problem."""
    problem = prompt.problem
    tolerance = problem.check.tolerance
    return ProblemRecord(
        problem_id=problem.id,
        problem=problem.text,
        gold=problem.gold,
        also_accepted=problem.check.also_accepted,
        tolerance=None if tolerance is None else str(tolerance),
        task=problem.check.task,
        prompt=prompt.text,
        columns=problem.columns,
    )


@dataclass(frozen=True)
class Subject:
    """Which model is evaluated, on what, and with which prompt: the context of an evaluation."""

    benchmark: str
    """``validation``, ``test``, or a benchmark's name."""
    model: str
    """As the user named it, for display."""
    step: int | None
    """Of a run's model; None if it is not known to be one."""
    model_hash: str
    """Of the weights in their dtype: a moved folder is the same model, a retrained one is not."""
    prompt_hash: str
    """Of the template after the tokenizer's chat template."""
    dtype: str
    device: str
    source: str = ""
    """The file or Hub id that the problems were read from."""
    asked_through: str = "torch"
    """What drew the samples: ``torch`` in this process, or a server's ``chat`` or ``completions``."""


@dataclass(frozen=True)
class Evaluation:
    """All records of one model on one set of problems: n problems in order, k samples each."""

    prompts: tuple[Prompt, ...]
    records: tuple[tuple[SampleRecord, ...], ...]
    sampling: SamplingParams
    seed: int
    verifier_limit_seconds: float

    @property
    def flat(self) -> Iterator[SampleRecord]:
        """Every record."""
        return (record for samples in self.records for record in samples)

    @property
    def correct(self) -> Correct:
        """For the statistics: an unknown verdict counts as not correct."""
        return [[record.is_correct for record in samples] for samples in self.records]

    @property
    def bounds(self) -> Bounds:
        """The same, and as it would be if every unknown verdict were a right answer."""
        return self.correct, [[record.verdict != "incorrect" for record in samples] for samples in self.records]

    @property
    def accuracy(self) -> Estimate:
        """avg@k with its interval."""
        return avg_at_k(self.correct)

    @property
    def truncated_fraction(self) -> float:
        return self._mean([record.is_truncated for record in self.flat])

    @property
    def unknown_fraction(self) -> float:
        return self._mean([record.verdict == "unknown" for record in self.flat])

    @property
    def mean_tokens(self) -> float:
        return self._mean([record.tokens for record in self.flat])

    @property
    def total_tokens(self) -> int:
        return sum(record.tokens for record in self.flat)

    @staticmethod
    def _mean(values: list[bool] | list[int]) -> float:
        return sum(values) / len(values)
