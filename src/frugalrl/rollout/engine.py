"""The seam between training and sampling: token ids in, token ids and log-probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from frugalrl.types import FinishReason


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is drawn."""

    max_completion_tokens: int
    temperature: float = 1.0
    """The logits are divided by it; 0 takes the likeliest token."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together reach this probability; 1 keeps all."""
    top_k: int = 0
    """Keep this many likeliest tokens; 0 keeps all."""


@dataclass(frozen=True)
class RolloutRequest:
    """One prompt and a seed for each completion wanted of it."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class SampledSequence:
    """One completion as the engine gives it."""

    token_ids: tuple[int, ...]
    """The end token included if one was sampled."""
    logprobs: tuple[float, ...]
    """Of each token under the policy at the sampling temperature, in nats, over the whole vocabulary
    (top-p and top-k restrict what is drawn, not what is reported); at temperature 0 under the policy itself."""
    finish_reason: FinishReason
    policy_version: int


class RolloutEngine(Protocol):
    """Anything that can sample completions: the torch engine in process, a server, a script in tests."""

    @property
    def logprobs_are_exact(self) -> bool:
        """Whether they equal what the trainer computes, so that they can serve as old log-probs."""
        ...

    def generate(self, requests: Sequence[RolloutRequest], sampling: SamplingParams) -> list[list[SampledSequence]]:
        """One list a request, in order; in it one sequence a seed, in order.

        A sequence depends on its prompt, its seed and the weights, not on what else is sampled with it.
        """
        ...

    def load_weights(self, model: Any, policy_version: int) -> None:
        """Sample from these weights from now on."""
        ...
