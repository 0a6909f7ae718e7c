"""The mutable state of a run in one frozen record that each step replaces.

Beside tensors and random states, a checkpoint holds this record, as JSON, and nothing else decides what comes next. A
hook's state is stored as the JSON values it gives (see `hooks/hook.py`), so a new option adds no field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from frugalrl.data.sampler import SamplerState
from frugalrl.training.limits.spending import Spending


@dataclass(frozen=True)
class Progress:
    """The state of a run between two steps. The defaults are those of its start."""

    step: int = 0
    """Completed steps."""
    policy_version: int = 0
    """Counts optimizer updates and rollbacks: never the same for different weights."""
    sampler: SamplerState = field(default_factory=SamplerState)
    """Which problems come next."""
    evaluated_step: int = -1
    """The last step whose evaluation, if one was due, is complete and logged; -1 until the base is evaluated."""
    micro_batch_tokens: int | None = None
    """What fitted into memory, after the recipe's value did not; None: the recipe's."""
    reference_step: int = 0
    """The step after which the reference was last reset; 0: it is the base."""
    end_reason: str | None = None
    """Why the run ended before its last step: a budget, the guard. None otherwise."""
    spending: Spending = field(default_factory=Spending)
    wall_seconds: Mapping[str, float] = field(default_factory=dict)
    """By phase, including the time before a resume."""
    evaluations: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each evaluation file by name: the evaluations that the selection may use."""
    states: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The state of each hook, by its name, as JSON values."""

    def with_state(self, name: str, state: Mapping[str, Any]) -> "Progress":
        """The progress with another state for a hook."""
        return replace(self, states={**self.states, name: state})

    def with_seconds(self, seconds: Mapping[str, float]) -> "Progress":
        """The progress with more seconds, by phase."""
        total = {
            name: self.wall_seconds.get(name, 0.0) + seconds.get(name, 0.0) for name in {**self.wall_seconds, **seconds}
        }
        return replace(self, wall_seconds=total)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal record, also after a round trip through text."""
        return {
            "step": self.step,
            "policy_version": self.policy_version,
            "sampler": self.sampler.to_json(),
            "evaluated_step": self.evaluated_step,
            "micro_batch_tokens": self.micro_batch_tokens,
            "reference_step": self.reference_step,
            "end_reason": self.end_reason,
            "spending": self.spending.to_json(),
            "wall_seconds": dict(self.wall_seconds),
            "evaluations": dict(self.evaluations),
            "states": {name: dict(state) for name, state in self.states.items()},
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Progress":
        """The progress that `to_json` wrote; other keys are ignored. Raises KeyError or TypeError for others."""
        return Progress(
            step=int(values["step"]),
            policy_version=int(values["policy_version"]),
            sampler=SamplerState.from_json(values["sampler"]),
            evaluated_step=int(values["evaluated_step"]),
            micro_batch_tokens=values["micro_batch_tokens"],
            reference_step=int(values["reference_step"]),
            end_reason=values["end_reason"],
            spending=Spending.from_json(values["spending"]),
            wall_seconds=dict(values["wall_seconds"]),
            evaluations=dict(values["evaluations"]),
            states={name: dict(state) for name, state in values["states"].items()},
        )
