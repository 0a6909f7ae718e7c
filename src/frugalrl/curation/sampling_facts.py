"""Facts about samples besides right and wrong: truncated, empty, without a verdict, and their tokens. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class SampleCounts:
    """Of some samples."""

    samples: int = 0
    truncated: int = 0
    """Ended by the limit of completion tokens."""
    empty: int = 0
    """Ended by the model, without any text."""
    unknown: int = 0
    """Without a verdict; counted as not correct."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    """Samples whose tokens the server did not tell."""

    def __add__(self, other: "SampleCounts") -> "SampleCounts":
        return SampleCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def cut_off(self) -> int:
        """Samples that are no full answer."""
        return self.truncated + self.empty

    def values(self) -> dict[str, int]:
        """For ledger and row: tokens always, the others where there are any."""
        kept = {
            name: count for name, count in asdict(self).items() if count and name not in ("samples", "prompt_tokens")
        }
        return {**kept, "completion_tokens": self.completion_tokens}


def counted(finish_reason: str, completion: str, verdict: str, prompt_tokens: int, tokens: int) -> SampleCounts:
    """The counts of one sample. Tokens below 0 are not known."""
    truncated = finish_reason == "length"
    return SampleCounts(
        samples=1,
        truncated=int(truncated),
        empty=int(not truncated and not completion.strip()),
        unknown=int(verdict == "unknown"),
        prompt_tokens=max(0, prompt_tokens),
        completion_tokens=max(0, tokens),
        uncounted=int(tokens < 0),
    )


@dataclass(frozen=True)
class SamplingFacts:
    """What a step took from one solver, cached samples included."""

    step: str
    solver: str
    counts: SampleCounts = field(default_factory=SampleCounts)
    problems: int = 0
    refused: int = 0
    failed: int = 0
    no_full_answer: int = 0
    """Problems, each of whose samples was cut off or empty."""

    def with_problem(self, counts: SampleCounts, why: str | None) -> "SamplingFacts":
        """One problem more. why: it has no pass rate; None if it has one."""
        return replace(
            self,
            counts=self.counts + counts,
            problems=self.problems + 1,
            refused=self.refused + (why == "refused"),
            failed=self.failed + (why == "failed"),
            no_full_answer=self.no_full_answer + (why == "no_full_answer"),
        )

    def to_json(self) -> dict[str, Any]:
        """For the ledger's end of a step."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SamplingFacts":
        """The same again."""
        return cls(**{**values, "counts": SampleCounts(**values["counts"])})


def sampling_notes(facts: Iterable[SamplingFacts]) -> list[str]:
    """What must not be overlooked about samples, in sentences."""
    notes = []
    for one in facts:
        counts, who = one.counts, f"{one.solver} in {one.step}"
        if counts.cut_off:
            share = 100 * counts.cut_off / counts.samples
            notes.append(
                f"{who}: {counts.truncated:,} of {counts.samples:,} samples were cut off by max_completion_tokens and "
                f"{counts.empty:,} were empty ({share:.0f} % together); {one.no_full_answer:,} problems have no full "
                "answer at all."
            )
        if counts.unknown:
            notes.append(f"{who}: {counts.unknown:,} samples have no verdict and count as not correct.")
        if one.refused:
            notes.append(f"{who}: {one.refused:,} problems were refused (too long for its context, most often).")
        if one.failed:
            notes.append(f"{who}: {one.failed:,} problems failed permanently, see the ledger for the reasons.")
    return notes
