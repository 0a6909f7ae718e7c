"""What the guard looks at: each signal's reading as a pure function of the values seen so far.

A reading is a value with its early level and its limit. Its severity is how far the value has gone on the way from
the early level to the limit: 0 at the level, 1 at the limit, whichever direction is bad. So one rule of hysteresis
serves all signals.

Decisions:
- The early level is the median of the run's own first steps. A limit stands at least `noise` deviations from it, the
  deviation being 1.4826 x the median absolute deviation, so that a noisy metric needs a larger move.
- A share close to 1 has little room above it: its limit is at most halfway between the early level and 1.
- The reward is compared with the best level it has had, not with its early one: it is meant to rise.
"""

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frugalrl.config.stability_schema import GuardSettings, RatioSignal, RewardSignal, ShareSignal, SignalSettings

METRICS: Mapping[str, str] = {
    "kl": "policy/kl",
    "entropy_low": "policy/entropy",
    "entropy_high": "policy/entropy",
    "grad_norm": "policy/grad_norm",
    "clipped": "policy/clipped_frac",
    "truncated": "completion/truncated_frac",
    "zero_std": "group/zero_std_frac",
    "repetition": "meter/repeated_frac",
    "language": "meter/foreign_completion_frac",
    "reward": "reward/mean",
}
"""Signals that are read at every training step, and the metric of each."""

VALIDATION_METRIC = "validation/avg_at_k"
"""What the signals `validation` and `gaming` are read from, where it is measured."""

SIGNALS = (*METRICS, "validation", "gaming", "nonfinite")

MOST_SEVERE = 1e6
"""A level that fell to nothing fell by this factor."""
MAD_TO_DEVIATION = 1.4826
"""Of a normal distribution: its standard deviation over its median absolute deviation."""


@dataclass(frozen=True)
class Reading:
    """A signal at one moment."""

    value: float
    level: float
    """What it is compared with: the early level, or the best so far."""
    limit: float
    falls_by_ratio: bool = False
    """The level is divided by the threshold: half the limit is then about twice as severe."""

    @property
    def severity(self) -> float:
        """0 at the level, 1 at the limit, more beyond it; negative where the value moved the good way."""
        if self.falls_by_ratio:
            return (self.level / max(self.value, self.level / MOST_SEVERE) - 1) / (self.level / self.limit - 1)
        return (self.value - self.level) / (self.limit - self.level)


@dataclass(frozen=True)
class Score:
    """A validation accuracy."""

    step: int
    value: float
    half_width: float
    """Of its 95 % interval."""
    reward: float | None
    """The training reward around it: the mean of the steps that are remembered; None before the first step."""


def settings_of(signal: str, settings: GuardSettings) -> SignalSettings:
    """The section of a signal."""
    section: SignalSettings = getattr(settings, signal)
    return section


def step_reading(
    signal: str, early: Sequence[float], recent: Sequence[float], best: float | None, settings: GuardSettings
) -> Reading | None:
    """The reading of a signal of `METRICS`; None until there is enough to compare.

    early: values of the first steps, complete. recent: the newest values, oldest first. best: the highest median
    of a window so far, for the reward.
    """
    section = settings_of(signal, settings)
    if isinstance(section, RewardSignal):
        return _fall(early, recent, best, section, settings)
    if len(recent) < settings.smoothing:
        return None
    value = statistics.median(recent[-settings.smoothing :])
    if signal == "entropy_low" and isinstance(section, RatioSignal):
        level = statistics.median(early)
        return Reading(value, level, level / section.threshold, falls_by_ratio=True) if level > 0 else None
    if isinstance(section, RatioSignal):
        return _rise_by_ratio(value, early, section, settings.noise)
    if isinstance(section, ShareSignal):
        return _rise_of_share(value, early, section, settings.noise)
    raise ValueError(f"the signal {signal} is not read at every step")


def validation_reading(score: Score, best: Score, threshold: float) -> Reading:
    """The accuracy against the best one, by the noise of both.

    The samples of both are of the same problems, so that the true noise of their difference is smaller than the root
    of the squares: the limit errs on the side of doing nothing.
    """
    margin = threshold * math.hypot(score.half_width, best.half_width)
    return Reading(score.value, best.value, best.value - margin)


def gaming_reading(score: Score, best: Score, threshold: float) -> Reading | None:
    """As above by the score's own interval, and only if the training reward rose meanwhile."""
    if score.reward is None or best.reward is None or score.reward <= best.reward:
        return None
    return Reading(score.value, best.value, best.value - threshold * score.half_width)


def is_nonfinite(metrics: Mapping[str, float]) -> str | None:
    """What was not finite in a training step, with its number; None if all was."""
    skipped = metrics.get("policy/skipped_updates", 0.0)
    if skipped != 0:
        return f"policy/skipped_updates is {skipped:g}"
    for name in ("loss/total", "policy/grad_norm"):
        if not math.isfinite(metrics.get(name, 0.0)):
            return f"{name} is {metrics[name]:g}"
    return None


def deviation(values: Sequence[float]) -> float:
    """A robust standard deviation: 1.4826 x the median distance from the median."""
    middle = statistics.median(values)
    return MAD_TO_DEVIATION * statistics.median([abs(value - middle) for value in values])


def step_noise(values: Sequence[float]) -> float:
    """The standard deviation of a step about a level that moves: that of differences of neighbours, over root 2."""
    if len(values) < 2:
        return 0.0
    distances = [abs(after - before) for before, after in itertools.pairwise(values)]
    return MAD_TO_DEVIATION * statistics.median(distances) / math.sqrt(2)


def _rise_by_ratio(value: float, early: Sequence[float], section: RatioSignal, noise: float) -> Reading | None:
    level = max(statistics.median(early), section.floor)
    limit = max(section.threshold * level, level + noise * deviation(early))
    return Reading(value, level, limit) if limit > level else None


def _rise_of_share(value: float, early: Sequence[float], section: ShareSignal, noise: float) -> Reading | None:
    level = statistics.median(early)
    room = (1 - level) / 2
    limit = level + min(room, max(section.threshold, noise * deviation(early)))
    return Reading(value, level, limit) if room > 0 else None


def _fall(
    early: Sequence[float],
    recent: Sequence[float],
    best: float | None,
    section: RewardSignal,
    settings: GuardSettings,
) -> Reading | None:
    noise = step_noise(early)
    if best is None or len(recent) < settings.window or noise == 0:
        return None
    value = statistics.median(recent[-settings.window :])
    return Reading(value, best, best - section.threshold * noise)
