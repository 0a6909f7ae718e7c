"""What a report knows about a run: one frozen record, made by the reader.

Not covered: the weights, the checkpoints, and the records of single samples in `evaluations/`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from frugalrl.evaluation.looks import Look

Values = Mapping[str, float | None]
"""Metrics of one line by name; None where the value was not a finite number."""


@dataclass(frozen=True)
class RunRecord:
    """Everything the report says of a run."""

    label: str
    recipe_text: str
    recipe: Mapping[str, Any]
    """The recipe's plain values; empty if it cannot be read."""
    steps: Sequence[tuple[int, Values]]
    """Training steps, in order."""
    evaluations: Sequence[tuple[int, Values]]
    """Lines with a split's accuracy, in order."""
    samples: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any]
    """summary.json; empty while the run has not finished."""
    looks: Sequence[Look]
    """The run's ledger; empty if there is none."""
    environment: Mapping[str, Any]
    """environment.json; empty if there is none."""
    guard: Sequence[Mapping[str, Any]]
    """What the guard decided and did, in order."""
    notes: Sequence[str]
    """What is missing or could not be read, a sentence each."""
    asked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By split, how its evaluations were sampled: the header of one of their files."""

    @property
    def is_fine_tuning(self) -> bool:
        """Whether `frugalrl sft` made it, which neither samples nor sums up."""
        return bool(self.recipe) and "rollout" not in self.recipe
