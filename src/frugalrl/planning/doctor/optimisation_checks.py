"""The optimizer: a learning rate in the range that has worked, and one update tried on the doctor's own copy.

The update is the program's own, at the full learning rate, with the samples' own rewards; where these give no signal,
with made-up ones, since what is asked is whether the gradient arrives. A second update of the same batch then shows how
far the first one moved the policy. Everything is thrown away afterwards.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from frugalrl.config.algorithm_schema import LossSettings
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.planning.doctor.finding import Finding, Level
from frugalrl.planning.doctor.learning_rates import RateRange, adamw_range, adapter_range, muon_range
from frugalrl.planning.doctor.remedies import SAMPLE_IN_PROCESS
from frugalrl.training.batching import TrainingRow, training_rows
from frugalrl.training.hooks.hook import StepSettings
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.training.step import update_within_memory
from frugalrl.types import ScoredGroup

_INEXACT_NATS = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.02}
"""Mean difference between the engine's and the trainer's log-probs of the same tokens: 1e-6 and 1e-3 to 2e-3 where both
are right (docs/benchmarks, docs/lab-log.md); two orders above that, something else was sampled from."""
_FAR_NATS, _VERY_FAR_NATS = 0.15, 0.5
"""Mean change of a token's log-prob by one update. Quickstart at 4e-4: 0.03; collapsed at four times that rate."""
_NOTHING_NATS = 1e-7
_STUCK = 0.5
_SAMPLED_WEIGHTS = 4096
"""Weights looked at in each tensor."""
_KINDS = ("embed_tokens", "lm_head", "self_attn", "mlp", "norm")
_MUCH_KL, _ALL_KL = 0.4, 4.0
"""Ten and a hundred times Open-RS's 0.04. At 4, a KL of 0.25 nats a token costs as much as all that a reward of 0 to 1
can give."""
_NARROW_CLIP, _WIDE_CLIP, _NO_CLIP = 0.02, 0.6, 5.0
"""A tenth and three times the usual 0.2; above 5 no ratio that occurs in practice is clipped."""
_SWALLOWED = 0.1
"""Share of an update that is left beside epsilon."""
_LARGE_EPSILON = 1e-4
"""From which AdamW is closer to SGD, whose rates are no matter of habit."""


def learning_rate_findings(optimizer: OptimizerSettings, parameters: int, adapters: bool = False) -> list[Finding]:
    """The rates of the recipe against those that have worked. parameters: of the model. adapters: alone are trained."""
    size = f"{parameters / 1e6:,.3g} M parameters"
    if optimizer.name == "muon":
        return [_in_range("muon_learning_rate", optimizer.muon_learning_rate, muon_range(), f"Muon, {size}")]
    known, size = (adapter_range(parameters), f"adapters in {size}") if adapters else (adamw_range(parameters), size)
    if (swallowed := _swallowed(optimizer, parameters, known)) is not None:
        return [swallowed]
    if optimizer.epsilon > _LARGE_EPSILON:
        shown = f"epsilon {optimizer.epsilon:g} makes AdamW behave like SGD: no range is known"
        return [Finding("optimisation/learning_rate", "green", shown)]
    return [_in_range("learning_rate", optimizer.learning_rate, known, size)]


def _swallowed(optimizer: OptimizerSettings, parameters: int, known: RateRange) -> Finding | None:
    """Where the clipped gradient is so small beside AdamW's epsilon that no update is left of it.

    A gradient of the largest norm that clipping leaves, spread evenly over all weights, is divided by itself plus
    epsilon. Real gradients are no larger.
    """
    gradient = optimizer.max_grad_norm / math.sqrt(parameters)
    share = gradient / (gradient + optimizer.epsilon)
    if share > _SWALLOWED or optimizer.learning_rate * share >= known.hopeless_below:
        return None
    usual = {"max_grad_norm": 1.0, "epsilon": 1e-8}
    sets = [f"--set optimizer.{key}={value:g}" for key, value in usual.items() if getattr(optimizer, key) != value]
    return Finding(
        "optimisation/learning_rate",
        "red",
        f"Gradients clipped to a norm of {optimizer.max_grad_norm:g} are at most {gradient:.1g} a weight, and epsilon "
        f"{optimizer.epsilon:g} leaves {share:.1g} of an update of {optimizer.learning_rate:g}: nothing moves.",
        " ".join(sets),
    )


