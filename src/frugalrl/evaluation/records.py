"""The records of an evaluation: what each sample of each problem came to."""

from dataclasses import dataclass

from frugalrl.statistics.intervals import Correct, Estimate, avg_at_k
from frugalrl.types import Prompt, VerdictLabel


@dataclass(frozen=True)
class SampleRecord:
    """One judged completion."""

    problem_id: str
    sample: int
    verdict: VerdictLabel
    reason: str
    extracted: str | None
    completion_tokens: int
    truncated: bool
    text: str


@dataclass(frozen=True)
class Evaluation:
    """All records of one model on one set of problems: n problems in order, k samples each."""

    prompts: tuple[Prompt, ...]
    records: tuple[tuple[SampleRecord, ...], ...]

    @property
    def correct(self) -> Correct:
        """For the statistics: an unknown verdict counts as not correct."""
        return [[record.verdict == "correct" for record in samples] for samples in self.records]

    @property
    def accuracy(self) -> Estimate:
        """avg@k with its interval."""
        return avg_at_k(self.correct)

    @property
    def truncated_fraction(self) -> float:
        flat = [record.truncated for samples in self.records for record in samples]
        return sum(flat) / len(flat)

    @property
    def mean_tokens(self) -> float:
        flat = [record.completion_tokens for samples in self.records for record in samples]
        return sum(flat) / len(flat)

    @property
    def unknown_fraction(self) -> float:
        flat = [record.verdict == "unknown" for samples in self.records for record in samples]
        return sum(flat) / len(flat)
