"""The records of an evaluation: the result of each sample of each problem, and the conditions."""

from collections.abc import Iterator
from dataclasses import dataclass

from frugalrl.rollout.engine import SamplingParams
from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k
from frugalrl.statistics.paired_tests import Bounds
from frugalrl.types import FinishReason, Prompt, VerdictLabel


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