def loss_findings(loss: LossSettings) -> list[Finding]:
    """The KL term's weight and PPO's clip against what papers used: orders of magnitude, not opinions."""
    found = [
        _against(
            "kl_coef",
            loss.kl_coef,
            (0.0, _MUCH_KL, _ALL_KL),
            "0.04 in Open-RS (2503.16219) and DeepSeekMath (2402.03300), 0 in DAPO (2503.14476)",
            "the policy is held to its reference and hardly learns",
            0.04,
        )
    ]
    if loss.surrogate == "ppo":
        found.append(
            _against(
                "clip_low",
                loss.clip_low,
                (_NARROW_CLIP, _WIDE_CLIP, _NO_CLIP),
                "0.2 in PPO, GRPO and DAPO",
                "a token may become unlikely in one batch, which the clip is there to prevent",
                0.2,
            )
        )
        found.append(
            _against(
                "clip_high",
                loss.clip_high,
                (_NARROW_CLIP, _WIDE_CLIP, _NO_CLIP),
                "0.2 in PPO and GRPO, 0.28 in DAPO (2503.14476)",
                "what the clip is for, small steps from the policy that sampled, is lost",
                0.2,
            )
        )
    return found


def _against(
    key: str, value: float, range_: tuple[float, float, float], sources: str, outcome: str, usual: float
) -> Finding:
    """range_: the least that is green, the most that is green, and the most that is yellow."""
    name, (least, most, worst) = f"optimisation/{key}", range_
    if least <= value <= most:
        return Finding(name, "green", f"{value:g}; {sources}")
    why = outcome if value > most else "hardly any token has a gradient after the first update of a batch"
    level: Level = "red" if value > worst else "yellow"
    fix = f"--set algorithm.loss.{key}={usual:g}"
    return Finding(name, level, f"{value:g} is far from what papers used ({sources}): {why}.", fix)


def _in_range(key: str, rate: float, known: RateRange, size: str) -> Finding:
    name = f"optimisation/{key}"
    worked = f"{known.worked:.1g} has worked for {size} (docs/doctor.md has the sources)"
    if known.lowest <= rate <= known.highest:
        return Finding(name, "green", f"{rate:g}; about {worked}")
    side = "above" if rate > known.highest else "below"
    is_hopeless = rate > known.hopeless_above or rate < known.hopeless_below
    outcome = "the policy breaks within a few steps" if rate > known.highest else "the weights hardly move"
    return Finding(
        name,
        "red" if is_hopeless else "yellow",
        f"{rate:g} is {_times(rate, known.worked)} {side} what worked: {outcome}. About {worked}.",
        f"--set optimizer.{key}={known.worked:.1g}",
    )


def _times(rate: float, worked: float) -> str:
    return f"{max(rate / worked, worked / rate):,.0f} times"


# ------------------------------------------------------------------------------------------- an update, tried


@dataclass(frozen=True)
class TrialStep:
    """What one update did."""

    updated: Mapping[str, float]
    """Metrics of the first update."""
    moved_nats: float
    """Mean change of a token's log-prob by the first update."""
    gradients: Mapping[str, tuple[float, int]]
    """Kind of parameter -> norm of its gradient, and how many of its values are not finite."""
    changed_share: float
    """Of the weights with a gradient: share whose fp32 master changed."""
    changed_in_dtype: float
    """The same in the compute dtype, which the engine samples from."""
    made_up: bool
    """Whether the rewards were made up."""


