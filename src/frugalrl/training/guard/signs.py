"""Signs that a run goes wrong, from the metrics of its steps: each a pure function of the values so far.

Two kinds, since only one of them can be calibrated:

- Signs that request an evaluation: `accuracy` and `reward` falling, truncation and repetition rising, numbers that are
  not finite. The first four are found by a CUSUM of a step's deviation from its own past, in units of the long-run
  standard deviation, which includes the correlation between steps. Their false-alarm rate is simulated
  (docs/guard.md), and a false alarm costs one small evaluation.
- Signs that only warn: KL, entropy, gradient norm, language. They move in healthy runs, so no null describes them.
  Each has a limit relative to its own early level, within absolute bounds, so that a bad start does not raise it.

Decisions:
- A deviation is clipped at `MOST_PER_STEP` standard deviations: no single step fires, however wild.
- The scale is estimated from clipped deviations too, so that a collapse does not hide in the scale it causes.
- The past is an exponential mean: after a lasting change it follows, and the new level becomes the past.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

WARM_UP_STEPS = 10
"""Steps from which a first level and scale are taken."""
LEVEL_MEMORY = 0.05
"""Weight of a step in the level: a half-life of 14 steps."""
SCALE_MEMORY = 0.02
SLACK = 0.5
"""Standard deviations per step that do not count: a change of twice as much is found fastest (Page 1954)."""
ALARM_AT = 5.0
"""Summed standard deviations. Chosen on simulated nulls alone; docs/guard.md says how often each is exceeded."""
MOST_PER_STEP = 4.0
PRIOR_STEPS = 10
PRIOR_CORRELATION = 0.5
"""Ten steps say little about the correlation between steps: they are pooled with ten of this prior."""
LARGEST_CORRELATION = 0.95


@dataclass(frozen=True)
class ChangeSign:
    """A metric whose change requests an evaluation."""

    metric: str
    direction: Literal[-1, 1]
    """1: a rise is bad."""
    least_scale: float
    """Lower bound of the standard deviation, in the metric's unit."""


@dataclass(frozen=True)
class WarningSign:
    """A metric that is compared with a multiple of its early level, within absolute bounds."""

    metric: str
    factor: float
    """Below 1: a fall is bad."""
    lowest: float
    highest: float
    """Bounds of the limit, whatever the early level was."""


CHANGE_SIGNS: Mapping[str, ChangeSign] = {
    "accuracy": ChangeSign("verdict/correct_frac", -1, 0.01),
    "reward": ChangeSign("reward/mean", -1, 1e-6),
    "truncated": ChangeSign("completion/truncated_frac", 1, 0.02),
    "repetition": ChangeSign("meter/repeated_frac", 1, 0.02),
}
WARNING_SIGNS: Mapping[str, WarningSign] = {
    "kl": WarningSign("policy/kl", 10.0, 0.3, 1.0),
    "entropy_low": WarningSign("policy/entropy", 0.1, 0.005, 0.05),
    "entropy_high": WarningSign("policy/entropy", 3.0, 1.0, 3.0),
    "grad_norm": WarningSign("policy/grad_norm", 10.0, 1.0, 100.0),
    "language": WarningSign("meter/foreign_completion_frac", 2.0, 0.3, 0.6),
}
SMOOTHING = 5
"""Steps whose median a warning compares."""


@dataclass(frozen=True)
class Detector:
    """The state of a sign that detects a change."""

    warm_up: tuple[float, ...] = ()
    """The first values, until there is a level."""
    level: float = 0.0
    variance: float = 0.0
    """Of the deviations from the level."""
    covariance: float = 0.0
    """Of consecutive deviations."""
    last: float = 0.0
    """The latest deviation, clipped."""
    steps: int = 0
    """Values seen."""
    sum: float = 0.0
    """The CUSUM: accumulated deviation towards the bad side, in standard deviations."""
    since: int | None = None
    """The step at which the sum left 0."""


@dataclass(frozen=True)
class Watch:
    """The state of a sign that only warns."""

    early: tuple[float, ...] = ()
    recent: tuple[float, ...] = ()
    warned: bool = False


