"""The plan of a recipe on a machine: what it needs, what it takes, what it costs, what would make it fit or be cheaper.

Every time and price has an interval: the two things it depends on most, completion lengths and the machine's rates, are
varied one at a time over what is likely, and the deviations are added in quadrature of logarithms. The larger of the
two is named.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from frugalrl.config.loading import change_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import RecipeError
from frugalrl.planning.forecast.cards import Card
from frugalrl.planning.forecast.clock import Machine, Seconds, Work, machine_of, seconds_of, varied
from frugalrl.planning.forecast.lengths import Lengths, prior
from frugalrl.planning.forecast.memory import GB, MemoryPlan, MemorySettings, held_through_a_step, memory_of
from frugalrl.planning.forecast.several import dealt, dealt_rows, exchange_seconds, in_parts
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.planning.forecast.traced import TracedMemory
from frugalrl.planning.forecast.work import (
    disk_bytes,
    evaluations_of,
    is_served,
    memory_settings,
    rollout_rows,
    work_of,
)
from frugalrl.training.distributed.choice import needs_whole_weights
from frugalrl.training.distributed.devices import who_does_what
from frugalrl.training.length_schedule import largest_cap
from frugalrl.training.model.held import is_roomy

_USABLE = 0.97
"""Of a card's memory: the rest is lost to fragments of the allocator."""
_WORTH_SAYING = 0.05
_FEW_ROWS = (64, 8)
"""Of the cache, tried where a ninth of the rows is too many."""


@dataclass(frozen=True)
class Place:
    """Where a run would be made."""

    machine: Machine
    memory_gb: float
    usd_per_hour: float | None
    price_source: str
    on_cpu: bool = False
    processes: int = 1
    """Cards of this kind, each with a process of its own."""


@dataclass(frozen=True)
class Interval:
    """A figure and its likely range."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Advice:
    """A change and what it does."""

    sets: tuple[str, ...]
    effect: str


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
        more = (
            f"--set {self.key}={self.need.high:.3g}"
            if self.key != "budget.tokens"
            else (f"--set {self.key}={math.ceil(self.need.high)}")
        )
        if not 0 < self.holds_steps < self.steps:
            return more
        return f"--set training.steps={self.holds_steps}, or {more}"


@dataclass(frozen=True)
class Plan:
    """What a recipe takes on a machine."""

    place: str
    memory: MemoryPlan
    memory_gb: float
    """That there is."""
    disk_gb: float
    training_tokens: float
    evaluation_tokens: float
    step_seconds: dict[str, float]
    """By phase."""
    hours: Interval
    hours_by_phase: dict[str, float]
    usd: Interval | None
    price_source: str
    lengths: str
    dominates: str
    """The assumption that the interval depends on most."""
    advice: tuple[Advice, ...]
    devices: str
    """Which GPUs train and which serve."""
    steps: int
    """That the run makes."""
    token_factors: tuple[float, float]
    """On tokens, at the ends of what is likely."""
    budget: tuple[OverBudget, ...] = ()
    """The recipe's caps that do not hold the plan."""
    traced: TracedMemory | None = None
    """Of the code on fake tensors; None where only the formula was asked."""

    @property
    def update_gb(self) -> float:
        """At the peak of the update."""
        return self.memory.update_gb if self.traced is None else self.traced.update_gb + self._process_gb

    @property
    def rollout_gb(self) -> float:
        """At the peak of sampling."""
        traced = None if self.traced is None else self.traced.rollout_gb
        return self.memory.rollout_gb if traced is None else traced + self._process_gb

    @property
    def _process_gb(self) -> float:
        return self.memory.held["process"]

    @property
    def peak_gb(self) -> float:
        """The larger of both."""
        return max(self.rollout_gb, self.update_gb)

    @property
    def fits(self) -> bool:
        """Whether the peak is within what there is."""
        return self.peak_gb <= _USABLE * self.memory_gb

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "fits": self.fits, "peak_gb": self.peak_gb}


