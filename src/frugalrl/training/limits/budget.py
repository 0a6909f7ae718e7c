"""When a run must end to stay within its budget: pure arithmetic of what is spent and what is expected.

A run ends before a step that might not leave enough for the final evaluation and for saving the model. Expected is the
worst recent measurement, not the mean, and the end of the run gets a margin, because a trained model may write more
than its base.

Not covered: the first step, of which nothing has been measured; the time of a step that a kill cut short; and other
bills than those of the machine's hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

END_MARGIN = 1.25
"""The end of a run may cost a quarter more than measured: a chosen allowance for longer completions, not a
measurement. Every evaluation during the run updates the estimate."""
RECENT_STEPS = 10
"""The next step is assumed to cost as much as the most expensive of this many."""


@dataclass(frozen=True)
class Cost:
    """What something costs or has cost."""

    seconds: float
    tokens: int
    """Completion tokens sampled, for training and for evaluation."""


NOTHING = Cost(0.0, 0)


@dataclass(frozen=True)
class Budget:
    """Caps, each optional."""

    hours: float | None = None
    usd: float | None = None
    usd_per_hour: float | None = None
    """Price of the machine; required by a cap in dollars."""
    tokens: int | None = None
    steps: int | None = None

    @property
    def seconds(self) -> float | None:
        """The tighter of the caps in hours and in dollars."""
        caps = [self.hours * 3600] if self.hours is not None else []
        if self.usd is not None and self.usd_per_hour is not None:
            caps.append(self.usd / self.usd_per_hour * 3600)
        return min(caps, default=None)


def together(*costs: Cost) -> Cost:
    """The sum."""
    return Cost(sum(cost.seconds for cost in costs), sum(cost.tokens for cost in costs))


def most_expensive(costs: Sequence[Cost]) -> Cost:
    """The largest seconds and the largest tokens of the last steps; zero if there were none."""
    recent = costs[-RECENT_STEPS:]
    return Cost(max((cost.seconds for cost in recent), default=0.0), max((cost.tokens for cost in recent), default=0))


def usd(seconds: float, usd_per_hour: float) -> float:
    """The price of some seconds."""
    return seconds / 3600 * usd_per_hour


def reason_to_end(budget: Budget, spent: Cost, steps: int, next_step: Cost, end_of_run: Cost) -> str | None:
    """Why the run must end now, with the numbers; None if another step still fits.

    spent: so far, over all resumes. steps: completed ones. next_step: expected cost of the next one, including the
    evaluation and the checkpoint that are due after it. end_of_run: as measured; the margin is added here.
    """
    if budget.steps is not None and steps >= budget.steps:
        return f"budget.steps: {steps} of {budget.steps} steps are done"
    cap = budget.seconds
    needed = next_step.seconds + END_MARGIN * end_of_run.seconds
    if cap is not None and spent.seconds + needed > cap:
        price = budget.usd_per_hour
        by_price = price is not None and budget.usd is not None and (budget.usd / price * 3600 == cap)
        name = "usd" if by_price else "hours"
        cost = f" (${usd(spent.seconds, price):.2f})" if price is not None else ""
        return (
            f"budget.{name}: {spent.seconds:.0f} of {cap:.0f} seconds{cost} are spent, and another step with the "
            f"final evaluation may take {needed:.0f}"
        )
    needed_tokens = next_step.tokens + END_MARGIN * end_of_run.tokens
    if budget.tokens is not None and spent.tokens + needed_tokens > budget.tokens:
        return (
            f"budget.tokens: {spent.tokens:,} of {budget.tokens:,} are sampled, and another step with the final "
            f"evaluation may take {needed_tokens:,.0f}"
        )
    return None


def used_fraction(budget: Budget, spent: Cost, steps: int) -> float | None:
    """The used share of the cap that is closest to its end; None without caps."""
    shares = []
    if budget.seconds is not None:
        shares.append(spent.seconds / budget.seconds)
    if budget.tokens is not None:
        shares.append(spent.tokens / budget.tokens)
    if budget.steps is not None:
        shares.append(steps / budget.steps)
    return max(shares, default=None)