def step_change(detector: Detector, value: float, step: int, sign: ChangeSign) -> Detector:
    """The detector after a finite value; see `fires`."""
    if len(detector.warm_up) < WARM_UP_STEPS:
        warm_up = (*detector.warm_up, value)
        seen = replace(detector, warm_up=warm_up, steps=detector.steps + 1)
        return _started(seen) if len(warm_up) == WARM_UP_STEPS else seen
    scale = max(long_run_scale(detector), sign.least_scale)
    distance = value - detector.level
    # The scale is updated with values clipped at the deviation of one step: at the long-run one nothing would be
    # clipped.
    most = 3 * max(math.sqrt(detector.variance), sign.least_scale)
    bounded = min(max(distance, -most), most)
    total = max(0.0, detector.sum + min(sign.direction * distance / scale, MOST_PER_STEP) - SLACK)
    return replace(
        detector,
        level=detector.level + LEVEL_MEMORY * distance,
        variance=(1 - SCALE_MEMORY) * detector.variance + SCALE_MEMORY * bounded**2,
        covariance=(1 - SCALE_MEMORY) * detector.covariance + SCALE_MEMORY * bounded * detector.last,
        last=bounded,
        steps=detector.steps + 1,
        sum=total,
        since=None if total == 0 else detector.since if detector.sum > 0 else step,
    )


def fires(detector: Detector) -> bool:
    """Whether the change has added up to an alarm."""
    return detector.sum >= ALARM_AT


def answered(detector: Detector) -> Detector:
    """The detector after its alarm was handled: it restarts from 0."""
    return replace(detector, sum=0.0, since=None)


def relearned(detector: Detector) -> Detector:
    """The detector after a rollback: the policy is another one, so the level is estimated again; the scale stays."""
    return replace(Detector(), variance=detector.variance, covariance=detector.covariance, steps=detector.steps)


def long_run_scale(detector: Detector) -> float:
    """The standard deviation of a step, times sqrt((1 + r) / (1 - r)) for a correlation r of consecutive steps."""
    correlation = detector.covariance / detector.variance if detector.variance > 0 else 0.0
    known = min(detector.steps, 1 / SCALE_MEMORY)
    # An estimate from n values is too low by about (1 + 3 r) / n (Kendall 1954).
    corrected = correlation + (1 + 3 * correlation) / known
    blended = (known * corrected + PRIOR_STEPS * PRIOR_CORRELATION) / (known + PRIOR_STEPS)
    bounded = min(max(blended, 0.0), LARGEST_CORRELATION)
    return math.sqrt(detector.variance * (1 + bounded) / (1 - bounded))


def step_warning(watch: Watch, value: float) -> Watch:
    """The watch after a finite value."""
    early = watch.early if len(watch.early) >= WARM_UP_STEPS else (*watch.early, value)
    return replace(watch, early=early, recent=(*watch.recent, value)[-SMOOTHING:])


def warning_limit(watch: Watch, sign: WarningSign) -> float | None:
    """The limit, once there is an early level."""
    if len(watch.early) < WARM_UP_STEPS:
        return None
    return min(max(sign.factor * statistics.median(watch.early), sign.lowest), sign.highest)


def is_over(watch: Watch, sign: WarningSign) -> bool:
    """Whether the median of the newest values is beyond the limit."""
    limit = warning_limit(watch, sign)
    if limit is None or len(watch.recent) < SMOOTHING:
        return False
    value = statistics.median(watch.recent)
    return value > limit if sign.factor > 1 else value < limit


def nonfinite(metrics: Mapping[str, float]) -> str | None:
    """What was not finite in a training step, with its number; None if all was.

    A step from which nothing may be learned has no loss and no gradient, and is not meant.
    """
    if "policy/nonfinite_updates" in metrics:
        updates = metrics["policy/nonfinite_updates"]
        return f"policy/nonfinite_updates is {updates:g}" if updates else None
    # The log of an earlier version.
    skipped = metrics.get("policy/skipped_updates", 0.0)
    if skipped != 0:
        return f"policy/skipped_updates is {skipped:g}"
    for name in ("loss/total", "policy/grad_norm"):
        if not math.isfinite(metrics.get(name, 0.0)):
            return f"{name} is {metrics[name]:g}"
    return None


def _started(detector: Detector) -> Detector:
    """Level and, unless it is known, scale from the first values, around the straight line through them."""
    level, distances = _line(detector.warm_up)
    if detector.variance > 0:
        return replace(detector, level=level, last=distances[-1])
    degrees = len(distances) - 2
    pairs = itertools.pairwise(distances)
    return replace(
        detector,
        level=level,
        variance=sum(one**2 for one in distances) / degrees,
        covariance=sum(one * other for one, other in pairs) / degrees,
        last=distances[-1],
    )


def _line(values: Sequence[float]) -> tuple[float, list[float]]:
    """The mean, and the residuals of the values from their least-squares line."""
    middle, mean = (len(values) - 1) / 2, statistics.fmean(values)
    weights = [index - middle for index in range(len(values))]
    slope = sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(w**2 for w in weights)
    return mean, [value - mean - slope * weight for weight, value in zip(weights, values, strict=True)]