def place_of(card: Card, usd_per_hour: float | None = None) -> Place:
    """A card of the table, at the user's price or its own."""
    if usd_per_hour is not None:
        return Place(machine_of(card), card.memory_gb, usd_per_hour, "your price")
    price = card.price
    return Place(
        machine_of(card),
        card.memory_gb,
        None if price is None else price.usd_per_hour,
        "" if price is None else f"list price: {price.source}",
    )


def plan_run(
    recipe: TrainRecipe,
    shape: ModelShape,
    place: Place,
    lengths: Lengths | None = None,
    traced: TracedMemory | None = None,
) -> Plan:
    """The whole plan, with advice. traced: memory of the code on fake tensors, in place of the formula's."""
    bare = replace(_plan(recipe, shape, place, lengths), traced=traced)
    advice = _to_fit(recipe, shape, place) if not bare.fits else _to_save(recipe, shape, place, lengths, bare)
    return replace(bare, advice=advice, budget=_over_budget(recipe, shape, place, lengths, bare))


def _plan(recipe: TrainRecipe, shape: ModelShape, place: Place, lengths: Lengths | None) -> Plan:
    cap = largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens)
    lengths = lengths or prior(cap)
    machine = replace(place.machine, launch_seconds=0.0) if is_served(recipe) else place.machine
    work = work_of(recipe, shape)

    def of(machine: Machine, lengths: Lengths) -> Seconds:
        own = seconds_of(shape, machine, dealt(work, place.processes), lengths)
        if place.processes == 1:
            return own
        exchange = work.steps * work.updates * _exchange(recipe, shape, place, work, lengths)
        return replace(own, update=own.update + exchange)

    seconds = of(machine, lengths)
    spreads = {
        f"completion lengths ({lengths.source})": [
            of(machine, lengths.scaled(factor, cap)).total for factor in (lengths.low, lengths.high)
        ],
        f"the rates of {machine.name} (within a factor of {machine.uncertainty:g})": [
            of(varied(machine, factor), lengths).total for factor in (machine.uncertainty, 1 / machine.uncertainty)
        ],
    }
    hours = _interval(seconds.total / 3600, [[one / 3600 for one in ends] for ends in spreads.values()])
    price = None if place.usd_per_hour is None else place.usd_per_hour * place.processes
    usd = None if price is None else Interval(*(price * one for one in (hours.value, hours.low, hours.high)))
    evaluated = sum(one.completions * one.times for one in evaluations_of(recipe)) * lengths.mean
    return Plan(
        place=machine.name if place.processes == 1 else f"{place.processes} x {machine.name}",
        memory=_memory(recipe, shape, place),
        memory_gb=place.memory_gb,
        disk_gb=disk_bytes(recipe, shape, lengths.mean) / GB,
        training_tokens=work.steps * work.completions * lengths.mean,
        evaluation_tokens=evaluated,
        step_seconds={name: getattr(seconds, name) / work.steps for name in ("rollout", "reward", "update")},
        hours=hours,
        hours_by_phase={name: value / 3600 for name, value in asdict(seconds).items()},
        usd=usd,
        price_source=place.price_source if price is not None else "no price: give --usd-per-hour",
        lengths=f"{lengths.mean:,.0f} tokens a completion on average, {lengths.source}",
        dominates=max(spreads, key=lambda name: spreads[name][1] / spreads[name][0]),
        advice=(),
        devices=who_does_what(recipe),
        steps=work.steps,
        token_factors=(lengths.low, lengths.high),
    )


def _interval(value: float, ends: Sequence[Sequence[float]]) -> Interval:
    down = math.sqrt(sum(math.log(min(value, *pair) / value) ** 2 for pair in ends))
    up = math.sqrt(sum(math.log(max(value, *pair) / value) ** 2 for pair in ends))
    return Interval(value, value * math.exp(-down), value * math.exp(up))


