"""The findings of a run in sentences: the same for the page and the model card.

Decisions: a gain is claimed where the summary's permutation test says so (p < 0.05), and in a summary without one where
the 95 % interval of the paired difference excludes zero; an interval that is missing decides nothing.

Not covered: correction for having looked at several checkpoints or runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from frugalrl.evaluation.looks import models_seen
from frugalrl.reporting.run_record import RunRecord
from frugalrl.statistics import wording
from frugalrl.statistics.intervals import LEVEL

SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Finding:
    """A sentence, and whether it is good news."""

    text: str
    kind: Literal["good", "bad", "unsure"]


def comparison(run: RunRecord) -> Finding:
    """Whether the trained model is better than its base."""
    base, final, gain = (_mapping(run.summary, name) for name in ("base", "final", "difference"))
    if not base or not final:
        return Finding(_without_comparison(run), "unsure")
    points, low, high = (_number(gain, name) for name in ("value", "ci_low", "ci_high"))
    problems, samples = final.get("n", "?"), final.get("k", "?")
    where = f"on {run.summary.get('split', 'the held-out problems')} ({problems} problems, {samples} samples each)"
    if points is None:
        return Finding(f"Base and final were not compared {where}.", "unsure")
    if low is None or high is None:
        return Finding(
            f"Inconclusive: the difference {where} is {_points(points)}, and its interval is undefined.", "unsure"
        )
    measured = f"{_points(points)}, 95 % interval {_points(low)} to {_points(high)}, paired by problem, {where}"
    p_value = _number(run.summary, "p_value")
    is_shown = p_value is not None and p_value < LEVEL
    if low > 0 if p_value is None else is_shown and points > 0:
        return Finding(f"Better than its base: {measured}.", "good")
    if high < 0 if p_value is None else is_shown:
        return Finding(f"Worse than its base: {measured}.", "bad")
    if run.summary.get("kept_step") == 0:
        return Finding(f"No checkpoint was better than the base, which is kept: {measured}.", "unsure")
    return Finding(f"Inconclusive: {measured}. {_least(run)}", "unsure")


def _least(run: RunRecord) -> str:
    least = _number(run.summary, "least_effect")
    if least is None or not least > 0:
        return "The interval includes zero; more problems or more samples of each would narrow it."
    return f"The minimum detectable effect of so many problems and samples is {100 * least:.1f} points (80 % power)."


def several_runs(runs: Sequence[RunRecord]) -> str:
    """How much the gains of several runs differ; empty with fewer than two."""
    gains = [(run.label, _number(_mapping(run.summary, "difference"), "value")) for run in runs]
    known = [(label, gain) for label, gain in gains if gain is not None]
    if len(known) < 2:
        return ""
    (worst, low), (best, high) = min(known, key=lambda one: one[1]), max(known, key=lambda one: one[1])
    return (
        f"The gains of {len(known)} finished runs go from {_points(low)} ({worst}) to {_points(high)} ({best}). "
        "Each interval is about its own run's problems; how much runs differ by their seed shows only between them."
    )


def looks(run: RunRecord) -> list[str]:
    """How often each split was looked at."""
    sentences = []
    for split in SPLITS:
        steps = [step for step, values in run.evaluations if f"{split}/avg_at_k" in values]
        if not steps:
            sentences.append(f"{run.label}: no evaluation on {split} is logged.")
            continue
        shown = f"{run.label}: {split} was evaluated {len(steps)} times, after steps {', '.join(map(str, steps))}."
        sentences.append(shown)
    return sentences


def overused_test(run: RunRecord) -> list[str]:
    """A warning for each test set that was looked at for more than one trained model, by the run's ledger."""
    warnings = []
    for benchmark, steps in models_seen(run.looks).items():
        if len(steps) > 1:
            shown = ", ".join(map(str, steps))
            warnings.append(
                f"{run.label}: {benchmark} was evaluated on {len(steps)} trained models of this run, after steps "
                f"{shown}. A test set measures one model: the best of several looks is biased upwards."
            )
    return warnings


def progress(run: RunRecord) -> str:
    """How far the run came."""
    planned = _mapping(run.recipe, "training").get("steps")
    done = run.steps[-1][0] if run.steps else 0
    of = f" of {planned}" if planned is not None else ""
    if not run.steps:
        return f"{run.label}: no training step is logged yet."
    is_open = not run.summary and not run.is_fine_tuning
    return f"{run.label}: {done}{of} steps" + (", not finished." if is_open else ".")


def accuracy(values: Mapping[str, Any], prefix: str = "") -> tuple[str, str]:
    """An accuracy and its interval as text, e.g. ("46.3 %", "[43.9, 48.8]"); a dash where there is none."""
    value, low, high = (_number(values, f"{prefix}{name}") for name in ("avg_at_k", "ci_low", "ci_high"))
    if value is None:
        return "–", ""
    return f"{100 * value:.1f} %", "" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"


def gain(run: RunRecord) -> tuple[str, str]:
    """The paired difference and its interval as text."""
    return points_of(_mapping(run.summary, "difference"))


def points_of(difference: object) -> tuple[str, str]:
    """A difference and its interval as text; a dash where there is none."""
    values = difference if isinstance(difference, Mapping) else {}
    value, low, high = (_number(values, name) for name in ("value", "ci_low", "ci_high"))
    if value is None:
        return "–", ""
    return _points(value), "" if low is None or high is None else wording.points_interval(low, high)


def _without_comparison(run: RunRecord) -> str:
    if run.is_fine_tuning:
        return "Not known: a fine-tuning run is not compared with its base."
    if not run.summary:
        return "Not known yet: base and final are compared when the run ends, and it has no summary."
    return "Not known: the recipe has no held-out problems. Set data.validation or data.test."


def _points(fraction: float) -> str:
    return f"{wording.signed_points(fraction)} points"


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = values.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
