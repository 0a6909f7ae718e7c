"""Made-up runs for the guard: a policy of known accuracy, the metrics of its steps, and evaluations of it.

What is true of a run is `Truth`: its accuracy at each step, and what its other metrics do. A step's metrics and an
evaluation's verdicts are drawn from it: problems have difficulties of their own (a logistic model with a spread of 1.5,
which gives within-problem variances like those of the tiny model), a step samples 8 problems 8 times, and the noise of
neighbouring steps may go together beyond that. The guard is then run as the trainer runs it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.training.guard.rules import Decision, GuardRule, Look, judge, observe, rolled_back
from frugalrl.training.guard.state import GuardState

SPREAD = 1.5
_GRID = np.linspace(-12.0, 12.0, 481)
_NODES = np.random.default_rng(0).normal(0.0, SPREAD, 4000)
_MEANS = expit(_GRID[:, None] + _NODES[None, :]).mean(axis=1)
PROMPTS, GROUP = 8, 8


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
    rule = GuardRule(settings or GuardSettings(), PROMPTS * GROUP, look_samples, setting.every)
    uniforms = rng.random((setting.problems, setting.samples))
    state, decisions, evaluations = GuardState(), [], {}
    noise = 0.0

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
        innovation = rng.normal() * setting.extra_noise * math.sqrt(1 - setting.correlation**2)
        noise = setting.correlation * noise + innovation
        metrics = step_metrics(truth, step, noise, rng)
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


def step_metrics(truth: Truth, step: int, noise: float, rng: np.random.Generator) -> dict[str, float]:
    """What a step logs, as far as the guard reads it."""
    difficulty = rng.normal(0.0, SPREAD, PROMPTS)
    chances = problem_chances(float(np.clip(truth.accuracy[step] + noise, 0.0, 0.999)), difficulty)
    correct = float((rng.random((GROUP, PROMPTS)) < chances).mean())
    base = correct if truth.reward is None else truth.reward[step] + noise + rng.normal() * 0.05
    values = {
        "verdict/correct_frac": correct,
        "reward/mean": float(base),
        "completion/mean_tokens": 30.0,
        "completion/truncated_frac": 0.05,
        "meter/repeated_frac": 0.02,
        "meter/foreign_completion_frac": 0.05,
        "policy/kl": 0.05,
        "policy/entropy": 0.3,
        "policy/grad_norm": 0.5,
        "loss/total": 0.01,
    }
    values |= {name: float(series[step]) for name, series in truth.metrics.items()}
    noisy = {"completion/truncated_frac": 0.03, "meter/repeated_frac": 0.01, "meter/foreign_completion_frac": 0.03}
    values |= {name: float(np.clip(values[name] + rng.normal() * size, 0, 1)) for name, size in noisy.items()}
    positive = ("policy/kl", "policy/entropy", "policy/grad_norm")
    return values | {name: float(values[name] * math.exp(0.2 * rng.normal())) for name in positive}


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
