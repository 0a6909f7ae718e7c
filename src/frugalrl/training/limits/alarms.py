"""Signs that nothing can be learned: warnings at the start, later a reason to end the run. Always on.

Pure: a digest of each step in, sentences out. Each says what happened, the likely cause, and what to do.

- After step 3 a warning names a reward that was the same for every completion so far, or says that all completions were
  truncated: with fewer steps a constant reward may be chance.
- At any step the run ends if in its last steps every completion earned the same reward, none was correct, and either
  only truncated or near-deterministic text is left (3 steps: that is what a collapse looks like), or it has lasted (10
  steps: on a hard data set the first right answer may take a while). It also ends if no update could be made for 3
  steps, because no gradient was finite.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from frugalrl.types import NOTHING_TO_LEARN, ScoredCompletion, ScoredGroup

ALARM_STEP = 3
"""Warnings look at the first three steps together."""
COLLAPSED_STEPS = 3
DEAD_STEPS = 10
"""Steps with no difference between rewards and no right answer."""
LEAST_COMPLETIONS = 24
"""In the steps considered: with fewer, one common reward may be chance."""
COLLAPSED_ENTROPY = 1e-3
"""Nats per token. Healthy runs of the tiny model stay above 0.02; Skywork-OR1 (2505.22312) holds 0.2 as its target."""


@dataclass(frozen=True)
class StepDigest:
    """The digest of a step."""

    completions: int
    truncated: int
    longest_tokens: int
    correct: int
    rewards: tuple[float, float]
    """Smallest and largest."""
    terms: Mapping[str, tuple[float | None, float | None]]
    """Smallest and largest value of each reward; None twice if it gave no verdict at all."""
    mixed: tuple[str, ...]
    """Rewards that gave a number to some completions and no verdict to others."""
    reasons: Mapping[str, int]
    """Counts of the reasons of verdicts."""
    entropy: float | None
    """Nats per token; None where no update was made."""
    updated: bool
    """Whether a finite gradient changed the weights, or there was none to take."""
    loss_finite: bool = True
    """Whether the loss was a number where an update was left out because its gradient was none."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "StepDigest":
        """The digest that `to_json` wrote."""
        terms = {name: (least, greatest) for name, (least, greatest) in values["terms"].items()}
        least, greatest = values["rewards"]
        return StepDigest(**{**values, "terms": terms, "rewards": (least, greatest), "mixed": tuple(values["mixed"])})


def digest(groups: Sequence[ScoredGroup], metrics: Mapping[str, float], updates: int) -> StepDigest:
    """The digest of a step's groups. metrics: of the step; updates: optimizer updates it should have made."""
    scored = [one for group in groups for one in group.completions]
    rewards = [one.reward for one in scored]
    entropy = metrics.get("policy/entropy", math.nan)
    nonfinite = metrics.get("policy/nonfinite_updates", 0.0)
    return StepDigest(
        completions=len(scored),
        truncated=sum(one.completion.finish_reason == "length" for one in scored),
        longest_tokens=max(len(one.completion.token_ids) for one in scored),
        correct=sum(one.verdict.label == "correct" for one in scored),
        rewards=(min(rewards), max(rewards)),
        terms={name: _range(scored, name) for name in scored[0].breakdown},
        mixed=tuple(name for name in scored[0].breakdown if len({one.breakdown[name] is None for one in scored}) == 2),
        reasons=dict(Counter(one.verdict.reason for one in scored).most_common()),
        entropy=entropy if math.isfinite(entropy) else None,
        updated=nonfinite < updates,
        loss_finite=nonfinite == 0 or math.isfinite(metrics["loss/total"]),
    )


def warnings(digests: Sequence[StepDigest]) -> list[str]:
    """Warnings about the first steps; empty if all is well."""
    found = []
    if all(one.truncated == one.completions for one in digests):
        longest = max(one.longest_tokens for one in digests)
        found.append(
            f"Every completion of the first {len(digests)} steps was truncated at {longest} tokens, so none could "
            "be right. Raise rollout.max_completion_tokens, or check that the model's end tokens are in its "
            "generation_config.json."
        )
    for name in digests[0].terms:
        values = {value for one in digests for value in one.terms[name]}
        if len(values) == 1 and not any(name in one.mixed for one in digests):
            found.append(_constant(name, values.pop(), digests))
    return found


