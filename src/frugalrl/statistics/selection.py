"""Which checkpoint to keep, from validation alone, and when to stop looking for a better one.

The rule, decided before any number is seen:
- keep the checkpoint with the highest validation accuracy, the earlier one of equals; the base, if none is above it;
- keeping is not claiming: an improvement is claimed only if the kept checkpoint's paired permutation test against the
  base stays below 5 % after Holm's correction for every checkpoint that was looked at;
- with `patience`, stop once that many evaluations in a row have not beaten the best checkpoint (it has levelled off),
  or one is worse than the best with p < 5 % (it falls).

The maximum of several noisy numbers is too high, whoever takes it: the accuracy of the kept checkpoint is to be
measured on the test split, once. `benchmarks/selection.py` simulates how often the rule claims what is not there.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from frugalrl.errors import DataError
from frugalrl.statistics.intervals import LEVEL, Estimate
from frugalrl.statistics.paired_tests import Difference, holm, holm_levels, paired
from frugalrl.statistics.wording import p_value, points

BASE_STEP = 0
PATIENCE = 3
"""Evaluations: with fewer, noise stops runs that still rise (benchmarks/records/selection.json)."""

Compare = Callable[[Any, Any, float], Difference]
"""Takes what is known of two models on the selection problems, the earlier one first, and the level of the test."""


@dataclass(frozen=True)
class Selection:
    """What to keep, and what may be said of it."""

    step: int
    """Of the kept checkpoint; 0 is the base."""
    differences: Mapping[int, Estimate]
    """avg@k of each checkpoint that was considered, by step, minus the base's. The interval is of the level at which
    Holm's procedure tests it, so that it holds 0 just where nothing is shown."""
    adjusted_p_values: Mapping[int, float]
    """Of each against the base, after Holm's correction for all of them."""
    stopped_at: int | None
    """The step at which the rule stops, or None; later checkpoints are not considered."""
    reasons: tuple[str, ...]
    """Sentences for people, numbers included."""

    @property
    def claims_improvement(self) -> bool:
        """Whether the kept checkpoint is shown to be better than the base."""
        return self.step != BASE_STEP and self.is_shown(self.step)

    def is_shown(self, step: int) -> bool:
        """Whether a checkpoint's difference from the base, up or down, is more than chance."""
        return self.adjusted_p_values[step] < LEVEL


def select(
    base: Any, checkpoints: Mapping[int, Any], split: str, patience: int | None = PATIENCE, compare: Compare = paired
) -> Selection:
    """Apply the rule to what is known of the base and, by step, of its checkpoints.

    base, checkpoints: `statistics.Correct` for the same problems in the same order, or whatever `compare` takes.
    split: where they were evaluated; anything but ``validation`` is refused. patience: 1 or more; None never stops.
    Raises DataError for another split, ValueError for evaluations that cannot be compared.
    """
    refuse_test_split(split)
    if BASE_STEP in checkpoints:
        raise ValueError("the base is no checkpoint: give it as `base`")
    stopped_at, why_stopped = stop_step(base, checkpoints, patience, compare)
    seen = {
        step: compare(base, one, LEVEL)
        for step, one in sorted(checkpoints.items())
        if stopped_at is None or step <= stopped_at
    }
    p_values = [one.p_value for one in seen.values()]
    adjusted = dict(zip(seen, holm(p_values), strict=True))
    differences = {
        step: seen[step].estimate if level == LEVEL else compare(base, checkpoints[step], level).estimate
        for step, level in zip(seen, holm_levels(p_values), strict=True)
    }
    if not seen:
        return Selection(BASE_STEP, {}, {}, None, ("No checkpoint was evaluated: the base is kept.",))
    best = max(differences, key=lambda step: (differences[step].value, -step))
    reasons = [why_stopped] if why_stopped else []
    if differences[best].value > 0:
        reasons += _why_kept(best, differences[best], adjusted[best], len(seen))
    else:
        looked = "the checkpoint" if len(seen) == 1 else f"the best of {len(seen)}"
        reasons.append(
            f"No checkpoint is better than the base: {looked}, step {best}, is {points(differences[best])} "
            "from it. The base is kept."
        )
    return Selection(
        best if differences[best].value > 0 else BASE_STEP, differences, adjusted, stopped_at, tuple(reasons)
    )


def stop_step(
    base: Any, checkpoints: Mapping[int, Any], patience: int | None, compare: Compare = paired
) -> tuple[int | None, str]:
    """The step at which the rule stops, and why; (None, "") if it goes on."""
    if patience is None:
        return None, ""
    best, highest, waited = BASE_STEP, -math.inf, 0
    for step, one in sorted(checkpoints.items()):
        value = compare(base, one, LEVEL).estimate.value
        if value > highest:
            best, highest, waited = step, value, 0
            continue
        waited += 1
        fall = compare(checkpoints[best], one, LEVEL)
        if fall.estimate.value < 0 and fall.p_value < LEVEL:
            worse = f"{points(fall.estimate)}, {p_value(fall.p_value)}"
            return step, f"Stopped at step {step}: it is worse than step {best} ({worse})."
        if waited >= patience:
            return step, f"Stopped at step {step}: {patience} in a row did not beat step {best}."
    return None, ""


def refuse_test_split(split: str) -> None:
    """Raise DataError unless the split may choose a checkpoint."""
    if split != "validation":
        raise DataError(
            f"A checkpoint may not be chosen on {split!r}: what chooses cannot measure any more. "
            "Choose on validation problems of their own (data.validation), and keep the test for the end."
        )


def _why_kept(step: int, difference: Estimate, adjusted: float, looked_at: int) -> list[str]:
    after = p_value(adjusted)
    if looked_at > 1:
        after += f" after correction for the {looked_at} checkpoints looked at"
    shown = "It is better than the base" if adjusted < LEVEL else "That it is better than the base is not shown"
    kept = f"Step {step} is kept: the highest validation accuracy, {points(difference)} from the base."
    return [kept, f"{shown}: {after}."]
