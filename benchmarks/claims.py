"""The paper's claims, one by one, against runs of its three settings over several seeds.

Decisions:
- What is compared is fixed before the runs: the evaluation at a fifth of the steps corresponds to the paper's first 100
  of 500, never the best of several looks.
- A value is made for each seed, between runs of the same seed where two settings are compared, and its sign is such
  that the paper's claim makes it positive. The interval is Student's over the seeds' values: it holds what training
  and sampling add, but not that other problems might have been drawn.
- Three verdicts: reproduced if the whole interval is above zero, not reproduced if it is below the smallest effect
  worth a mention, else inconclusive. With three seeds an interval is 2.5 standard deviations wide to each side.

Claims after arXiv 2503.16219, figures 2 to 5. Not covered: correction for asking several questions of the same runs.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from frugalrl.reporting.run_record import RunRecord, Values
from frugalrl.statistics.intervals import Estimate, over_seeds

Unit = Literal["points", "tokens", "nats"]
ClaimVerdict = Literal["reproduced", "not reproduced", "inconclusive"]
Experiments = Mapping[str, Sequence[RunRecord]]
"""Setting -> its runs, one per seed, the seeds in the same order for the settings that are compared."""

EARLY = 0.2
"""Of all steps: the paper's 100 of 500, where its gains are."""
WINDOW = 0.1
"""Of all steps: metrics of single steps are averaged over the first or the last tenth."""

SMALLEST: Mapping[Unit, float] = {"points": 0.01, "tokens": 0.5, "nats": 0.001}
"""An effect below it is none: one point of accuracy, half a token, a thousandth of a nat."""

SETTINGS = ("open-rs1", "open-rs2", "open-rs3")


@dataclass(frozen=True)
class Claim:
    """What the paper says, what was measured for it, and what came out."""

    name: str
    """The claim, in a few words."""
    measure: str
    """What a value is; positive as the claim has it."""
    unit: Unit
    """points: differences of shares, in -1..1 here and shown as percentage points."""
    values: tuple[float, ...]
    """One per seed."""

    @property
    def estimate(self) -> Estimate:
        """The mean over seeds with its 95 % interval."""
        return over_seeds(self.values)

    @property
    def verdict(self) -> ClaimVerdict:
        """Whether the interval decides."""
        return claim_verdict(self.estimate, SMALLEST[self.unit])


def claim_verdict(estimate: Estimate, smallest: float) -> ClaimVerdict:
    """Reproduced above zero, not reproduced below the smallest effect; an undefined interval decides nothing."""
    if math.isnan(estimate.ci_low) or math.isnan(estimate.ci_high):
        return "inconclusive"
    if estimate.ci_low > 0:
        return "reproduced"
    return "not reproduced" if estimate.ci_high < smallest else "inconclusive"


def paper_claims(experiments: Experiments) -> list[Claim]:
    """Every claim, in the paper's order, and what it leaves open.

    experiments: runs of ``open-rs1``, ``open-rs2``, ``open-rs3``, ``open-rs3-language`` and ``collapse``, all with a
        validation split.
    Raises KeyError for a missing setting and ValueError for a run that lacks a needed evaluation.
    """
    first, second, third = (experiments[name] for name in SETTINGS)
    collapse = experiments["collapse"]
    claims = [
        Claim(f"early gain, {name}", "accuracy at a fifth of the steps less the base's", "points", _each(runs, _gain))
        for name, runs in zip((*SETTINGS, "collapse"), (first, second, third, collapse), strict=True)
    ]
    claims += [
        Claim(f"later loss, {name}", "accuracy at a fifth of the steps less the last", "points", _each(runs, _loss))
        for name, runs in zip((*SETTINGS, "collapse"), (first, second, third, collapse), strict=True)
    ]
    claims += [
        Claim("collapse ends below its base", "the base's accuracy less the last", "points", _each(collapse, _below)),
        Claim(
            "truncation pressure, open-rs1",
            "highest truncated share of a tenth of the steps less the base's, in training",
            "points",
            _each(first, _truncation_rise),
        ),
        Claim(
            "mixing shortens, in training",
            "tokens of a completion in open-rs1 less those in open-rs2, each on its own problems",
            "tokens",
            _paired(first, second, _training_tokens),
        ),
        Claim(
            "mixing shortens, same problems",
            "tokens at the last evaluation of open-rs1 less those of open-rs2",
            "tokens",
            _paired(first, second, _last_tokens),
        ),
        Claim(
            "cosine shortens further",
            "tokens at the last evaluation of open-rs2 less those of open-rs3",
            "tokens",
            _paired(second, third, _last_tokens),
        ),
        Claim(
            "cosine costs peak accuracy",
            "highest accuracy of open-rs2 less that of open-rs3",
            "points",
            _paired(second, third, _peak),
        ),
    ]
    claims += [
        Claim(
            f"KL grows, {name}",
            "median KL of the last tenth's steps less that of the first's",
            "nats",
            _each(runs, _kl_rise),
        )
        for name, runs in zip(SETTINGS, (first, second, third), strict=True)
    ]
    claims += [
        Claim(
            f"language drift, {name}",
            "training completions with a sentence not in English, last tenth less first",
            "points",
            _each(runs, _drift),
        )
        for name, runs in zip(SETTINGS, (first, second, third), strict=True)
    ]
    return claims + _language_reward(third, experiments["open-rs3-language"])