def trial_step(run: Run, groups: Sequence[ScoredGroup]) -> TrialStep:
    """Update the run's policy twice on the sampled groups. The run is of no use afterwards."""
    rows, made_up = _rows(run, groups)
    watched = _Watched(run.optimizer)
    once = replace(run.update, updates=1)
    trial = replace(run, optimizer=watched, update=once)  # type: ignore[arg-type]  # has what an update needs of it
    settings = StepSettings(run.recipe.rollout.max_completion_tokens, run.update.entropy_coef, 1.0)
    before = {name: _some(tensor) for name, tensor in run.policy.model.named_parameters()}
    _, first = update_within_memory(trial, Progress(), rows, settings)
    after = {name: _some(tensor) for name, tensor in run.policy.model.named_parameters()}
    _, second = update_within_memory(trial, Progress(), rows, settings)
    moved = [before[name] != after[name] for name in watched.has_gradient if name in before]
    gap, fresh = second["policy/rollout_logprob_gap"], first["policy/rollout_logprob_gap"]
    return TrialStep(
        updated=first,
        moved_nats=math.sqrt(max(0.0, gap**2 - fresh**2)) if math.isfinite(gap) else math.nan,
        gradients=watched.gradients,
        changed_share=watched.changed_share,
        changed_in_dtype=float(torch.cat(moved).double().mean()) if moved else 0.0,
        made_up=made_up,
    )


def _rows(run: Run, groups: Sequence[ScoredGroup]) -> tuple[list[TrainingRow], bool]:
    """Training rows of the groups; with rewards 1 and 0 in turn where no group has a signal."""
    made_up = not any(len({one.reward for one in group.completions}) > 1 for group in groups)
    if made_up:
        groups = [
            replace(
                group,
                completions=tuple(replace(one, reward=float(at % 2)) for at, one in enumerate(group.completions)),
            )
            for group in groups
        ]
    algorithm = run.recipe.algorithm
    constant = algorithm.loss.constant_tokens or run.recipe.rollout.max_completion_tokens
    return training_rows(groups, run.advantage, algorithm.loss.aggregation, constant), made_up


class _Watched:
    """A run's optimizer that looks at gradients and weights at its first step."""

    def __init__(self, inner: MasterOptimizer) -> None:
        self._inner = inner
        self.gradients: dict[str, tuple[float, int]] = {}
        self.has_gradient: list[str] = []
        self.changed_share = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def step(self, lr_factor: float) -> float:
        if self.gradients:
            return self._inner.step(lr_factor)
        found = self._inner.weights_and_gradients()
        self.gradients = _norms(found)
        looked_at = [(name, weight) for name, weight, gradient in found if gradient is not None]
        self.has_gradient = [name for name, _ in looked_at]
        masks = [_some(gradient) != 0 for _, _, gradient in found if gradient is not None]
        before = [_some(weight) for _, weight in looked_at]
        norm = self._inner.step(lr_factor)
        moved = [(_some(weight) != old)[mask] for (_, weight), old, mask in zip(looked_at, before, masks, strict=True)]
        self.changed_share = float(torch.cat(moved).double().mean()) if moved and sum(map(len, moved)) else 0.0
        return norm


def _norms(found: Sequence[tuple[str, Tensor, Tensor | None]]) -> dict[str, tuple[float, int]]:
    norms: dict[str, tuple[float, int]] = {}
    for name, _, gradient in found:
        kind = next((kind for kind in _KINDS if kind in name), "other")
        norm, bad = norms.get(kind, (0.0, 0))
        if gradient is not None:
            values = gradient.detach().double()
            finite = values.isfinite()
            norm = math.hypot(norm, float(values[finite].norm()))
            bad += values.numel() - int(finite.sum())
        norms[kind] = (norm, bad)
    return norms


