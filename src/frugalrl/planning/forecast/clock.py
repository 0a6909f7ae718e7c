"""Seconds of a step and of a run by phase, from a machine's rates. Pure.

Decoding is simulated: completions are admitted to the engine's rows as rows become free, and an iteration takes the
longer of issuing the model's operations and of moving weights and live cache. An update is counted in floating-point
operations at a utilisation, and what the optimizer moves in bytes. Both were held against what was measured
(docs/plan.md).
"""

import functools
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

from frugalrl.planning.forecast.cards import Card
from frugalrl.planning.forecast.lengths import Lengths
from frugalrl.planning.forecast.shape import ModelShape

OPERATIONS_PER_LAYER = 44
"""Of an iteration of decoding: 1,239 of 28 layers, counted."""
_OPERATIONS_BESIDE = 7
_MOST_SIMULATED = 4096
"""Completions that are followed one by one; of more, several are followed as one."""
_DRAWN_BYTES, _SORTED_BYTES = 48, 800
"""Moved for each logit of a row while its token is drawn; with top-p or top-k the vocabulary is sorted. The second was
fitted to Open-RS's released evaluations (vLLM 0.7.2, top-p 0.95): 0.22 ms a row on an A40."""


@dataclass(frozen=True)
class Machine:
    """The rates that time is computed from, each with the factors of its likely range."""

    name: str
    launch_seconds: float
    """Of the host, for an operation."""
    bandwidth: float
    """Bytes a second that decoding reaches."""
    flops: float
    """Floating-point operations a second that an update reaches."""
    decode_flops: float
    """The same for decoding, which is bound by it on a CPU."""
    disk_bandwidth: float = 5e8
    is_serial: bool = False
    """Whether issuing and computing add up, as on a CPU, or overlap."""
    reward_seconds: float | None = None
    """Of a completion; None: what `Work` assumes."""
    bus_bandwidth: float = 12e9
    """Bytes a second between the card and host memory: PCIe 4.0, plain copies. Assumed."""
    host_bandwidth: float = 2.5e10
    """Bytes a second that an update in host memory reaches: a server with several channels. Assumed."""
    uncertainty: float = 1.35
    """A rate may be so many times higher or lower: taken from a table, 1.35; measured here, 1.3."""


def machine_of(card: Card, launch_seconds: float = 8e-6, utilisation: float = 0.3) -> Machine:
    """A card under the torch engine: 8 us a launch, 80 % of its bandwidth, 30 % of its matrix rate in updates."""
    rate = card.tflops * 1e12
    return Machine(card.name, launch_seconds, 0.8 * card.bandwidth_gb * 1e9, utilisation * rate, 0.5 * rate)


@dataclass(frozen=True)
class Sampled:
    """An evaluation: completions that nothing is learned from."""

    completions: int
    rows: int
    lengths: Lengths | None = None
    """None: as in training."""
    sorts: bool = False
    """Whether tokens are drawn with top-p or top-k."""
    times: int = 1
    """How often."""


@dataclass(frozen=True)
class StateTraffic:
    """Bytes that move beside the computing of an update."""

    device_per_update: float = 0.0
    """On the device: weights, gradients, masters and moments."""
    bus_per_update: float = 0.0
    """Gradients to the host, and weights back."""
    host_per_update: float = 0.0
    """In host memory, where masters and moments are there."""
    bus_per_step: float = 0.0
    """A reference that waits in host memory."""


@dataclass(frozen=True)
class Work:
    """What a run does."""

    steps: int
    completions: int
    """Of a step."""
    group_size: int
    rows: int
    prompt_tokens: float
    """Mean."""
    updates: int
    extra_forwards: int
    """Passes beside the one that learns: reference, recomputed old log-probs."""
    checkpointing: bool
    value_bytes: int
    evaluations: Sequence[Sampled]
    checkpoints: int
    checkpoint_bytes: float
    reward_seconds: float = 0.002
    """Of a completion."""
    trained_share: float = 1.0
    sorts: bool = False
    """Whether tokens are drawn with top-p or top-k."""
    traffic: StateTraffic = field(default_factory=StateTraffic)


@dataclass(frozen=True)
class Seconds:
    """Of a run, by phase."""

    rollout: float
    reward: float
    update: float
    evaluation: float
    saving: float
    start: float
    sync: float = 0.0
    """Weights on their way to servers."""

    @property
    def total(self) -> float:
        """Everything."""
        phases: list[float] = [getattr(self, one.name) for one in fields(self)]
        return sum(phases)