def _over_budget(
    recipe: TrainRecipe, shape: ModelShape, place: Place, lengths: Lengths | None, plan: Plan
) -> tuple[OverBudget, ...]:
    """The caps that do not hold the plan: what is surely over, and what may be."""
    found = []
    for key, cap, need in _needs(recipe, plan):
        if cap >= need.high:
            continue
        steps = _steps_within(key, cap, recipe, shape, place, lengths) if cap < need.value else plan.steps
        found.append(OverBudget(key, cap, need, steps, plan.steps))
    return tuple(found)


def _needs(recipe: TrainRecipe, plan: Plan) -> list[tuple[str, float, Interval]]:
    """The caps that the recipe has, each with what the plan needs of it."""
    tokens = plan.training_tokens + plan.evaluation_tokens
    low, high = plan.token_factors
    needs = [
        ("budget.hours", recipe.budget.hours, plan.hours),
        ("budget.usd", recipe.budget.usd, plan.usd),
        ("budget.tokens", recipe.budget.tokens, Interval(tokens, low * tokens, high * tokens)),
    ]
    return [(key, cap, need) for key, cap, need in needs if cap is not None and need is not None]


def _steps_within(
    key: str, cap: float, recipe: TrainRecipe, shape: ModelShape, place: Place, lengths: Lengths | None
) -> int:
    """The most steps whose plan a cap holds; 0 if it does not hold the evaluations alone."""
    low, high = 0, recipe.training.steps
    while high - low > 1:
        middle = (low + high) // 2
        tried = change_recipe(recipe, [f"training.steps={middle}"])
        needs = {name: need for name, _, need in _needs(tried, _plan(tried, shape, place, lengths))}
        low, high = (middle, high) if needs[key].value <= cap else (low, middle)
    return low


# ------------------------------------------------------------------------------------------------------ advice


def _to_fit(recipe: TrainRecipe, shape: ModelShape, place: Place) -> tuple[Advice, ...]:
    """Changes, the ones that cost least first, until the run fits; then which of them suffices alone."""
    chosen: list[str] = []
    alone: list[Advice] = []
    changed, room = recipe, _USABLE * place.memory_gb
    for sets in _savings_of_memory(recipe):
        only = _changed(recipe, sets)
        if only is None:
            continue
        peak = _memory(only, shape, place).peak_gb
        if peak <= room:
            alone.append(Advice(sets, f"alone makes it fit: {peak:.1f} GB"))
        tried, now = _changed(changed, sets), _memory(changed, shape, place).peak_gb
        if tried is not None and now > room and _memory(tried, shape, place).peak_gb < now:
            keys = {one.partition("=")[0] for one in sets}
            changed, chosen = tried, [*(one for one in chosen if one.partition("=")[0] not in keys), *sets]
    peak = _memory(changed, shape, place).peak_gb
    if peak <= room:
        return (*alone[:3], Advice(tuple(chosen), f"together make it fit: {peak:.1f} GB of {place.memory_gb:g}"))
    largest = f"even with every saving of memory it needs {peak:.1f} GB of {place.memory_gb:g}: take a larger card"
    return (Advice(tuple(chosen), largest),)


def _memory(recipe: TrainRecipe, shape: ModelShape, place: Place) -> MemoryPlan:
    settings = _settings(recipe, shape, place)
    whole = memory_of(shape, settings)
    return in_parts(whole, shape, settings, place.processes) if is_sharded(recipe, shape, place) else whole


def _settings(recipe: TrainRecipe, shape: ModelShape, place: Place) -> MemorySettings:
    """Of one of the processes."""
    settings = memory_settings(recipe, shape, place.on_cpu, place.memory_gb)
    if place.processes == 1:
        return settings
    work = work_of(recipe, shape)
    evaluated = max((count for count, _ in work.evaluations), default=0)
    return dealt_rows(settings, place.processes, work.completions, evaluated)


