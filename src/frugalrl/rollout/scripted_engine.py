"""A rollout engine that answers from a script: for tests and examples, without a model."""

from collections.abc import Callable, Mapping, Sequence

from frugalrl.rollout.engine import OnFinished, RolloutRequest, SampledSequence, SamplingParams, WeightSource
from frugalrl.types import FinishReason

Script = Callable[[tuple[int, ...], int], tuple[int, ...]]
"""Prompt ids and seed in, the completion's token ids out, including the end token."""
LossMask = Callable[[tuple[int, ...]], tuple[bool, ...]]
"""A completion's token ids in; for each, whether it counts in the loss."""


class ScriptedEngine:
    """Returns what a function gives, cut at the cap; every token has the log-probability `logprob`.

    loss_mask: which tokens count in the loss (a tool's do not); by default all do.
    """

    def __init__(
        self,
        script: Script,
        logprob: float = -1.0,
        logprobs_are_exact: bool = False,
        loss_mask: LossMask = lambda token_ids: (True,) * len(token_ids),
    ) -> None:
        self._script = script
        self._loss_mask = loss_mask
        self._logprob = logprob
        self._exact = logprobs_are_exact
        self.policy_version = 0

    @property
    def logprobs_are_exact(self) -> bool:
        return self._exact

    @property
    def metrics(self) -> Mapping[str, float]:
        return {}

    def rest(self) -> None:
        """See `RolloutEngine.rest`; nothing is held between rollouts."""

    def close(self) -> None:
        """Nothing to end."""

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """Record the version; a script has no weights."""
        self.policy_version = policy_version

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        """See `RolloutEngine.generate`. One sequence after the other, in order."""
        answers: list[list[SampledSequence]] = [[] for _ in requests]
        for number, request in enumerate(requests):
            for sample, seed in enumerate(request.seeds):
                answers[number].append(self._sequence(request.prompt_ids, seed, sampling))
                if on_finished is not None:
                    on_finished(number, sample, answers[number][-1])
        return answers

    def _sequence(self, prompt_ids: tuple[int, ...], seed: int, sampling: SamplingParams) -> SampledSequence:
        whole = self._script(prompt_ids, seed)
        token_ids = whole[: sampling.max_completion_tokens]
        reason: FinishReason = "stop" if len(whole) <= sampling.max_completion_tokens else "length"
        logprobs, versions = (self._logprob,) * len(token_ids), (self.policy_version,) * len(token_ids)
        return SampledSequence(token_ids, logprobs, reason, versions, self._loss_mask(token_ids))
