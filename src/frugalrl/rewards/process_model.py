"""The interface to a user's process reward model: a classifier that scores the steps of a reasoning.

Two kinds from the Hub or a folder are read: a *sequence* classifier is shown the problem and all steps up to
one and gives one label; a *token* classifier is shown all steps at once, and its label at the last token of
each step is that step's. A score is the probability of the label that means "right".

Steps are cut at blank lines, with the reasoning alone where there is one. The model stays on the CPU in
float32: a useful process reward model is small compared to the policy, and the device is the policy's.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from frugalrl.errors import ModelError
from frugalrl.text.reasoning import split_reasoning

StepScorer = Callable[[str, Sequence[str]], list[float]]
"""A problem and its steps in, a score in 0..1 for each step out."""
Aggregate = Literal["min", "mean", "last", "product"]


@dataclass(frozen=True)
class ProcessModelSettings:
    """Which model, and how its scores become one reward."""

    model: str
    kind: Literal["sequence", "token"]
    aggregate: Aggregate
    right_label: int
    max_tokens: int


def process_model_settings(
    model: str,
    kind: Literal["sequence", "token"] = "sequence",
    aggregate: Aggregate = "min",
    right_label: int = 1,
    max_tokens: int = 4096,
) -> ProcessModelSettings:
    """Settings of the reward `process_model`. Raises ValueError for an invalid one.

    model: folder or Hub id; right_label: index of the label that means a right step; max_tokens: what the
    classifier is shown at most, the end kept. The smallest score is the default aggregate: a proof is as good
    as its worst step (arXiv 2305.20050 compares it with the product).
    """
    if not model:
        raise ValueError("model must name a folder or a Hub id")
    if right_label < 0 or max_tokens < 1:
        raise ValueError("right_label must not be negative, and max_tokens must be at least 1")
    return ProcessModelSettings(model, kind, aggregate, right_label, max_tokens)


def steps_of(completion: str, reasoning_open: bool) -> list[str]:
    """The reasoning's paragraphs, in order."""
    reasoning, _ = split_reasoning(completion, reasoning_open)
    return [step.strip() for step in reasoning.split("\n\n") if step.strip()]


def process_model_reward(scores: Sequence[float], aggregate: Aggregate) -> float | None:
    """One number in 0..1 from the scores of the steps; None without steps."""
    if not scores:
        return None
    if aggregate == "min":
        return min(scores)
    if aggregate == "last":
        return scores[-1]
    return math.prod(scores) if aggregate == "product" else sum(scores) / len(scores)


@functools.lru_cache(maxsize=2)
def load_step_scorer(settings: ProcessModelSettings) -> StepScorer:
    """The scorer of a stored classifier. Raises ModelError if it cannot be loaded or lacks the label."""
    import transformers

    kinds: dict[str, Any] = {
        "sequence": transformers.AutoModelForSequenceClassification,
        "token": transformers.AutoModelForTokenClassification,
    }
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(settings.model)
        model = kinds[settings.kind].from_pretrained(settings.model).eval()
    except (OSError, ValueError) as error:
        raise ModelError(
            f"The process reward model {settings.model!r} cannot be loaded: {error}. Give a folder or Hub id "
            f"that holds a {settings.kind} classifier and its tokenizer."
        ) from None
    labels = int(model.config.num_labels)
    if settings.right_label >= labels:
        raise ModelError(
            f"The process reward model {settings.model!r} has {labels} labels, and right_label is "
            f"{settings.right_label}. Give an index below {labels}."
        )
    score = _sequence_scores if settings.kind == "sequence" else _token_scores
    return functools.partial(score, model, tokenizer, settings)


def _sequence_scores(
    model: Any, tokenizer: Any, settings: ProcessModelSettings, problem: str, steps: Sequence[str]
) -> list[float]:
    """One forward pass for each step, on the problem and all steps up to it."""
    scores = []
    for count in range(1, len(steps) + 1):
        token_ids = _token_ids(tokenizer, "\n\n".join([problem, *steps[:count]]))[-settings.max_tokens :]
        scores.append(_probabilities(model, token_ids)[0][settings.right_label])
    return scores


def _token_scores(
    model: Any, tokenizer: Any, settings: ProcessModelSettings, problem: str, steps: Sequence[str]
) -> list[float]:
    """One forward pass on all; a step's score is at its last token. Steps cut off by the cap get none."""
    token_ids = _token_ids(tokenizer, f"{problem}\n\n")
    ends = []
    for step in steps:
        token_ids += _token_ids(tokenizer, f"{step}\n\n")
        ends.append(len(token_ids) - 1)
    dropped = max(0, len(token_ids) - settings.max_tokens)
    if not ends:
        return []
    rows = _probabilities(model, token_ids[dropped:])
    return [rows[end - dropped][settings.right_label] for end in ends if end >= dropped]


def _token_ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _probabilities(model: Any, token_ids: Sequence[int]) -> list[list[float]]:
    """[rows, labels]: one row for a sequence classifier, one for each token for a token classifier."""
    import torch

    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([list(token_ids)])).logits.float()
    rows: list[list[float]] = torch.softmax(logits, dim=-1).reshape(-1, logits.shape[-1]).tolist()
    return rows
