"""From the measured runs of the questions in miniature to values, intervals and verdicts. Pure.

Decisions:
- A value is made within a seed; only a question's own seeds count, and of them those that both sides have. The
  interval is Student's over the seeds.
- A comparison is answered once every seed is there. Only primary comparisons get a verdict: after Holm's correction
  over all primary comparisons of the round that are answered. As more are answered, it gets stricter for all.
- "no difference" if not different and the whole interval lies within the margin to both sides; else "inconclusive".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

from question_arms import ARMS
from question_forms import Comparison, Question
from scipy import stats

from frugalrl.statistics.intervals import Estimate, over_seeds
from frugalrl.statistics.paired_tests import LEVEL, holm

Row = Mapping[str, Any]
Runs = Mapping[str, Mapping[int, Row]]
"""Arm -> seed -> what was measured."""
QuestionVerdict = Literal["higher", "lower", "no difference", "inconclusive"]


@dataclass(frozen=True)
class Answer:
    """What a comparison came to."""

    comparison: Comparison
    values: Mapping[int, float]
    """By seed."""
    estimate: Estimate
    p_value: float
    """Two-sided paired t test, not corrected; NaN where it is undefined."""
    adjusted: float
    """After Holm's correction; NaN for a comparison that is not primary, or not finished."""
    asked: int
    """How many seeds were registered."""

    @property
    def is_finished(self) -> bool:
        """Whether every seed is there."""
        return len(self.values) == self.asked

    @property
    def verdict(self) -> QuestionVerdict | None:
        """None where no verdict was registered, or seeds are missing."""
        if not self.comparison.primary or not self.is_finished:
            return None
        return verdict_of(self.estimate, self.adjusted, self.comparison.margin)


def verdict_of(estimate: Estimate, adjusted: float, margin: float) -> QuestionVerdict:
    """Different after correction, no difference beyond the margin, or neither."""
    if adjusted < LEVEL:
        return "higher" if estimate.value > 0 else "lower"
    return "no difference" if is_within(estimate, margin) else "inconclusive"


def is_within(estimate: Estimate, margin: float) -> bool:
    """Whether the whole interval is too small to matter."""
    return estimate.ci_low >= -margin and estimate.ci_high <= margin


def by_arm(rows: Sequence[Row]) -> Runs:
    """The lines of a record by arm and seed."""
    found: dict[str, dict[int, Row]] = {name: {} for name in ARMS}
    for row in rows:
        if row["arm"] in found:
            found[row["arm"]][row["seed"]] = row
    return found


def answers(questions: Mapping[str, Question], runs: Runs) -> dict[str, list[Answer]]:
    """Every comparison of every question, those of a round corrected together."""
    found: dict[str, list[Answer]] = {name: [] for name in questions}
    for number in {one.round for one in questions.values()}:
        together = {name: one for name, one in questions.items() if one.round == number}
        found |= _answers_of_a_round(together, runs)
    return found


def _answers_of_a_round(questions: Mapping[str, Question], runs: Runs) -> dict[str, list[Answer]]:
    raw = [
        (name, one, values_of(one, runs, asked.seeds)) for name, asked in questions.items() for one in asked.comparisons
    ]
    corrected = iter(
        holm(
            [
                p_value(values) if len(values) == len(questions[name].seeds) else math.nan
                for name, one, values in raw
                if one.primary
            ]
        )
    )
    found: dict[str, list[Answer]] = {name: [] for name in questions}
    for name, one, values in raw:
        adjusted = next(corrected) if one.primary else math.nan
        estimate = over_seeds(list(values.values()))
        found[name].append(Answer(one, values, estimate, p_value(values), adjusted, len(questions[name].seeds)))
    return found


def values_of(comparison: Comparison, runs: Runs, seeds: Sequence[int]) -> dict[int, float]:
    """The difference in each of the seeds that all arms of the comparison have."""
    second = comparison.against_measure or comparison.measure
    return {
        seed: fmean(runs[arm][seed][comparison.measure] for arm in comparison.arms)
        - fmean(runs[arm][seed][second] for arm in comparison.against)
        for seed in seeds
        if all(seed in runs.get(arm, {}) for arm in (*comparison.arms, *comparison.against))
    }


def p_value(values: Mapping[int, float]) -> float:
    """Of the mean being zero, by Student's test. NaN with fewer than two values, or where all are equal."""
    given = list(values.values())
    if len(given) < 2 or len(set(given)) == 1:
        return math.nan
    t = fmean(given) / (stdev(given) / math.sqrt(len(given)))  # scipy's own test warns where values are nearly equal
    return float(2 * stats.t.sf(abs(t), len(given) - 1))


def seeds_of(question: Question, runs: Runs) -> Mapping[str, int]:
    """How many seeds of each arm there are."""
    return {arm: sum(seed in runs.get(arm, {}) for seed in question.seeds) for arm in question.arms}


def is_answered(found: Sequence[Answer]) -> bool:
    """Whether all seeds of all primary comparisons of a question are there."""
    return all(one.is_finished for one in found if one.comparison.primary)
