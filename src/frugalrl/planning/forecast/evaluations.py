"""What an evaluation will take before anything is sampled: tokens, seconds, dollars, rows that fit. Pure arithmetic.

What a model will write is not known before: lengths are those of earlier samples where there are any, the user's
figure, or those of Open-RS's logs on the same benchmark (`lengths.of_benchmark`). The clock is the plan's.
`benchmarks/evaluation_forecast.py` holds both against these logs, each experiment forecast from the others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from frugalrl.planning.forecast.budget import Interval
from frugalrl.planning.forecast.cards import Card
from frugalrl.planning.forecast.clock import Machine, decode_seconds, machine_of, varied
from frugalrl.planning.forecast.lengths import Lengths, of_benchmark, prior, with_mean
from frugalrl.planning.forecast.memory import MemorySettings, memory_of
from frugalrl.planning.forecast.plan import Place
from frugalrl.planning.forecast.shape import ModelShape

_LOGGED = {"aime25": "aime24"}
"""Benchmarks that are taken for another one."""
_LEAST_CAP = 8192
"""From this cap on answers end as those in the logs do."""
_BEYOND = 1.3
"""How far beyond the least and the most of the logged means another model's may lie."""
_SPREAD = 0.9
"""Of a benchmark's lengths, in logarithms."""
_VERDICT_SECONDS = 0.002
_USABLE = 0.97
_LEAST_SEEN = 8


@dataclass(frozen=True)
class Asked:
    """What is still to be drawn of a benchmark."""

    name: str
    samples: int
    prompt_tokens: float
    """Mean."""
    longest_prompt: int
    cap: int
    lengths: Lengths
    sorts: bool = True
    """Whether top-p or top-k cuts what may be drawn, which sorts every token's logits."""


@dataclass(frozen=True)
class Room:
    """Of the cache in a device's memory."""

    peak_gb: float
    memory_gb: float
    rows: int
    """Completions at once that are asked for."""
    rows_that_fit: int


@dataclass(frozen=True)
class Forecast:
    """An evaluation on one machine, or behind a server."""

    place: str
    """Empty if nothing is known of the machine."""
    samples: int
    tokens: Interval
    """Of completions."""
    tokens_of: dict[str, float]
    """By benchmark."""
    prompt_tokens: float
    seconds: Interval | None
    usd: Interval | None
    price: str
    """Where the price is from."""
    dominates: str
    """The assumption that the intervals depend on most."""
    room: Room | None = None


@dataclass(frozen=True)
class Engine:
    """How completions are decoded."""

    rows: int
    """At once, in each process."""
    value_bytes: int = 2
    is_server: bool = False
    """Without rounds: a free row takes the next request."""


def lengths_of(benchmark: str, cap: int, seen: Sequence[int] = (), mean_tokens: float | None = None) -> Lengths:
    """What completions are assumed to be. seen: tokens of samples that the model has drawn already."""
    if mean_tokens is not None:
        return with_mean(min(mean_tokens, cap), cap, 0.8, 1.25, "your figure", _SPREAD)
    if len(seen) >= _LEAST_SEEN:
        spread = 1 + 2 / math.sqrt(len(seen))
        mean = sum(min(cap, one) for one in seen) / len(seen)
        return with_mean(mean, cap, 1 / spread, spread, f"{len(seen):,} samples that are there", _SPREAD)
    logged = of_benchmark(_LOGGED.get(benchmark, benchmark), cap) if cap >= _LEAST_CAP else None
    return prior(cap) if logged is None else beyond(logged)


def beyond(logged: Lengths) -> Lengths:
    """For a model that is not among those of the logs."""
    return replace(logged, low=logged.low / _BEYOND, high=logged.high * _BEYOND)


def forecast(
    asked: Sequence[Asked],
    engine: Engine,
    shape: ModelShape | None = None,
    place: Place | None = None,
    usd_per_million: tuple[float, float] | None = None,
) -> Forecast:
    """The whole. shape and place: of the machine, if they are known; usd_per_million: what a server takes instead."""
    tokens = _tokens(asked)
    prompts = sum(one.samples * one.prompt_tokens for one in asked)
    source = max(asked, key=lambda one: one.samples * one.lengths.mean).lengths.source if asked else "nothing to draw"
    lengths_matter = f"completion lengths ({source})"
    seconds, dominates = None, lengths_matter
    if shape is not None and place is not None:
        seconds, dominates = _seconds(asked, engine, shape, place, lengths_matter)
    usd, price = _usd(tokens, prompts, seconds, place, usd_per_million)
    return Forecast(
        place="" if place is None else _name(place),
        samples=sum(one.samples for one in asked),
        tokens=tokens,
        tokens_of={one.name: one.samples * one.lengths.mean for one in asked},
        prompt_tokens=prompts,
        seconds=seconds,
        usd=usd,
        price=price,
        dominates=dominates,
        room=None if shape is None or place is None or not asked else _room(asked, engine, shape, place),
    )


