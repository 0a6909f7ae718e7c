"""What a run has spent and what its parts cost, measured as it goes: the clock beside the arithmetic of `budget.py`.

Decisions:
- Seconds are those of the clock while a process was running, over all resumes. What a kill threw away was paid too: a
  resumed run goes on from the last line of its log, not from the checkpoint.
- Tokens and steps are those of the run as it stands: a resumed run counts as the run straight through does.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frugalrl.training.limits.budget import (
    NOTHING,
    RECENT_STEPS,
    Budget,
    Cost,
    dearest,
    reason_to_end,
    together,
    usd,
    used_fraction,
)


@dataclass
class Spending:
    """The running account of one run."""

    budget: Budget
    tokens: int = 0
    """Completion tokens sampled so far."""
    recent_steps: list[Cost] = field(default_factory=list)
    """Of the last steps."""
    evaluations: dict[str, Cost] = field(default_factory=dict)
    """The dearest evaluation of each split so far."""
    load_seconds: float = 0.0
    save_seconds: float | None = None
    """Of the slowest checkpoint so far; until there was one, loading stands in for it."""
    seconds_before: float = 0.0
    """Of earlier processes of this run."""
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """By the clock, so far."""
        return self.seconds_before + time.monotonic() - self.started

    @property
    def closing(self) -> Cost:
        """Evaluating every split, loading the weights that were chosen, and saving them."""
        saving = self.load_seconds if self.save_seconds is None else self.save_seconds
        return together(*self.evaluations.values(), Cost(saving + self.load_seconds, 0))

    def add_step(self, seconds: float, tokens: int) -> None:
        """A step is complete."""
        self.tokens += tokens
        self.recent_steps = [*self.recent_steps, Cost(seconds, tokens)][-RECENT_STEPS:]

    def add_evaluation(self, split: str, seconds: float, tokens: int) -> None:
        """An evaluation of a split is complete."""
        self.tokens += tokens
        self.evaluations[split] = dearest([self.evaluations.get(split, NOTHING), Cost(seconds, tokens)])

    def add_look(self, seconds: float, tokens: int) -> None:
        """An evaluation that the guard called after a step is complete: a part of that step, since any may have one."""
        self.tokens += tokens
        if self.recent_steps:
            self.recent_steps = [*self.recent_steps[:-1], together(self.recent_steps[-1], Cost(seconds, tokens))]

    def add_save(self, seconds: float) -> None:
        """A checkpoint is written."""
        self.save_seconds = max(seconds, self.save_seconds or 0.0)

    def metrics(self, steps: int) -> dict[str, float]:
        """What a step logs of it."""
        spent = Cost(self.seconds, self.tokens)
        used = used_fraction(self.budget, spent, steps)
        price = self.budget.usd_per_hour
        return {
            "cost/seconds": round(spent.seconds, 3),
            "cost/tokens": spent.tokens,
            **({} if price is None else {"cost/usd": usd(spent.seconds, price)}),
            **({} if used is None else {"budget/used_frac": used}),
        }

    def reason_to_end(self, steps: int, evaluates_next: bool, saves_next: bool) -> str | None:
        """Why the run must close now; None if another step fits, with the evaluation and the save due after it."""
        next_step = together(
            dearest(self.recent_steps),
            self.evaluations.get("validation", NOTHING) if evaluates_next else NOTHING,
            Cost(self.save_seconds or self.load_seconds, 0) if saves_next else NOTHING,
        )
        return reason_to_end(self.budget, Cost(self.seconds, self.tokens), steps, next_step, self.closing)

    def values(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "seconds": self.seconds,
            "tokens": self.tokens,
            "recent_steps": [[cost.seconds, cost.tokens] for cost in self.recent_steps],
            "evaluations": {split: [cost.seconds, cost.tokens] for split, cost in self.evaluations.items()},
            "save_seconds": self.save_seconds,
        }

    def restore(self, values: Mapping[str, Any], seconds_logged: float) -> float:
        """Go on from a checkpoint's values, and return the seconds that were lost.

        seconds_logged: how long the run had been going by its log; more than the checkpoint says if what followed the
        checkpoint was thrown away.
        """
        self.tokens = values["tokens"]
        self.recent_steps = [Cost(seconds, tokens) for seconds, tokens in values["recent_steps"]]
        self.evaluations = {split: Cost(*cost) for split, cost in values["evaluations"].items()}
        self.save_seconds = values["save_seconds"]
        lost = max(0.0, seconds_logged - float(values["seconds"]))
        self.seconds_before = float(values["seconds"]) + lost
        return lost
