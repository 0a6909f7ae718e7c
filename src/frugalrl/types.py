"""The records that flow between stages: frozen, each made by one stage, never modified later.

    Problem -> Prompt -> Completion -> RolloutGroup -> ScoredGroup -> (advantages) -> MicroBatch -> StepMetrics

The type of a value says how far it has come. Token counts are in tokens of the policy's tokenizer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

FinishReason = Literal["stop", "length"]
"""`stop`: an end token was sampled. `length`: the cap on completion tokens was reached (truncated)."""

VerdictLabel = Literal["correct", "incorrect", "unknown"]


NOTHING_TO_LEARN = "nothing can be learned any more"
"""How the reason begins for which a run was ended because no completion gives a learning signal."""


@dataclass(frozen=True)
class Check:
    """Who judges the answers to a problem, and what counts as right besides its gold."""

    task: str = "maths"
    """A name in the table of tasks, or the dotted path of a user's task."""
    also_accepted: tuple[str, ...] = ()
    """Answers that are as right as the gold; any one will do. Answers that are right together are one gold."""
    tolerance: Fraction | None = None
    """A number within this distance of the gold is also right."""


@dataclass(frozen=True)
class Problem:
    """A question with a checkable answer."""

    id: str
    """Unique in its data set, e.g. ``"gsm8k-train-0"``."""
    text: str
    """What is asked, without template, e.g. ``"Compute $12 + 7 \\times 3$."``."""
    gold: str
    """The accepted answer, e.g. ``"33"`` or ``"\\frac{1}{2}"``; empty where a checker needs none."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Every other column of its row, passed to reward functions by name."""
    check: Check = Check()
    messages: tuple[Mapping[str, str], ...] = ()
    """The row's own conversation, which ends with `text`; empty where the question stands alone."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """All accepted answers, the gold first."""
        return (self.gold, *self.check.also_accepted)


@dataclass(frozen=True)
class Prompt:
    """A problem after template and tokenizer."""

    problem: Problem
    text: str
    """The full prompt as the model sees it, including special tokens."""
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class Completion:
    """One sampled answer."""

    text: str
    """Decoded completion without its end token; ``<think>`` that the template prefills is in the prompt."""
    token_ids: tuple[int, ...]
    """Sampled ids, including the end token when `finish_reason` is ``stop``."""
    rollout_logprobs: tuple[float, ...]
    """Log-probability of each id under the sampling policy at its temperature (nats), before top-p/top-k."""
    finish_reason: FinishReason
    policy_versions: tuple[int, ...]
    """For each id: the number of optimizer updates of the weights that sampled it."""
    seed: int
    loss_mask: tuple[bool, ...] = ()
    """For each id: whether it counts in the loss; a tool's or a user's tokens do not. If empty, all do."""

    def __post_init__(self) -> None:
        if not self.loss_mask:
            object.__setattr__(self, "loss_mask", (True,) * len(self.token_ids))
        require_one_for_each_token(self.token_ids, self.rollout_logprobs, self.policy_versions, self.loss_mask)


def require_one_for_each_token(
    token_ids: Sequence[int], logprobs: Sequence[float], policy_versions: Sequence[int], loss_mask: Sequence[bool]
) -> None:
    """Raise ValueError unless each token has a log-probability, a policy version and a place in the loss mask."""
    lengths = {"log-probability": logprobs, "policy version": policy_versions, "entry of the loss mask": loss_mask}
    for name, values in lengths.items():
        if len(values) != len(token_ids):
            raise ValueError(f"a completion of {len(token_ids)} tokens needs one {name} for each, not {len(values)}")


@dataclass(frozen=True)
class RolloutGroup:
    """All completions of one prompt, in sampling order."""

    prompt: Prompt
    completions: tuple[Completion, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and why."""

    label: VerdictLabel
    extracted: str | None
    """The answer extracted from the completion, or None if there was none."""
    reason: str
    """In a word or two: ``"equal"``, ``"different"``, ``"no_box"``, ``"unclosed_reasoning"`` ..."""


@dataclass(frozen=True)
class ScoredCompletion:
    """A completion with its reward and the breakdown."""

    completion: Completion
    reward: float
    """Weighted sum of the terms that gave a number."""
    breakdown: Mapping[str, float | None]
    """Reward name -> unweighted value; None where a reward gave no verdict."""
    verdict: Verdict


@dataclass(frozen=True)
class ScoredGroup:
    """A group with a reward for each completion, in the same order."""

    prompt: Prompt
    completions: tuple[ScoredCompletion, ...]


@dataclass(frozen=True)
class SharedTokens:
    """Tokens of prompts that several completions follow: flat positions `start` to `end`, S of them."""

    start: int
    end: int
    slots: "torch.Tensor"
    """int64 [S, k]: their slots in the rectangles after the first, one for each further completion."""


@dataclass(frozen=True)
class AttentionLayout:
    """Where N tokens that lie side by side stand in the rectangles of attention, M slots in all.

    A rectangle has a row for each sequence, a prompt and one completion, padded on the right, so that causality is
    the only mask. A prompt lies once among the tokens and stands in the row of each of its completions.
    """

    rectangles: tuple[tuple[int, int], ...]
    """Rows and width of each; their slots follow one another, row by row."""
    tokens: "torch.Tensor"
    """int64 [M]: the token in each slot; in padding, any."""
    first_slots: "torch.Tensor"
    """int64 [N]: the first slot of each token."""
    shared: tuple[SharedTokens, ...]
    """The tokens with more than one slot."""
    sequences: tuple[tuple[tuple[int, int, int], ...], ...]
    """The same without rectangles. For each prompt the prompt itself and its completions: tokens of the prompt before
    it, its first token, its number of tokens."""


@dataclass(frozen=True)
class MicroBatch:
    """Some completions with their prompts, as much as is on the device at once: N tokens, K of them in the loss.

    Tokens lie side by side without padding, and a prompt lies once for all its completions. All tensors are on the
    policy's device. Loss tokens are in the order of the completions.
    """

    input_ids: "torch.Tensor"
    """int64 [N]."""
    position_ids: "torch.Tensor"
    """int64 [N]: the position in its own sequence."""
    layout: AttentionLayout
    before: "torch.Tensor"
    """int64 [K]: for each loss token the place in `input_ids` of the token before it, whose state predicts it."""
    targets: "torch.Tensor"
    """int64 [K]: the ids of the loss tokens."""
    rows: "torch.Tensor"
    """int64 [K]: the completion of each loss token, from 0."""
    advantages: "torch.Tensor"
    """float32 [B]: one for each completion."""
    token_weights: "torch.Tensor"
    """float32 [B]: the weight of each token of a completion in the loss of the whole batch."""
    rollout_logprobs: "torch.Tensor"
    """float32 [K]: as sampled."""
    policy_versions: "torch.Tensor"
    """int64 [K]: version of the weights that sampled each token."""
    has_signal: bool
    """Whether an advantage is not zero."""


@dataclass(frozen=True)
class StepMetrics:
    """What one training step measured; names as ``reward/mean``, see docs/glossary.md."""

    step: int
    values: Mapping[str, float]
