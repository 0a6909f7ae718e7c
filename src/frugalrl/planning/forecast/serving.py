"""vLLM servers in a plan: what one holds on its card, how many completions it samples at once, and how long. Pure.

A server takes the share of its card that `--gpu-memory-utilization` gives it: its weights, what it needs to compute,
and the cache, which is what remains. In Open-RS's released evaluations (vLLM 0.7.2, 0.8 of 44.34 GiB, this model in
bf16) the cache had 30.04 GiB, so 2.1 GiB are for computing. Operations are not issued one by one; a decoding iteration
is bound by what it moves. Held against those 66 logs in docs/plan.md.

A server that the run does not launch is taken for one card of the kind at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.forecast.clock import Machine, Sampled, Seconds, Work, decode_seconds
from frugalrl.planning.forecast.lengths import Lengths
from frugalrl.planning.forecast.memory import GB, MemoryPlan
from frugalrl.planning.forecast.shape import ModelShape

_UTILIZATION = 0.9
"""vLLM's own default."""
_COMPUTING_GB = 2.28
"""Activations, graphs and CUDA's context: 35.47 GiB less weights (3.31) and cache (30.04)."""
_MOST_SEQUENCES = 256
"""vLLM's own default of `--max-num-seqs`."""
_FOLDER_BANDWIDTH = 7e8
"""Bytes a second from the trainer through a folder into a server: 0.5 to 0.6 s for 0.4 GB, measured on a CPU."""


@dataclass(frozen=True)
class Servers:
    """The servers of a recipe, all alike."""

    count: int
    cards_each: int
    own_cards: int
    """Cards that nobody trains on, of all servers together."""
    sleeps: bool
    """Whether memory is given back during updates."""
    utilization: float
    most_sequences: int
    published: str
    """How weights reach it: folder, nccl or adapter."""

    @property
    def shares(self) -> bool:
        """Whether a server lies beside the trainer on its card."""
        return self.own_cards < self.count * self.cards_each


@dataclass(frozen=True)
class ServerMemory:
    """Gigabytes on each card of a server."""

    weights: float
    computing: float
    cache: float
    """What remains of its share; negative if it does not start."""
    cache_tokens: int
    """Of all cards of a server."""

    @property
    def total(self) -> float:
        """Its share of the card."""
        return self.weights + self.computing + self.cache


def servers_of(recipe: TrainRecipe) -> Servers | None:
    """From `rollout.engine` and `devices`; None where the engine is in process."""
    engine, devices = recipe.rollout.engine, recipe.devices
    if not isinstance(engine, VllmEngineSettings):
        return None
    groups = devices.serve if engine.launch and devices.serve else ((None,),) * max(1, len(engine.urls))
    own = sum(gpu is None or gpu not in devices.train for group in groups for gpu in group)
    return Servers(
        count=len(groups),
        cards_each=len(groups[0]),
        own_cards=own,
        sleeps=engine.sleep,
        utilization=_given(engine.arguments, "--gpu-memory-utilization", _UTILIZATION),
        most_sequences=int(_given(engine.arguments, "--max-num-seqs", _MOST_SEQUENCES)),
        published=engine.weights,
    )


def _given(arguments: Sequence[str], name: str, default: float) -> float:
    """The number after an option, or after its equals sign."""
    words = [word for one in arguments for word in one.split("=", 1)]
    for at, word in enumerate(words[:-1]):
        if word == name:
            try:
                return float(words[at + 1])
            except ValueError:
                return default
    return default


def server_memory(shape: ModelShape, servers: Servers, card_gb: float, value_bytes: int) -> ServerMemory:
    """Of each of a server's cards."""
    weights = shape.parameters * value_bytes / servers.cards_each / GB
    cache = servers.utilization * card_gb - weights - _COMPUTING_GB
    token = shape.cache_values_per_token * value_bytes / servers.cards_each
    return ServerMemory(weights, _COMPUTING_GB, cache, max(0, int(cache * GB / token)))


def rows_at_once(servers: Servers, memory: ServerMemory, tokens: float) -> int:
    """Completions that a server has in flight, by its own limit or by its cache. tokens: of a prompt and a completion
    on average."""
    return max(1, min(servers.most_sequences, int(memory.cache_tokens / tokens)))


def beside_the_trainer(memory: MemoryPlan, servers: Servers, card_gb: float) -> MemoryPlan:
    """The trainer's card, with the server that lies on it: asleep it still has what it computes with."""
    if not servers.shares:
        return memory
    whole = servers.utilization * card_gb
    return replace(
        memory,
        sampling={**memory.sampling, "server": whole},
        updating={**memory.updating, "server": _COMPUTING_GB if servers.sleeps else whole},
    )


def with_servers(
    own: Seconds,
    shape: ModelShape,
    machine: Machine,
    servers: Servers,
    memory: ServerMemory,
    work: Work,
    lengths: Lengths,
    beside_the_update: bool,
) -> Seconds:
    """The seconds of a run whose completions come from servers. beside_the_update: one step off policy."""
    reward = machine.reward_seconds or work.reward_seconds

    def sampled(one: Sampled) -> float:
        return served_seconds(shape, machine, servers, memory, one, work.prompt_tokens, work.value_bytes)

    step = Sampled(work.completions, work.rows, lengths, work.sorts)
    evaluations = [one if one.lengths else replace(one, lengths=lengths) for one in work.evaluations]
    rollout = work.steps * sampled(step)
    return replace(
        own,
        rollout=max(0.0, rollout - own.update) if beside_the_update else rollout,
        evaluation=sum(one.times * (sampled(one) + one.completions * reward) for one in evaluations),
        sync=work.steps * publishing_seconds(shape, machine, servers, work),
    )


def served_seconds(
    shape: ModelShape,
    machine: Machine,
    servers: Servers,
    memory: ServerMemory,
    sampled: Sampled,
    prompt_tokens: float,
    width: int,
) -> float:
    """Of sampling, with the completions dealt to all servers. `sampled.lengths` is set; its rows are not asked."""
    assert sampled.lengths is not None
    together = replace(
        machine,
        launch_seconds=0.0,
        bandwidth=machine.bandwidth * servers.cards_each,
        decode_flops=machine.decode_flops * servers.cards_each,
    )
    rows = rows_at_once(servers, memory, prompt_tokens + sampled.lengths.mean)
    count = -(-sampled.completions // servers.count)
    return decode_seconds(shape, together, sampled.lengths, count, rows, prompt_tokens, width, sampled.sorts)


def publishing_seconds(shape: ModelShape, machine: Machine, servers: Servers, work: Work) -> float:
    """Of sending the weights of a step to the servers."""
    share = work.trained_share if servers.published == "adapter" else 1.0
    size = share * shape.parameters * work.value_bytes
    return size / (machine.bus_bandwidth if servers.published == "nccl" else _FOLDER_BANDWIDTH)
