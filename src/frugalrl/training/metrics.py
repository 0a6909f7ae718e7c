"""The metrics of a step, as a pure function of what was sampled, scored and updated."""

from collections.abc import Mapping, Sequence

import torch

from frugalrl.algorithms.advantages import zero_std_fraction
from frugalrl.text.language import Identify
from frugalrl.text.meter import TextReport, meter_metrics, meter_text
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import ScoredGroup, StepMetrics
from frugalrl.verify.reasons import LIMIT_REASONS


def step_metrics(
    step: int,
    groups: Sequence[ScoredGroup],
    updated: Mapping[str, float],
    learning_rate: float,
    seconds: Mapping[str, float],
    identify: Identify,
) -> StepMetrics:
    """Everything a step logs.

    updated: what `update_policy` returned. seconds: of this step, by phase. identify: tells the
    language of a sentence; the meter's target is English.
    """
    completions = [scored for group in groups for scored in group.completions]
    rewards = torch.tensor([[float(scored.reward) for scored in group.completions] for group in groups])
    lengths = torch.tensor([len(scored.completion.token_ids) for scored in completions], dtype=torch.float64)
    labels = [scored.verdict.label for scored in completions]
    busy = sum(seconds.values())
    values = {
        "reward/mean": float(rewards.mean()),
        "reward/std": float(rewards.std(correction=0)),
        **_reward_means(groups),
        "verdict/correct_frac": labels.count("correct") / len(labels),
        "verdict/unknown_frac": labels.count("unknown") / len(labels),
        "verdict/limit_frac": _fraction(one.verdict.reason in LIMIT_REASONS for one in completions),
        "group/zero_std_frac": zero_std_fraction(rewards),
        "completion/mean_tokens": float(lengths.mean()),
        "completion/max_tokens": float(lengths.max()),
        "completion/truncated_frac": _fraction(one.completion.finish_reason == "length" for one in completions),
        **meter_metrics([report for group in groups for report in _reports(group, identify)]),
        **updated,
        "learning_rate": learning_rate,
        **{f"time/{phase}": value for phase, value in seconds.items()},
        "throughput/tokens_per_second": float(lengths.sum()) / busy if busy > 0 else float("nan"),
    }
    return StepMetrics(step, values)


def _reports(group: ScoredGroup, identify: Identify) -> list[TextReport]:
    reasoning_open = prefills_think(group.prompt.text)
    return [
        meter_text(one.completion.text, identify, reasoning_open, one.completion.finish_reason == "length")
        for one in group.completions
    ]


def _reward_means(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """The mean of each reward over the completions it gave a number for."""
    means = {}
    for name in groups[0].completions[0].breakdown:
        given = [one.breakdown[name] for group in groups for one in group.completions]
        numbers = [value for value in given if value is not None]
        means[f"reward/{name}"] = sum(numbers) / len(numbers) if numbers else float("nan")
    return means


def _fraction(flags: object) -> float:
    values = [bool(flag) for flag in flags]  # type: ignore[attr-defined]
    return sum(values) / len(values)
