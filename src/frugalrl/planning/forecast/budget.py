"""The caps of a recipe against its plan: which do not hold it, or may not, and how many steps fit. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from frugalrl.config.loading import change_recipe
from frugalrl.config.schema import TrainRecipe


@dataclass(frozen=True)
class Interval:
    """A figure and its likely range."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Needs:
    """What a plan needs of whatever a budget may cap."""

    hours: Interval
    usd: Interval | None
    tokens: Interval
    steps: int
    """That the plan is for."""

    def of(self, key: str) -> Interval | None:
        """By the key of the cap."""
        needed: Interval | None = getattr(self, key.removeprefix("budget."))
        return needed


@dataclass(frozen=True)
class OverBudget:
    """A cap of the recipe that does not hold all steps, or may not."""

    key: str
    cap: float
    need: Interval
    holds_steps: int
    """As many as fit going by the middle of the interval."""
    steps: int
    """Of the plan."""

    @property
    def is_sure(self) -> bool:
        """Whether the cap is below the whole interval."""
        return self.cap < self.need.low

    @property
    def message(self) -> str:
        """What does not fit."""
        sure = "is below" if self.is_sure else "may not hold"
        need = f"{self.need.value:.3g} [{self.need.low:.3g}, {self.need.high:.3g}]"
        return f"{self.key}={self.cap:g} {sure} what {self.steps} steps take, {need}"

    @property
    def fix(self) -> str:
        """The change that makes it fit."""
        enough = math.ceil(self.need.high) if self.key == "budget.tokens" else _rounded_up(self.need.high)
        more = f"--set {self.key}={enough:.15g}"
        if not 0 < self.holds_steps < self.steps:
            return more
        return f"--set training.steps={self.holds_steps}, or {more}"


def _rounded_up(value: float) -> float:
    """To three digits, so that what is advised is enough."""
    unit: float = 10 ** (math.floor(math.log10(value)) - 2)
    return math.ceil(value / unit - 1e-9) * unit


def over_budget(recipe: TrainRecipe, needs: Needs, needs_of: Callable[[TrainRecipe], Needs]) -> tuple[OverBudget, ...]:
    """The caps that do not hold the plan: what is surely over, and what may be. needs_of: plans another recipe."""
    found = []
    for key, cap in _caps(recipe):
        need = needs.of(key)
        if need is None or cap >= need.high:
            continue
        steps = _steps_within(key, cap, recipe, needs_of) if cap < need.value else needs.steps
        found.append(OverBudget(key, cap, need, steps, needs.steps))
    return tuple(found)


def _caps(recipe: TrainRecipe) -> list[tuple[str, float]]:
    """The caps that the recipe has, by their keys."""
    budget = recipe.budget
    caps = {"budget.hours": budget.hours, "budget.usd": budget.usd, "budget.tokens": budget.tokens}
    return [(key, cap) for key, cap in caps.items() if cap is not None]


def _steps_within(key: str, cap: float, recipe: TrainRecipe, needs_of: Callable[[TrainRecipe], Needs]) -> int:
    """The most steps whose plan a cap holds; 0 if it does not hold the evaluations alone."""
    low, high = 0, recipe.training.steps
    while high - low > 1:
        middle = (low + high) // 2
        need = needs_of(change_recipe(recipe, [f"training.steps={middle}"])).of(key)
        low, high = (middle, high) if need is not None and need.value <= cap else (low, middle)
    return low
