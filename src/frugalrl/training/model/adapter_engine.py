"""Sampling from a policy with adapters: from merged weights, or from base and adapters apart.

Evaluations always sample from merged weights, since that is the model that is exported: in the recipe's dtype, so what
a reader gets who loads the export in it. Rollouts do so in fp32, where one matrix is faster than three and equal within
rounding. In bfloat16 rollouts sample from base and adapters apart, as the trainer computes: merged weights are rounded
once more, and farther from it. docs/lora.md has the measured distances. Servers get merged weights, or
the adapters alone.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from frugalrl.errors import OutputError
from frugalrl.rollout.engine import (
    AdapterFolder,
    OnFinished,
    RolloutEngine,
    RolloutRequest,
    SampledSequence,
    SamplingParams,
    SharedModel,
    WeightSource,
)
from frugalrl.rollout.vllm_engine import VllmEngine
from frugalrl.rollout.wrapped_engine import WrappedEngine
from frugalrl.training.model.adapter import AdapterPolicy
from frugalrl.training.model.policy import Policy


class MergedServer(WrappedEngine):
    """An engine behind servers: they get merged weights, and while they sample the policy here may learn."""

    def __init__(self, engine: RolloutEngine, policy: AdapterPolicy) -> None:
        super().__init__(engine)
        self._policy = policy

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        with self._over(source).merged():
            super().load_weights(source, policy_version)

    def _over(self, source: WeightSource) -> AdapterPolicy:
        """The policy over the model that is the source: its own, or one of whole weights where its own is in parts."""
        assert isinstance(source, SharedModel)
        return self._policy.over(source.model)


class MergedEngine(MergedServer):
    """An engine in process, whose model has merged weights while it loads weights and samples."""

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        with self._policy.merged():
            return super().generate(requests, sampling, on_finished)


class AdapterServer(MergedServer):
    """An engine behind servers that have the base: they get the adapters alone, in a folder."""

    def __init__(self, engine: RolloutEngine, policy: AdapterPolicy, folder: Path) -> None:
        super().__init__(engine, policy)
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """Write the adapters, and keep those of the update before until the servers have these. Raises OutputError."""
        target, policy = self._folder / str(policy_version), self._over(source)
        try:
            target.mkdir(parents=True, exist_ok=True)
            policy.write(target)
            for path in target.iterdir():
                path.chmod(0o644)  # a server may run as another user
        except OSError as error:
            raise OutputError(f"The adapters for the servers cannot be written to {target}: {error}.") from None
        self._engine.load_weights(AdapterFolder(target, policy.model), policy_version)
        for older in self._folder.iterdir():
            if older != target:
                shutil.rmtree(older, ignore_errors=True)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)


def adapter_engines(
    policy: Policy, engine: RolloutEngine, evaluation_engine: RolloutEngine, folder: Path = Path()
) -> tuple[RolloutEngine, RolloutEngine]:
    """The engines of a run as they are, or for adapters: that of rollouts, and that of evaluations.

    folder: for adapters on their way to servers.
    """
    if not isinstance(policy, AdapterPolicy):
        return engine, evaluation_engine
    if isinstance(engine, VllmEngine):
        server = AdapterServer(engine, policy, folder) if engine.takes_adapters else MergedServer(engine, policy)
        return server, server
    merged = MergedEngine(evaluation_engine, policy)
    if not engine.logprobs_are_exact:
        return engine, merged
    return (merged if engine is evaluation_engine else MergedEngine(engine, policy)), merged