def _language_reward(without: Sequence[RunRecord], given: Sequence[RunRecord]) -> list[Claim]:
    """The paper's open question: does a language reward stop the drift, and what does it cost?"""
    return [
        Claim(
            "a language reward stops drift",
            "training completions with a sentence not in English in the last tenth, without less with it",
            "points",
            _paired(without, given, _foreign),
        ),
        Claim(
            "a language reward costs accuracy",
            "accuracy at the last evaluation, without less with it",
            "points",
            _paired(without, given, _last),
        ),
    ]


def accuracy_by_step(run: RunRecord) -> dict[int, float]:
    """Validation accuracy in 0..1 at every evaluation. Raises ValueError if there are fewer than two."""
    return _evaluated(run, "validation/avg_at_k")


def collapse_step(run: RunRecord) -> int | None:
    """The first evaluated step from which accuracy stays below the base's; None if it ends above it."""
    found = accuracy_by_step(run)
    base, below = found[min(found)], None
    for step in sorted(found, reverse=True):
        if found[step] >= base:
            break
        below = step
    return below


def window_mean(run: RunRecord, metric: str, from_share: float, to_share: float) -> float:
    """The mean of a step's metric over a part of the steps; values that were not finite are left out. NaN if none."""
    numbers = _window(run, metric, from_share, to_share)
    return sum(numbers) / len(numbers) if numbers else math.nan


# ------------------------------------------------------------------------------------------- one run's values


def _gain(run: RunRecord) -> float:
    found = accuracy_by_step(run)
    return _early(found) - found[min(found)]


def _loss(run: RunRecord) -> float:
    found = accuracy_by_step(run)
    return _early(found) - found[max(found)]


def _below(run: RunRecord) -> float:
    found = accuracy_by_step(run)
    return found[min(found)] - found[max(found)]


def _peak(run: RunRecord) -> float:
    return max(accuracy_by_step(run).values())


def _last(run: RunRecord) -> float:
    found = accuracy_by_step(run)
    return found[max(found)]


def _foreign(run: RunRecord) -> float:
    return window_mean(run, "meter/foreign_completion_frac", 1 - WINDOW, 1.0)


def _drift(run: RunRecord) -> float:
    return _foreign(run) - window_mean(run, "meter/foreign_completion_frac", 0.0, WINDOW)


def _early(found: Mapping[int, float]) -> float:
    """The last evaluation up to `EARLY` of the steps. Raises ValueError if that is the base's."""
    step = max(step for step in found if step <= EARLY * max(found))
    if step == min(found):
        raise ValueError(f"no evaluation between the base's and a share of {EARLY:g} of the steps")
    return found[step]


def _last_tokens(run: RunRecord) -> float:
    found = _evaluated(run, "validation/mean_tokens")
    return found[max(found)]


def _training_tokens(run: RunRecord) -> float:
    return window_mean(run, "completion/mean_tokens", 1 - WINDOW, 1.0)


def _kl_rise(run: RunRecord) -> float:
    """Medians: the estimate k3 jumps by a factor of a hundred for single steps of healthy runs."""
    first, last = (_window(run, "policy/kl", *part) for part in ((0.0, WINDOW), (1 - WINDOW, 1.0)))
    return statistics.median(last) - statistics.median(first)


def _truncation_rise(run: RunRecord) -> float:
    """The first step samples from the base itself."""
    parts = [window_mean(run, "completion/truncated_frac", tenth / 10, (tenth + 1) / 10) for tenth in range(10)]
    base: Values = run.steps[0][1]
    return max(parts) - (base.get("completion/truncated_frac") or 0.0)


def _window(run: RunRecord, metric: str, from_share: float, to_share: float) -> list[float]:
    last = max(step for step, _ in run.steps)
    known = [values.get(metric) for step, values in run.steps if from_share * last < step <= to_share * last]
    return [value for value in known if value is not None]


def _evaluated(run: RunRecord, metric: str) -> dict[int, float]:
    found = {step: value for step, values in run.evaluations if (value := values.get(metric)) is not None}
    if len(found) < 2:
        raise ValueError(f"{run.label} has {len(found)} evaluations with {metric}; two are needed")
    return found


def _each(runs: Sequence[RunRecord], measure: Callable[[RunRecord], float]) -> tuple[float, ...]:
    return tuple(measure(run) for run in runs)


def _paired(
    before: Sequence[RunRecord], after: Sequence[RunRecord], measure: Callable[[RunRecord], float]
) -> tuple[float, ...]:
    return tuple(measure(one) - measure(other) for one, other in zip(before, after, strict=True))
