"""An engine around another: every call goes to the one inside, until a subclass says otherwise."""

from collections.abc import Mapping, Sequence

from frugalrl.rollout.engine import (
    OnFinished,
    RolloutEngine,
    RolloutRequest,
    SampledSequence,
    SamplingParams,
    WeightSource,
    generate,
)


class WrappedEngine:
    """A `RolloutEngine` that does what the one inside does."""

    def __init__(self, engine: RolloutEngine) -> None:
        self._engine = engine

    @property
    def logprobs_are_exact(self) -> bool:
        """See `RolloutEngine.logprobs_are_exact`."""
        return self._engine.logprobs_are_exact

    @property
    def metrics(self) -> Mapping[str, float]:
        """See `RolloutEngine.metrics`."""
        return self._engine.metrics

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """See `RolloutEngine.load_weights`."""
        self._engine.load_weights(source, policy_version)

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`."""
        return generate(self._engine, requests, sampling, on_finished)

    def rest(self) -> None:
        """See `RolloutEngine.rest`."""
        self._engine.rest()

    def close(self) -> None:
        """See `RolloutEngine.close`."""
        self._engine.close()