def seconds_of(shape: ModelShape, machine: Machine, work: Work, lengths: Lengths) -> Seconds:
    """Of the whole run. `Seconds.rollout`, `reward` and `update` are of all steps together."""
    width, prompt = work.value_bytes, work.prompt_tokens
    reward = machine.reward_seconds or work.reward_seconds
    one_step = decode_seconds(shape, machine, lengths, work.completions, work.rows, prompt, width, work.sorts)

    def evaluated(one: Sampled) -> float:
        own = lengths if one.lengths is None else one.lengths
        return decode_seconds(shape, machine, own, one.completions, one.rows, prompt, width, one.sorts)

    return Seconds(
        rollout=work.steps * one_step,
        reward=work.steps * work.completions * reward,
        update=work.steps * update_seconds(shape, machine, work, lengths),
        evaluation=sum(one.times * (evaluated(one) + one.completions * reward) for one in work.evaluations),
        saving=work.checkpoints * work.checkpoint_bytes / machine.disk_bandwidth,
        start=10.0 + shape.parameters * width * (2 if work.extra_forwards else 1) / machine.disk_bandwidth,
    )


def update_seconds(shape: ModelShape, machine: Machine, work: Work, lengths: Lengths) -> float:
    """Of one step: forward and backward of every token, the passes without a gradient, and the optimizer."""
    tokens = work.completions * lengths.mean + work.completions / work.group_size * work.prompt_tokens
    context = work.prompt_tokens + lengths.mean
    learning = 6 + 2 * work.checkpointing - 2 * (1 - work.trained_share)
    passes = learning * work.updates + 2 * work.extra_forwards
    attention = 2 * shape.layers * shape.heads * shape.head_dim * context
    computed = tokens * passes * (shape.in_products + attention) / machine.flops
    return computed + moving_seconds(machine, work.traffic, work.updates)


def moving_seconds(machine: Machine, traffic: StateTraffic, updates: int) -> float:
    """Of a step: what optimizer and reference move. Transfers wait, as the program's do. A CPU has no bus."""
    on_device = traffic.device_per_update / machine.bandwidth
    if machine.is_serial:
        return updates * on_device
    bus, host = traffic.bus_per_update / machine.bus_bandwidth, traffic.host_per_update / machine.host_bandwidth
    return updates * (on_device + bus + host) + traffic.bus_per_step / machine.bus_bandwidth


@functools.lru_cache(maxsize=256)
def decode_seconds(
    shape: ModelShape,
    machine: Machine,
    lengths: Lengths,
    count: int,
    rows: int,
    prompt_tokens: float,
    width: int,
    sorts: bool = False,
) -> float:
    """Of sampling `count` completions with so many rows, admitted in order, as the torch engine does."""
    if not count:
        return 0.0
    prefill = count * prompt_tokens * 2 * shape.in_products / machine.decode_flops / 4
    bundle = -(-count // _MOST_SIMULATED)  # completions that one stands for
    count, rows = -(-count // bundle), max(1, rows // bundle)
    quantiles = lengths.quantiles
    # A stride that is coprime to their number spreads long and short ones evenly, the same in every plan.
    waiting = [quantiles[(at * 37) % len(quantiles)] for at in range(count)][::-1]
    ends: list[tuple[int, int]] = []
    now, begun_at, seconds = 0, 0, 0.0
    while waiting or ends:
        while waiting and len(ends) < rows:
            heapq.heappush(ends, (now + waiting.pop(), now))
            begun_at += now
        until, busy = ends[0][0], bundle * len(ends)
        # What the rows hold in the middle of this stretch: their prompts, and what they have written since they began.
        live = busy * (prompt_tokens + (now + until) / 2) - bundle * begun_at
        seconds += (until - now) * iteration_seconds(shape, machine, busy, live, width, sorts)
        now = until
        while ends and ends[0][0] == now:
            begun_at -= heapq.heappop(ends)[1]
    return seconds + prefill


def iteration_seconds(
    shape: ModelShape, machine: Machine, rows: int, live_tokens: float, width: int, sorts: bool = False
) -> float:
    """Of one token for each row: the host issues, the device moves and multiplies, whichever takes longer."""
    host = (shape.layers * OPERATIONS_PER_LAYER + _OPERATIONS_BESIDE) * machine.launch_seconds
    cache = live_tokens * shape.cache_values_per_token * width
    multiplied = 2 * rows * shape.in_products
    if machine.is_serial:
        return host + cache / machine.bandwidth + multiplied / machine.decode_flops
    moved = shape.in_products * width + cache
    drawn = rows * shape.vocabulary * (_SORTED_BYTES if sorts else _DRAWN_BYTES)
    return max(host, (moved + drawn) / machine.bandwidth, multiplied / machine.decode_flops)


def varied(machine: Machine, factor: float) -> Machine:
    """The machine with all rates times a factor."""
    return replace(
        machine,
        launch_seconds=machine.launch_seconds / factor,
        bandwidth=machine.bandwidth * factor,
        flops=machine.flops * factor,
        decode_flops=machine.decode_flops * factor,
    )