def is_sharded(recipe: TrainRecipe, shape: ModelShape, place: Place) -> bool:
    """Whether several processes hold the model in parts, as `training.distributed.choice` decides."""
    if place.processes == 1 or recipe.distributed.weights == "replicated" or needs_whole_weights(recipe) is not None:
        return False
    held = held_through_a_step(shape, memory_settings(recipe, shape, place.on_cpu, place.memory_gb))
    return recipe.distributed.weights == "sharded" or not is_roomy(held, place.memory_gb * GB)


def _exchange(recipe: TrainRecipe, shape: ModelShape, place: Place, work: Work, lengths: Lengths) -> float:
    """Seconds of an update in which processes exchange gradients and layers."""
    settings = _settings(recipe, shape, place)
    tokens = dealt(work, place.processes).completions * (lengths.mean + work.prompt_tokens)
    micro_batches = max(1.0, tokens / settings.micro_batch_tokens)
    passes = 2 + work.checkpointing + work.extra_forwards
    return exchange_seconds(shape, settings, place.processes, is_sharded(recipe, shape, place), passes, micro_batches)


def _savings_of_memory(recipe: TrainRecipe) -> list[tuple[str, ...]]:
    rows, training = rollout_rows(recipe), recipe.training
    fewer = sorted({max(1, rows // part) for part in (3, 9)} | {few for few in _FEW_ROWS if few < rows // 9})[::-1]
    longest = recipe.rollout.max_prompt_tokens + recipe.rollout.max_completion_tokens
    return [
        ("training.logits_chunk_tokens=256",),
        (f"training.micro_batch_tokens={min(training.micro_batch_tokens, longest)}",),
        *(((f"rollout.max_sequences={one}"), (f"evaluation.max_sequences={one}")) for one in fewer),
        ("model.gradient_checkpointing=true",),
        ("model.dtype=bfloat16",),
        ("optimizer.offload=true",),
        ("optimizer.state_bits=8",),
        ("algorithm.loss.kl_coef=0",),
        ("model.lora={}", "optimizer.learning_rate=1e-5"),
    ]


def _to_save(
    recipe: TrainRecipe, shape: ModelShape, place: Place, lengths: Lengths | None, plan: Plan
) -> tuple[Advice, ...]:
    """Changes that make it cheaper by more than 5 % and still fit, the most first."""
    found: list[tuple[float, Advice]] = []
    for sets, price in _savings_of_time(recipe):
        changed = _changed(recipe, sets)
        if changed is None:
            continue
        other = _plan(changed, shape, place, lengths)
        saved = 1 - other.hours.value / plan.hours.value
        if saved > _WORTH_SAYING and other.fits:
            effect = f"{saved:.0%} less time; {price}"
            found.append((saved, Advice(sets, effect)))
    return tuple(advice for _, advice in sorted(found, key=lambda one: -one[0]))


def _savings_of_time(recipe: TrainRecipe) -> list[tuple[tuple[str, ...], str]]:
    steps, size, evaluation = recipe.training.steps, recipe.rollout.group_size, recipe.evaluation
    completions = recipe.rollout.prompts_per_step * size
    options = [
        ((f"training.steps={min(steps, 100)}",), "Open-RS's best checkpoints are of steps 50 to 100"),
        (
            (f"evaluation.samples_per_problem={max(1, evaluation.samples_per_problem // 2)}",),
            "intervals of accuracy get wider",
        ),
        ((f"rollout.group_size={max(2, size // 2)}",), "fewer groups have rewards that differ (frugalrl doctor says)"),
        (
            (f"rollout.max_sequences={completions}", f"evaluation.max_sequences={completions}"),
            "all completions of a step at once: more cache",
        ),
        (("model.gradient_checkpointing=false",), "activations are kept: more memory"),
    ]
    if evaluation.every is not None:
        options.append(((f"evaluation.every={2 * evaluation.every}",), "half as many checkpoints to choose from"))
    return options


def _changed(recipe: TrainRecipe, sets: Sequence[str]) -> TrainRecipe | None:
    """None where the change is none, or the recipe would not be valid."""
    try:
        changed = change_recipe(recipe, list(sets))
    except RecipeError:
        return None
    return None if changed == recipe else changed
