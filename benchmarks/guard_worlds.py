"""Simulated runs for the guard: a policy of known accuracy, the metrics of its steps, and evaluations of it.

What is true of a run is `Truth`: its accuracy at each step, and what its other metrics do. A step's metrics and an
evaluation's verdicts are drawn from it: problems have difficulties of their own (a logistic model with a spread of 1.5,
which gives within-problem variances like those of the tiny model), a step samples 8 problems 8 times, and the noise of
neighbouring steps may go together beyond that. The guard is then run as the trainer runs it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.signal import lfilter
from scipy.special import expit

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.training.guard.rules import Decision, GuardRule, Look, judge, observe, rolled_back
from frugalrl.training.guard.state import GuardState

SPREAD = 1.5
_GRID = np.linspace(-12.0, 12.0, 481)
_NODES = np.random.default_rng(0).normal(0.0, SPREAD, 4000)
_MEANS = expit(_GRID[:, None] + _NODES[None, :]).mean(axis=1)
PROMPTS, GROUP = 8, 8
SHARES = {
    "completion/truncated_frac": (0.05, 0.03),
    "meter/repeated_frac": (0.02, 0.01),
    "meter/foreign_completion_frac": (0.05, 0.03),
}
"""Level and standard deviation from step to step."""
RATIOS = {"policy/kl": 0.05, "policy/entropy": 0.3, "policy/grad_norm": 0.5}
"""Levels, about which a step lies by a factor of exp(0.2 z)."""
FIXED = {"completion/mean_tokens": 30.0, "loss/total": 0.01, "policy/skipped_updates": 0.0}


@dataclass(frozen=True)
class Truth:
    """What is so, by step 0..steps."""

    accuracy: np.ndarray
    metrics: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Metrics that do not follow from accuracy; entry 0 is not used."""
    reward: np.ndarray | None = None
    """The mean reward without noise, if it is not the accuracy."""


@dataclass(frozen=True)
class Setting:
    """How a run is watched."""

    problems: int = 100
    samples: int = 4
    every: int | None = 10
    """None: no validation problems; `problems` training problems are held out, one sample each."""
    correlation: float = 0.0
    """Of the noise of neighbouring steps, beyond the sampling noise, which has none."""
    extra_noise: float = 0.05
    shared_seeds: bool = False
    """Scheduled evaluations use the same random numbers each time, as the trainer's do."""


@dataclass(frozen=True)
class Outcome:
    """What the guard did."""

    decisions: tuple[Decision, ...]
    called: int
    """Evaluations that it called, without that of the base."""
    token_share: float
    """Their tokens over those of the steps."""


def problem_chances(accuracy: float, difficulty: np.ndarray) -> np.ndarray:
    """Each problem's chance of a right answer, for a policy of this accuracy on all problems there are."""
    if accuracy <= 0:
        return np.zeros_like(difficulty)
    chances: np.ndarray = expit(np.interp(accuracy, _MEANS, _GRID) + difficulty)
    return chances


