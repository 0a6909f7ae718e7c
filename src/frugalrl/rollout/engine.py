"""The seam between training and sampling: token ids in, token ids and log-probabilities out."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from frugalrl.types import FinishReason, require_one_for_each_token

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is sampled."""

    max_completion_tokens: int
    temperature: float = 1.0
    """The logits are divided by it; 0 is greedy."""
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
    """One completion as the engine returns it."""

    token_ids: tuple[int, ...]
    """Including the end token if one was sampled."""
    logprobs: tuple[float, ...]
    """Of each token under the policy at the sampling temperature, in nats, over the full vocabulary
    (top-p and top-k restrict what is sampled, not what is reported); at temperature 0 under the policy itself."""
    finish_reason: FinishReason
    policy_versions: tuple[int, ...]
    """For each token: the version of the weights that sampled it. A server may change weights mid-sequence."""
    loss_mask: tuple[bool, ...] = ()
    """For each token: whether the policy sampled it and learns from it; a tool's or a user's tokens do not count.
    If empty, all do."""

    def __post_init__(self) -> None:
        if not self.loss_mask:
            object.__setattr__(self, "loss_mask", (True,) * len(self.token_ids))
        require_one_for_each_token(self.token_ids, self.logprobs, self.policy_versions, self.loss_mask)


@dataclass(frozen=True)
class SharedModel:
    """Weights in the memory of this process: the trainer's own model, in place."""

    model: Any
    """A transformers causal LM."""


@dataclass(frozen=True)
class WeightFolder:
    """Weights in a folder in Hub layout: `model.safetensors`, or shards of it."""

    path: Path


@dataclass(frozen=True)
class AdapterFolder:
    """LoRA adapters in a folder in peft's format, of a base that the engine has already."""

    path: Path
    model: Any
    """The trainer's model with these adapters in it and on."""


@dataclass(frozen=True)
class NamedTensors:
    """Weights by their names in a Hub checkpoint, e.g. `model.layers.0.self_attn.q_proj.weight`, in any order.

    The torch engine copies them into a layout of its own and keeps no reference, so they may be made one at a time: it
    is done with one before it asks for the next, or for the last of the few that it computes as one. All of the model's
    tensors must come; a tied head may be left out. Typical uses:

    - FSDP2: `NamedTensors((name, p.full_tensor()) for name, p in model.named_parameters())`, on every rank.
    - LoRA: `NamedTensors(merged_tensors(model))`, whose names are those of the plain model.
    """

    tensors: Iterable[tuple[str, "Tensor"]]


WeightSource = SharedModel | WeightFolder | NamedTensors | AdapterFolder
"""Where an engine finds weights."""


OnFinished = Callable[[int, int, SampledSequence], None]
"""Told of a finished sequence: the number of its request, the number of its seed in it, the sequence."""


class RolloutEngine(Protocol):
    """Anything that samples completions: the torch engine in process, a server, a script in tests."""

    @property
    def logprobs_are_exact(self) -> bool:
        """Whether they equal what the trainer computes, so that they can be used as old log-probs."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """What the last load of weights measured, for the log line of the step; nothing in process."""
        ...

    def generate(
        self,
        requests: Sequence[RolloutRequest],
        sampling: SamplingParams,
        on_finished: OnFinished | None = None,
    ) -> list[list[SampledSequence]]:
        """One list per request, in order; in it one sequence per seed, in order.

        A sequence depends on its prompt, its seed and the weights, not on what else is sampled with it.
        Raises ModelError if the weights give no distribution to draw from (NaN, infinity).

        on_finished: called with sequences as they finish, while others are still sampled, so that work on them can
        begin. From any thread, several at once too; never after `generate` has returned. What is returned counts: an
        engine may leave calls out, and makes one again for what it samples again, as after memory ran out.
        """
        ...

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """Sample from these weights from now on, and report this version of them.

        Raises ModelError for a source that this engine cannot read, or weights that do not fit its model.
        """
        ...

    def rest(self) -> None:
        """Give back the memory that an update may need. Whatever is called next takes it again."""
        ...

    def close(self) -> None:
        """End what it started; nothing is sampled after this."""
        ...


def generate(
    engine: RolloutEngine,
    requests: Sequence[RolloutRequest],
    sampling: SamplingParams,
    on_finished: OnFinished | None,
) -> list[list[SampledSequence]]:
    """`engine.generate`, also of an engine that was written before there was `on_finished`: it tells nothing."""
    if on_finished is None or "on_finished" not in inspect.signature(engine.generate).parameters:
        return engine.generate(requests, sampling)
    return engine.generate(requests, sampling, on_finished)