def _some(tensor: Tensor) -> Tensor:
    """A few thousand values of a tensor, evenly spread, as a copy on the CPU."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // _SAMPLED_WEIGHTS)].clone().cpu()


# ------------------------------------------------------------------------------------------------- its findings


def trial_findings(
    trial: TrialStep, optimizer: OptimizerSettings, dtype: str, sample_here: str = SAMPLE_IN_PROCESS
) -> list[Finding]:
    """What the tried update says about gradient, update size, and how far the policy moved.

    sample_here: the change of the recipe that does without servers.
    """
    return [
        _engine_agrees(trial, dtype, sample_here),
        _gradient(trial),
        _update_size(trial, optimizer, dtype),
        _distance(trial, optimizer),
    ]


def _engine_agrees(trial: TrialStep, dtype: str, sample_here: str) -> Finding:
    """The engine's log-probs of its own tokens against the trainer's: also whether it has the trainer's weights."""
    gap = trial.updated["policy/rollout_logprob_gap"]
    shown = f"the engine's and the trainer's log-probs of the same tokens differ by {gap:.2g} nats on average"
    if not gap <= _INEXACT_NATS[dtype]:
        return Finding(
            "optimisation/engine",
            "red",
            f"{shown[0].upper()}{shown[1:]} ({dtype}): the engine samples from other weights, or computes otherwise.",
            f"{sample_here} samples with the policy's own weights; --set model.dtype=float32 excludes rounding",
        )
    return Finding("optimisation/engine", "green", shown)


def _gradient(trial: TrialStep) -> Finding:
    name = "optimisation/gradient"
    shown = ", ".join(f"{kind} {norm:.2g}" for kind, (norm, _) in trial.gradients.items())
    broken = [kind for kind, (_, bad) in trial.gradients.items() if bad]
    still = [kind for kind, (norm, bad) in trial.gradients.items() if norm == 0 and not bad]
    rewards = " (of made-up rewards, since the samples' own are all equal)" if trial.made_up else ""
    if broken:
        return Finding(
            name,
            "red",
            f"The gradient of {', '.join(broken)} is not finite{rewards}, so every update would be skipped.",
            "--set model.dtype=float32 if it is bfloat16; scale the rewards down (--set rewards.N.weight=...) if they "
            "are large",
        )
    if still:
        return Finding(
            name,
            "red",
            f"The gradient of {', '.join(still)} is zero{rewards}: it would never be trained.",
            "--set algorithm.loss.clip_low=0.2 --set algorithm.loss.clip_high=0.2 "
            "--set algorithm.mask_truncated=false, or correct your own surrogate",
        )
    return Finding(name, "green", f"finite and not zero; norms{rewards}: {shown}")


def _update_size(trial: TrialStep, optimizer: OptimizerSettings, dtype: str) -> Finding:
    name = "optimisation/update_size"
    shown = f"one update changes {trial.changed_share:.0%} of the fp32 weights"
    if dtype != "float32":
        shown += f" and {trial.changed_in_dtype:.2%} of what is rounded to {dtype}"
    if trial.made_up:
        return Finding(name, "green", f"{shown}, with made-up rewards: not judged")
    if trial.changed_share < _STUCK:
        return Finding(
            name,
            "red",
            f"{shown[0].upper()}{shown[1:]}: the steps are smaller than the weights' resolution.",
            f"--set optimizer.learning_rate={min(1e-6, 1000 * optimizer.learning_rate):.1g} or more",
        )
    return Finding(name, "green", shown)


def _distance(trial: TrialStep, optimizer: OptimizerSettings) -> Finding:
    """How far one update at the full rate moves the policy."""
    name, moved = "optimisation/distance", trial.moved_nats
    shown = f"one update at the full rate changes a token's log-prob by {moved:.2g} nats on average"
    rate = optimizer.learning_rate
    if trial.made_up and math.isfinite(moved):
        return Finding(name, "green", f"{shown}, with made-up rewards: not judged")
    if not moved <= _FAR_NATS:
        level = "yellow" if moved <= _VERY_FAR_NATS else "red"
        lower = rate / 10 if math.isnan(moved) else rate * 0.03 / max(moved, 0.03)
        return Finding(
            name,
            level,  # type: ignore[arg-type]
            f"{shown[0].upper()}{shown[1:]}: the next batch is from another policy, and runs that did so collapsed.",
            f"--set optimizer.learning_rate={lower:.1g}",
        )
    if moved < _NOTHING_NATS:
        return Finding(
            name,
            "red",
            f"{shown[0].upper()}{shown[1:]}: the policy does not move.",
            f"--set optimizer.learning_rate={1000 * rate:.1g}",
        )
    return Finding(name, "green", shown)