def reason_to_end(digests: Sequence[StepDigest]) -> str | None:
    """Why training must end, judged by its latest steps, oldest first; None if it continues."""
    recent = digests[-COLLAPSED_STEPS:]
    if len(recent) == COLLAPSED_STEPS and not any(one.updated for one in recent):
        return (
            f"{NOTHING_TO_LEARN}: no gradient of the last {COLLAPSED_STEPS} steps was finite, so no update was made. "
            f"{_which_was_not_finite(recent)}"
        )
    if _is_dead(recent, COLLAPSED_STEPS) and _is_degenerate(recent):
        return _dead(recent)
    recent = digests[-DEAD_STEPS:]
    return _dead(recent) if _is_dead(recent, DEAD_STEPS) else None


def _which_was_not_finite(digests: Sequence[StepDigest]) -> str:
    if any(one.loss_finite for one in digests):
        return (
            "The loss was finite and its gradient was not: it overflowed on the way back. Scale the rewards down "
            "if they are large, or start from weights before that with a lower optimizer.learning_rate."
        )
    return (
        "The loss itself was NaN or infinite: the policy gives no log-probabilities any more, or an importance ratio "
        "overflowed. Start from weights before that with a lower optimizer.learning_rate."
    )


def _is_dead(digests: Sequence[StepDigest], steps: int) -> bool:
    one_reward = len({value for one in digests for value in one.rewards}) == 1
    enough = len(digests) == steps and sum(one.completions for one in digests) >= LEAST_COMPLETIONS
    return enough and one_reward and not any(one.correct for one in digests)


def _is_degenerate(digests: Sequence[StepDigest]) -> bool:
    all_truncated = all(one.truncated == one.completions for one in digests)
    return all_truncated or all(one.entropy is not None and one.entropy < COLLAPSED_ENTROPY for one in digests)


def _dead(digests: Sequence[StepDigest]) -> str:
    completions = sum(one.completions for one in digests)
    truncated = sum(one.truncated for one in digests) / completions
    entropies = [one.entropy for one in digests if one.entropy is not None]
    entropy = f", entropy {sum(entropies) / len(entropies):.2g} nats per token" if entropies else ""
    return (
        f"{NOTHING_TO_LEARN}: all {completions} completions of the last {len(digests)} steps earned the same reward "
        f"({digests[0].rewards[0]:g}) and none was correct; {truncated:.0%} were truncated{entropy}. "
        f"{_likely_cause('', None, digests)} If it was better before, lower optimizer.learning_rate."
    )


def _range(scored: Sequence[ScoredCompletion], name: str) -> tuple[float | None, float | None]:
    given = [value for one in scored if (value := one.breakdown[name]) is not None]
    return (min(given), max(given)) if given else (None, None)


def _constant(name: str, value: float | None, digests: Sequence[StepDigest]) -> str:
    shown = "gave no verdict" if value is None else f"was {value:g}"
    return (
        f"The reward {name} {shown} for every completion of the first {len(digests)} steps: it gives no learning "
        f"signal. {_likely_cause(name, value, digests)}"
    )


_CAUSES = {
    "unclosed_reasoning": "no reasoning was closed with </think>: raise rollout.max_completion_tokens, or ask for "
    "the format in data.prompt",
    "no_box": "no answer was in \\boxed{}: ask for it in data.prompt",
    "empty_box": "the box was empty",
    "different": "the answers could be read and were wrong: choose easier problems or a stronger model",
    "unparseable_gold": "the gold answers cannot be read: check the data's answer_field with frugalrl check-golds",
}
_OF_THE_ANSWER = ("accuracy", "cosine", "code", "format", "")
"""Rewards that the verdict explains, and the total reward (""); other rewards have their own causes."""


def _likely_cause(name: str, value: float | None, digests: Sequence[StepDigest]) -> str:
    if value is not None and value > 0 and name in ("accuracy", "format"):
        return "Every completion passes: choose harder problems, or drop this reward."
    if name not in _OF_THE_ANSWER:
        what = "returned None for all of them" if value is None else "returned the same number for all of them"
        return f"It {what}: try it on stored completions with frugalrl score, or drop it."
    counts: Counter[str] = Counter()
    for one in digests:
        counts.update(one.reasons)
    reason, times = counts.most_common(1)[0]
    share = f"{times} of {counts.total()} completions"
    if reason in _CAUSES:
        return f"Likely cause ({share}): {_CAUSES[reason]}."
    return f"Most common verdict ({share}): {reason}. Look at samples.jsonl in the run's folder."
