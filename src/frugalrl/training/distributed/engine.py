"""A rollout engine that is shared by processes: each samples its part, and all get everything.

A sequence depends on its prompt, its seed and the weights and not on what is sampled beside it (exactly in fp32), so
that any number of processes gives the same completions. Nobody is told of finished sequences (`on_finished`): which
process judges a completion follows from its number, and not from where it was sampled.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from frugalrl.rollout.engine import (
    OnFinished,
    RolloutEngine,
    RolloutRequest,
    SampledSequence,
    SamplingParams,
    SharedModel,
    WeightSource,
)
from frugalrl.rollout.wrapped_engine import WrappedEngine
from frugalrl.training.distributed.dealing import deal_samples
from frugalrl.training.distributed.placement import Placement
from frugalrl.training.distributed.world import World

Answers = list[list[SampledSequence]]
"""As an engine returns them: a list for each request."""


class SharedEngine(WrappedEngine):
    """The engines of all processes as one."""

    def __init__(self, engine: RolloutEngine, placement: Placement) -> None:
        """engine: of this process, over the weights that `placement` makes whole."""
        super().__init__(engine)
        self._placement, self._world = placement, placement.world

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """See `RolloutEngine.load_weights`."""
        with self._placement.whole_weights():
            super().load_weights(source, policy_version)

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`; `on_finished` is not called."""
        shares = deal_samples([len(request.seeds) for request in requests], self._world.size)
        own = [
            RolloutRequest(requests[number].prompt_ids, tuple(requests[number].seeds[sample] for sample in samples))
            for number, samples in shares[self._world.rank]
        ]

        def sample() -> list[list[list[Any]]]:
            answers = self._engine.generate(own, sampling) if own else []
            return [[_packed(sequence) for sequence in answer] for answer in answers]

        with self._placement.whole_weights():
            answered = self._world.each(sample)
        found = {
            (number, sample): _unpacked(sequence)
            for share, answers in zip(shares, answered, strict=True)
            for (number, samples), answer in zip(share, answers, strict=True)
            for sample, sequence in zip(samples, answer, strict=True)
        }
        return [[found[number, sample] for sample in range(len(one.seeds))] for number, one in enumerate(requests)]


class ServedEngine:
    """An engine behind servers: the first process talks to them, and all get what it got."""

    def __init__(self, build: Callable[[], RolloutEngine], placement: Placement) -> None:
        """build: makes the engine, in the first process. Raises what it raises, in all."""
        self._placement, self._world = placement, placement.world
        self._engine: RolloutEngine | None = None

        def begin() -> bool:
            self._engine = build()
            return self._engine.logprobs_are_exact

        self._exact = self._world.main(begin)
        self._metrics: Mapping[str, float] = {}

    @property
    def logprobs_are_exact(self) -> bool:
        return self._exact

    @property
    def metrics(self) -> Mapping[str, float]:
        return self._metrics

    def rest(self) -> None:
        """See `RolloutEngine.rest`."""
        self._world.main(lambda: self.own.rest())

    def close(self) -> None:
        """See `RolloutEngine.close`."""
        if self._engine is not None:
            self._engine.close()

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """See `RolloutEngine.load_weights`. The source is the model of the run."""
        assert isinstance(source, SharedModel)
        model = self._placement.complete(source.model)

        def load() -> dict[str, float]:
            self.own.load_weights(SharedModel(model), policy_version)
            return dict(self.own.metrics)

        self._metrics = self._world.main(load)

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`; `on_finished` is not called."""
        return told_answers(self._world, lambda: self.own.generate(requests, sampling))

    @property
    def own(self) -> RolloutEngine:
        """The engine itself, which the first process has."""
        assert self._engine is not None, "only the first process has an engine"
        return self._engine


def own_engine(engine: RolloutEngine) -> RolloutEngine:
    """The engine with which the first process samples without the others."""
    return engine.own if isinstance(engine, ServedEngine) else engine


def told_answers(world: World, answers: Callable[[], Answers]) -> Answers:
    """What the first process sampled, in all of them. Raises what it raises, in all."""
    if world.size == 1:
        return answers()
    told = world.main(lambda: [[_packed(sequence) for sequence in answer] for answer in answers()])
    return [[_unpacked(sequence) for sequence in answer] for answer in told]


def _packed(sequence: SampledSequence) -> list[Any]:
    return [
        sequence.token_ids,
        sequence.logprobs,
        sequence.finish_reason,
        sequence.policy_versions,
        sequence.loss_mask,
    ]


def _unpacked(values: list[Any]) -> SampledSequence:
    token_ids, logprobs, finish_reason, policy_versions, loss_mask = values
    return SampledSequence(tuple(token_ids), tuple(logprobs), finish_reason, tuple(policy_versions), tuple(loss_mask))
