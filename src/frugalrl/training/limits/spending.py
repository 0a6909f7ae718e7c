"""What a run has spent and what its parts cost: a frozen account for the arithmetic of `budget.py`.

Decisions:
- Seconds are wall-clock seconds while a process was running, over all resumes. Work that a kill threw away was paid for
  too: a resumed run counts from the last line of its log, not from the checkpoint.
- Tokens and steps are those of the run itself: a resumed run counts them like an uninterrupted one.
- No clock is read here: the seconds so far are an argument.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from frugalrl.training.limits.budget import (
    NOTHING,
    RECENT_STEPS,
    Budget,
    Cost,
    most_expensive,
    reason_to_end,
    together,
    usd,
    used_fraction,
)


@dataclass(frozen=True)
class Spending:
    """The running account of one run."""

    tokens: int = 0
    """Completion tokens sampled so far."""
    recent_steps: tuple[Cost, ...] = ()
    """Costs of the last steps."""
    evaluations: Mapping[str, Cost] = field(default_factory=dict)
    """The most expensive evaluation of each split so far."""
    save_seconds: float | None = None
    """Seconds of the slowest checkpoint so far."""

    def after_step(self, seconds: float, tokens: int) -> "Spending":
        """The account once a step is complete."""
        recent = (*self.recent_steps, Cost(seconds, tokens))[-RECENT_STEPS:]
        return replace(self, tokens=self.tokens + tokens, recent_steps=recent)

    def after_evaluation(self, split: str, seconds: float, tokens: int) -> "Spending":
        """The account once an evaluation of a split is complete."""
        cost = most_expensive([self.evaluations.get(split, NOTHING), Cost(seconds, tokens)])
        return replace(self, tokens=self.tokens + tokens, evaluations={**self.evaluations, split: cost})

    def after_look(self, seconds: float, tokens: int) -> "Spending":
        """The account once an evaluation that a hook made after a step is complete: a part of that step, since any
        step may have one.
        """
        recent = self.recent_steps
        if recent:
            recent = (*recent[:-1], together(recent[-1], Cost(seconds, tokens)))
        return replace(self, tokens=self.tokens + tokens, recent_steps=recent)

    def after_save(self, seconds: float) -> "Spending":
        """The account once a checkpoint is written."""
        return replace(self, save_seconds=max(seconds, self.save_seconds or 0.0))

    def metrics(self, budget: Budget, seconds: float, steps: int) -> dict[str, float]:
        """Its part of a step's log line. seconds: of the run so far."""
        used = used_fraction(budget, Cost(seconds, self.tokens), steps)
        price = budget.usd_per_hour
        return {
            "cost/seconds": round(seconds, 3),
            "cost/tokens": self.tokens,
            **({} if price is None else {"cost/usd": usd(seconds, price)}),
            **({} if used is None else {"budget/used_frac": used}),
        }

    def reason_to_end(
        self, budget: Budget, seconds: float, load_seconds: float, steps: int, evaluates_next: bool, saves_next: bool
    ) -> str | None:
        """Why the run must end now; None if another step fits, with the evaluation and the save due after it.

        load_seconds: what loading the model took, the estimate for saving until something was saved.
        """
        next_step = together(
            most_expensive(self.recent_steps),
            self.evaluations.get("validation", NOTHING) if evaluates_next else NOTHING,
            Cost(self.save_seconds or load_seconds, 0) if saves_next else NOTHING,
        )
        end_of_run = together(*self.evaluations.values(), Cost(self._saving(load_seconds), 0))
        return reason_to_end(budget, Cost(seconds, self.tokens), steps, next_step, end_of_run)

    def end_seconds(self, load_seconds: float) -> float:
        """Expected cost of the end of the run: evaluating every split, loading the selected weights, saving."""
        return sum(cost.seconds for cost in self.evaluations.values()) + self._saving(load_seconds)

    def _saving(self, load_seconds: float) -> float:
        return load_seconds + (load_seconds if self.save_seconds is None else self.save_seconds)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "tokens": self.tokens,
            "recent_steps": [[cost.seconds, cost.tokens] for cost in self.recent_steps],
            "evaluations": {split: [cost.seconds, cost.tokens] for split, cost in self.evaluations.items()},
            "save_seconds": self.save_seconds,
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Spending":
        """The account that `to_json` wrote."""
        return Spending(
            tokens=values["tokens"],
            recent_steps=tuple(Cost(seconds, tokens) for seconds, tokens in values["recent_steps"]),
            evaluations={split: Cost(*cost) for split, cost in values["evaluations"].items()},
            save_seconds=values["save_seconds"],
        )