def served_by(card: Card) -> Machine:
    """A card under a vLLM server, which issues no operations one by one."""
    return replace(machine_of(card), launch_seconds=0.0)


def _name(place: Place) -> str:
    return place.machine.name if place.processes == 1 else f"{place.processes} x {place.machine.name}"


def _tokens(asked: Sequence[Asked]) -> Interval:
    def of(end: str) -> float:
        scaled = [one.lengths.scaled(getattr(one.lengths, end), one.cap) if end else one.lengths for one in asked]
        return sum(one.samples * lengths.mean for one, lengths in zip(asked, scaled, strict=True))

    return Interval(of(""), of("low"), of("high"))


def _seconds(
    asked: Sequence[Asked], engine: Engine, shape: ModelShape, place: Place, lengths_matter: str
) -> tuple[Interval, str]:
    """With the assumption that widens them most."""

    def of(machine: Machine, end: str) -> float:
        return sum(_seconds_of(one, end, engine, shape, machine, place.processes) for one in asked)

    machine = place.machine
    value, factor = of(machine, ""), machine.uncertainty
    ends = {
        lengths_matter: (of(machine, "low"), of(machine, "high")),
        f"the rates of {machine.name} (within a factor of {factor:g})": (
            of(varied(machine, factor), ""),
            of(varied(machine, 1 / factor), ""),
        ),
    }
    if value <= 0:
        return Interval(0.0, 0.0, 0.0), lengths_matter
    down, up = (math.sqrt(sum(math.log(pair[at] / value) ** 2 for pair in ends.values())) for at in (0, 1))
    widest = max(ends, key=lambda name: ends[name][1] / ends[name][0])
    return Interval(value, value * math.exp(-down), value * math.exp(up)), widest


def _seconds_of(one: Asked, end: str, engine: Engine, shape: ModelShape, machine: Machine, processes: int) -> float:
    """Of a benchmark: in rounds of twice the rows, as the program draws; a server has none."""
    lengths = one.lengths.scaled(getattr(one.lengths, end), one.cap) if end else one.lengths
    count = -(-one.samples // processes)
    whole, rest = (0, count) if engine.is_server else divmod(count, 2 * engine.rows)

    def decoding(samples: int) -> float:
        return decode_seconds(
            shape, machine, lengths, samples, engine.rows, one.prompt_tokens, engine.value_bytes, one.sorts
        )

    rounds = whole * decoding(2 * engine.rows) if whole else 0.0
    verdicts = count * (machine.reward_seconds or _VERDICT_SECONDS)
    return rounds + decoding(rest) + verdicts


def _usd(
    tokens: Interval,
    prompt_tokens: float,
    seconds: Interval | None,
    place: Place | None,
    usd_per_million: tuple[float, float] | None,
) -> tuple[Interval | None, str]:
    if usd_per_million is not None:
        into, out = usd_per_million
        ends = [(into * prompt_tokens + out * one) / 1e6 for one in (tokens.value, tokens.low, tokens.high)]
        return Interval(*ends), f"${into:g} and ${out:g} a million tokens in and out"
    if seconds is None or place is None or place.usd_per_hour is None:
        return None, ""
    rate = place.usd_per_hour * place.processes / 3600
    ends = [rate * one for one in (seconds.value, seconds.low, seconds.high)]
    return Interval(*ends), f"${place.usd_per_hour:g} an hour{' each' * (place.processes > 1)}, {place.price_source}"


def _room(asked: Sequence[Asked], engine: Engine, shape: ModelShape, place: Place) -> Room:
    """By the formula of `memory`: an evaluation holds weights, the engine's copy of them and its cache."""
    longest = max(one.longest_prompt + one.cap for one in asked)
    most = max(-(-one.samples // place.processes) for one in asked)
    rows = max(1, min(engine.rows, most))

    def peak(rows: int) -> float:
        return memory_of(shape, _settings(shape, engine.value_bytes, rows, longest, place.on_cpu)).rollout_gb

    room, one_row = _USABLE * place.memory_gb, peak(2) - peak(1)
    fit = max(0, math.floor((room - peak(1)) / one_row + 1)) if one_row > 0 else rows
    return Room(peak(rows), place.memory_gb, rows, fit)


def _settings(shape: ModelShape, width: int, rows: int, tokens: int, on_cpu: bool) -> MemorySettings:
    return MemorySettings(
        value_bytes=width,
        trained=0,
        has_reference=False,
        trains_head=False,
        checkpointing=False,
        rollout_rows=rows,
        rollout_tokens=tokens,
        evaluation_rows=0,
        evaluation_tokens=tokens,
        update_tokens=0,
        micro_batch_tokens=0,
        loss_tokens=0,
        logits_chunk=0,
        on_cpu=on_cpu,
    )
