"""A rollout engine that is shared by processes: each samples its part, and all get everything.

A sequence depends on its prompt, its seed and the weights and not on what is sampled beside it (exactly in fp32), so
that any number of processes gives the same completions.
"""

from collections.abc import Sequence
from typing import Any

from frugalrl.rollout.engine import RolloutEngine, RolloutRequest, SampledSequence, SamplingParams, WeightSource
from frugalrl.training.distributed.dealing import deal_samples
from frugalrl.training.distributed.placement import Placement


class SharedEngine:
    """The engines of all processes as one."""

    def __init__(self, engine: RolloutEngine, placement: Placement) -> None:
        """engine: of this process, over the weights that `placement` makes whole."""
        self._engine, self._placement, self._world = engine, placement, placement.world

    @property
    def logprobs_are_exact(self) -> bool:
        return self._engine.logprobs_are_exact

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """See `RolloutEngine.load_weights`."""
        with self._placement.whole_weights():
            self._engine.load_weights(source, policy_version)

    def generate(self, requests: Sequence[RolloutRequest], sampling: SamplingParams) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`."""
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
