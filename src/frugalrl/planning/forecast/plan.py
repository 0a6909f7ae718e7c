"""The plan of a recipe on a machine: what it needs, what it takes, what it costs, what would make it fit or be cheaper.

Every time and price has an interval: the two things it depends on most, completion lengths and the machine's rates, are
varied one at a time over what is likely, and the deviations are added in quadrature of logarithms. The larger of the
two is named.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from frugalrl.config.schema import TrainRecipe
from frugalrl.lanes import SMALL_PARAMETERS
from frugalrl.planning.forecast.advice import Advice, Outcome, to_fit, to_save
from frugalrl.planning.forecast.budget import Interval, Needs, OverBudget, over_budget
from frugalrl.planning.forecast.cards import Card
from frugalrl.planning.forecast.clock import Machine, Sampled, Seconds, Work, machine_of, seconds_of, varied
from frugalrl.planning.forecast.lengths import Lengths, prior
from frugalrl.planning.forecast.memory import GB, NO_TENSORS, MemoryPlan, MemorySettings, held_through_a_step, memory_of
from frugalrl.planning.forecast.serving import (
    ServerMemory,
    beside_the_trainer,
    server_memory,
    servers_of,
    with_servers,
)
from frugalrl.planning.forecast.several import dealt, dealt_rows, exchange_seconds, in_parts
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.planning.forecast.traced import TracedMemory
from frugalrl.planning.forecast.work import disk_bytes, memory_settings, traffic_of, work_of
from frugalrl.training.distributed.choice import needs_whole_weights
from frugalrl.training.distributed.devices import who_does_what
from frugalrl.training.length_schedule import largest_cap
from frugalrl.training.model.held import is_roomy

_USABLE = 0.97
"""Of a card's memory: the rest is lost to fragments of the allocator."""
_FIXED_FACTOR = 2.0
"""Starts and disks differ by as much."""


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
    threads: int = 1
    """Of torch, on a CPU: the lanes of a small model."""


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
    cards: int = 1
    """That are paid: of the processes that train, and of servers that have cards of their own."""
    server: ServerMemory | None = None
    """Of each card of a vLLM server."""
    server_tokens: int = 0
    """Of prompt and completion at their longest, which the cache of a server has to hold once."""
    budget: tuple[OverBudget, ...] = ()
    """The recipe's caps that do not hold the plan."""
    traced: TracedMemory | None = None
    """Of the code on fake tensors; None where only the formula was asked."""

    @property
    def update_gb(self) -> float:
        """At the peak of the update."""
        return self.memory.update_gb if self.traced is None else self.traced.update_gb + self._beside("updating")

    @property
    def rollout_gb(self) -> float:
        """At the peak of sampling."""
        traced = None if self.traced is None else self.traced.rollout_gb
        return self.memory.rollout_gb if traced is None else traced + self._beside("sampling")

    def _beside(self, phase: str) -> float:
        """What is on the device and no tensor of the program."""
        parts: dict[str, float] = {**self.memory.held, **getattr(self.memory, phase)}
        return sum(size for name, size in parts.items() if name in NO_TENSORS)

    @property
    def needs(self) -> Needs:
        """What a budget may cap."""
        tokens, (low, high) = self.training_tokens + self.evaluation_tokens, self.token_factors
        return Needs(self.hours, self.usd, Interval(tokens, low * tokens, high * tokens), self.steps)

    @property
    def server_fits(self) -> bool:
        """Whether a server, if there is one, starts: its cache holds the longest sequence."""
        return self.server is None or self.server.cache_tokens >= self.server_tokens

    @property
    def peak_gb(self) -> float:
        """The larger of both."""
        return max(self.rollout_gb, self.update_gb)

    @property
    def needed_gb(self) -> float:
        """The peak without the copy of a checkpoint, which a run makes only where it has the memory."""
        return max(self.rollout_gb - self.memory.copy_gb, self.update_gb)

    @property
    def fits(self) -> bool:
        """Whether what is needed is within what there is, and that of a server."""
        return self.needed_gb <= _USABLE * self.memory_gb and self.server_fits

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
    formula = _plan(recipe, shape, place, lengths)
    bare = replace(formula, traced=traced)
    apart = max(
        1.0, bare.needed_gb / formula.memory.needed_gb
    )  # of the code from the formula, which is asked about changes

    def outcome_of(changed: TrainRecipe) -> Outcome:
        return _outcome(_plan(changed, shape, place, lengths), apart)

    if not bare.fits:
        room = _USABLE * place.memory_gb
        advice = to_fit(recipe, room, place.memory_gb, lambda one: apart * _memory(one, shape, place).needed_gb)
    else:
        advice = to_save(recipe, _outcome(bare, 1.0), outcome_of)
    over = over_budget(recipe, bare.needs, lambda changed: _plan(changed, shape, place, lengths).needs)
    return replace(bare, advice=advice, budget=over)


def _outcome(plan: Plan, apart: float) -> Outcome:
    fits = apart * plan.needed_gb <= _USABLE * plan.memory_gb and plan.server_fits
    return Outcome(plan.hours.value, None if plan.usd is None else plan.usd.value, fits)