def watch(
    truth: Truth, setting: Setting, seed: int, settings: GuardSettings | None = None, until_rollback: bool = True
) -> Outcome:
    """A run watched to its end, or to its first rollback or stop."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0.0, SPREAD, setting.problems)
    validates = setting.every is not None
    look_samples = min(setting.problems, max(PROMPTS * GROUP, 48)) if validates else setting.problems
    given = (settings or GuardSettings()).model_dump(exclude={"enabled", "held_out"})
    rule = GuardRule(PROMPTS * GROUP, look_samples, setting.every, **given)
    uniforms = rng.random((setting.problems, setting.samples))
    state, decisions, evaluations = GuardState(), [], {}
    logged = all_metrics(truth, setting, rng)

    def evaluated(step: int, called: bool) -> Decision:
        nonlocal state
        whole = not called or not validates
        chosen = np.arange(setting.problems)
        if not whole:
            chosen = np.sort(rng.choice(setting.problems, look_samples, replace=False))
        chances = problem_chances(float(truth.accuracy[step]), difficulty[chosen])
        samples = 1 if called else setting.samples
        drawn = uniforms if setting.shared_seeds and not called else rng.random((len(chosen), samples))
        correct = (drawn < chances[:, None]).tolist()
        best = [] if state.reference is None else [evaluations[state.reference.step][index] for index in chosen]
        if whole:
            evaluations[step] = correct
        state, decision = judge(state, Look(step, correct, best, 30.0, called, whole), rule)
        return decision

    evaluated(0, called=not validates)
    steps = len(truth.accuracy) - 1
    for step in range(1, steps):
        metrics = {name: values[step] for name, values in logged.items()}
        state, decision = observe(rolled_back(state), step, metrics, rule)
        found = [decision]
        if setting.every is not None and step % setting.every == 0:
            found.append(evaluated(step, called=False))
        if state.asked:
            found.append(evaluated(step, called=True))
        decisions += [one for one in found if one.action != "none"]
        if until_rollback and decisions and decisions[-1].action in ("rollback", "stop"):
            steps = step
            break
    share = state.called * look_samples / (max(steps, 1) * PROMPTS * GROUP)
    return Outcome(tuple(decisions), state.called, share)


def all_metrics(truth: Truth, setting: Setting, rng: np.random.Generator) -> dict[str, list[float]]:
    """What the steps log, as far as the guard reads it; entry 0 is not used."""
    count = len(truth.accuracy)
    innovations = rng.normal(size=count) * setting.extra_noise * math.sqrt(1 - setting.correlation**2)
    noise = lfilter([1.0], [1.0, -setting.correlation], innovations)
    offsets = np.interp(np.clip(truth.accuracy + noise, 1e-4, 0.999), _MEANS, _GRID)
    chances = expit(offsets[:, None] + rng.normal(0.0, SPREAD, (count, PROMPTS)))
    correct = rng.binomial(GROUP, chances).mean(axis=1) / GROUP
    reward = correct if truth.reward is None else truth.reward + noise + rng.normal(size=count) * 0.05
    found = {"verdict/correct_frac": correct, "reward/mean": reward}
    for name, (level, spread) in SHARES.items():
        found[name] = np.clip(truth.metrics.get(name, level) + rng.normal(size=count) * spread, 0.0, 1.0)
    for name, level in RATIOS.items():
        found[name] = truth.metrics.get(name, level) * np.exp(0.2 * rng.normal(size=count))
    for name, level in FIXED.items():
        found[name] = truth.metrics.get(name, np.full(count, level))
    return {name: values.tolist() for name, values in found.items()}


# ------------------------------------------------------------------------------------------- runs without a fall


def nulls(steps: int) -> dict[str, Truth]:
    """Runs whose accuracy never falls; `wandering` does, by noise of 2 points about its level."""
    flat, rising = np.full(steps + 1, 0.45), np.linspace(0.3, 0.7, steps + 1)
    return {
        "flat": Truth(flat),
        "flat, reward rising": Truth(flat, reward=np.linspace(0.3, 0.9, steps + 1)),
        "rising": Truth(rising),
    }


def wandering(steps: int, seed: int) -> Truth:
    """Accuracy about 0.45 with a standard deviation of 2 points and a correlation of 0.9 from step to step."""
    rng = np.random.default_rng(10_000 + seed)
    about = np.zeros(steps + 1)
    for step in range(1, steps + 1):
        about[step] = 0.9 * about[step - 1] + rng.normal() * 0.02 * math.sqrt(1 - 0.9**2)
    return Truth(0.45 + about)


# ------------------------------------------------------- collapses, made after the rules were fixed (commit c4e3f73)


@dataclass(frozen=True)
class Collapse:
    """A way to go wrong."""

    after: float
    """Accuracy in the end."""
    takes: int
    """Steps from the onset until then."""
    metrics: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """What else changes as fast: values before and after."""
    reward_rises: bool = False
    """The reward pays for it."""


LOST_ENTROPY = {"policy/entropy": (0.3, 0.003)}
COLLAPSES: Mapping[str, Collapse] = {
    "repetition paid": Collapse(
        0.1, 20, {"meter/repeated_frac": (0.02, 0.7), "completion/truncated_frac": (0.05, 0.8)}, reward_rises=True
    ),
    "wrong answers paid": Collapse(0.05, 25, {}, reward_rises=True),
    "another language paid": Collapse(0.35, 30, {"meter/foreign_completion_frac": (0.05, 0.95)}, reward_rises=True),
    "entropy lost": Collapse(0.4, 60, LOST_ENTROPY),
    "rate too high": Collapse(0.0, 6, {"policy/kl": (0.05, 8.0), "completion/truncated_frac": (0.05, 1.0)}),
    "late spike": Collapse(0.3, 1, {"policy/grad_norm": (0.5, 60.0)}),
    "optimizer fault": Collapse(0.15, 10, {"policy/skipped_updates": (0.0, 1.0)}),
    "slow drift to nothing": Collapse(0.0, 60),
}


def collapse(kind: Collapse, onset: int, steps: int) -> Truth:
    """A gain from 0.35 to 0.6 by the onset, and then the collapse."""
    time = np.arange(steps + 1)
    gain = 0.35 + 0.25 * np.minimum(1.0, time / onset)
    share = np.clip((time - onset) / kind.takes, 0.0, 1.0)
    accuracy = gain + (kind.after - 0.6) * share
    metrics = {name: low + (high - low) * share for name, (low, high) in kind.metrics.items()}
    if "policy/skipped_updates" in metrics:
        metrics["policy/skipped_updates"] = np.ceil(share)
    reward = gain + 0.3 * share if kind.reward_rises else None
    return Truth(np.maximum(accuracy, 0.0), metrics, reward)