def _plan(recipe: TrainRecipe, shape: ModelShape, place: Place, lengths: Lengths | None) -> Plan:
    cap = largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens)
    lengths = lengths or prior(cap)
    seconds, spreads = _times(recipe, shape, place, lengths, cap)
    hours = _interval(seconds.total / 3600, [[one / 3600 for one in ends] for ends in spreads.values()])
    servers, work = servers_of(recipe), work_of(recipe, shape)
    cards = place.processes + (0 if servers is None else servers.own_cards)
    price = None if place.usd_per_hour is None else place.usd_per_hour * cards
    usd = None if price is None else Interval(*(price * one for one in (hours.value, hours.low, hours.high)))
    return Plan(
        place=place.machine.name if cards == 1 else f"{cards} x {place.machine.name}",
        memory=_memory(recipe, shape, place),
        memory_gb=place.memory_gb,
        disk_gb=disk_bytes(recipe, shape, lengths.mean) / GB,
        training_tokens=work.steps * work.completions * lengths.mean,
        evaluation_tokens=sum(one.times * one.completions * (one.lengths or lengths).mean for one in work.evaluations),
        step_seconds={name: getattr(seconds, name) / work.steps for name in ("rollout", "reward", "update", "sync")},
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
        cards=cards,
        server=None if servers is None else server_memory(shape, servers, place.memory_gb, work.value_bytes),
        server_tokens=0 if servers is None else settings_of(recipe, shape, place).rollout_tokens,
    )


def _times(
    recipe: TrainRecipe, shape: ModelShape, place: Place, lengths: Lengths, cap: int
) -> tuple[Seconds, dict[str, list[float]]]:
    """Seconds by phase, and the whole at both ends of each thing that it depends on."""
    settings = settings_of(recipe, shape, place)
    work = replace(work_of(recipe, shape), traffic=traffic_of(shape, settings))
    servers = servers_of(recipe)

    def of(machine: Machine, lengths: Lengths, work: Work = work) -> Seconds:
        own = seconds_of(shape, machine, dealt(work, place.processes), lengths)
        if place.processes > 1:
            exchange = work.steps * work.updates * _exchange(recipe, shape, place, work, lengths)
            own = replace(own, update=own.update + exchange)
        if servers is None:
            return own
        memory = server_memory(shape, servers, place.memory_gb, work.value_bytes)
        return with_servers(own, shape, machine, servers, memory, work, lengths, recipe.rollout.one_step_off)

    machine, middle = place.machine, of(place.machine, lengths)
    fixed = middle.start + middle.saving
    return middle, {
        f"completion lengths ({lengths.source})": [
            of(machine, lengths.scaled(lengths.low, cap), _evaluated(work, low=True)).total,
            of(machine, lengths.scaled(lengths.high, cap), _evaluated(work, low=False)).total,
        ],
        f"the rates of {machine.name} (within a factor of {machine.uncertainty:g})": [
            of(varied(machine, factor), lengths).total for factor in (machine.uncertainty, 1 / machine.uncertainty)
        ],
        f"loading and saving (within a factor of {_FIXED_FACTOR:g})": [
            middle.total + (factor - 1) * fixed for factor in (1 / _FIXED_FACTOR, _FIXED_FACTOR)
        ],
    }


def _evaluated(work: Work, low: bool) -> Work:
    """With evaluations that have lengths of their own at an end of what is likely."""

    def at_end(one: Sampled) -> Sampled:
        if one.lengths is None:
            return one
        own = one.lengths
        return replace(one, lengths=own.scaled(own.low if low else own.high, max(own.quantiles)))

    return replace(work, evaluations=[at_end(one) for one in work.evaluations])


def _interval(value: float, ends: Sequence[Sequence[float]]) -> Interval:
    down = math.sqrt(sum(math.log(min(value, *pair) / value) ** 2 for pair in ends))
    up = math.sqrt(sum(math.log(max(value, *pair) / value) ** 2 for pair in ends))
    return Interval(value, value * math.exp(-down), value * math.exp(up))


def _memory(recipe: TrainRecipe, shape: ModelShape, place: Place) -> MemoryPlan:
    settings, servers = settings_of(recipe, shape, place), servers_of(recipe)
    memory = memory_of(shape, settings)
    if is_sharded(recipe, shape, place):
        memory = in_parts(memory, shape, settings, place.processes)
    return memory if servers is None else beside_the_trainer(memory, servers, place.memory_gb)


def settings_of(recipe: TrainRecipe, shape: ModelShape, place: Place) -> MemorySettings:
    """Of one of the processes."""
    settings = memory_settings(recipe, shape, place.on_cpu, place.memory_gb)
    if place.on_cpu and shape.parameters <= SMALL_PARAMETERS:
        settings = replace(settings, lanes=place.threads)
    if place.processes == 1:
        return settings
    settings = replace(settings, copy_share=0.0)  # such a run waits for its writes
    work = work_of(recipe, shape)
    evaluated = max((one.completions for one in work.evaluations), default=0)
    return dealt_rows(settings, place.processes, work.completions, evaluated)


def is_sharded(recipe: TrainRecipe, shape: ModelShape, place: Place) -> bool:
    """Whether several processes hold the model in parts, as `training.distributed.choice` decides."""
    if place.processes == 1 or recipe.distributed.weights == "replicated" or needs_whole_weights(recipe) is not None:
        return False
    held = held_through_a_step(shape, memory_settings(recipe, shape, place.on_cpu, place.memory_gb))
    return recipe.distributed.weights == "sharded" or not is_roomy(held, place.memory_gb * GB)


def _exchange(recipe: TrainRecipe, shape: ModelShape, place: Place, work: Work, lengths: Lengths) -> float:
    """Seconds of an update in which processes exchange gradients and layers."""
    settings = settings_of(recipe, shape, place)
    tokens = dealt(work, place.processes).completions * (lengths.mean + work.prompt_tokens)
    micro_batches = max(1.0, tokens / settings.micro_batch_tokens)
    passes = 2 + work.checkpointing + work.extra_forwards
    return exchange_seconds(shape, settings, place.processes, is_sharded(recipe, shape, place), passes, micro_batches)
