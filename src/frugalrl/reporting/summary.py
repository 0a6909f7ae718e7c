"""The end of a run in one record: base against final, time, versions. Written as summary.json."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from frugalrl.config.schema import TrainRecipe
from frugalrl.evaluation.records import Evaluation
from frugalrl.files import atomic_write
from frugalrl.statistics.intervals import Estimate, pass_at_k
from frugalrl.statistics.paired_tests import Verdict, paired_within, verdict_of
from frugalrl.statistics.power import minimum_detectable_effect, seen_in_both
from frugalrl.statistics.selection import Selection


@dataclass(frozen=True)
class Score:
    """One model on the compared split. Accuracies in 0..1, the interval is 95 %, clustered by problem."""

    avg_at_k: float
    ci_low: float
    ci_high: float
    k: int
    n: int
    pass_at_k: float
    truncated_frac: float
    unknown_frac: float
    """Of the verdicts; such samples count as not correct."""
    mean_tokens: float


@dataclass(frozen=True)
class SolvedNow:
    """A problem the base never solved in k samples and the trained model always does."""

    problem: str
    gold: str
    before: str
    """A completion of the base."""
    after: str
    """A completion of the trained model."""


@dataclass(frozen=True)
class Contender:
    """One of the models that validation chose from."""

    name: Literal["base", "best", "last"]
    step: int
    score: Score
    difference: Estimate | None
    """From the base, paired by problem; None for the base."""
    p_value: float | None
    """Of no difference to the base, corrected for all models that were looked at; None for the base."""
    verdict: Verdict | None
    """Against the base; None for the base."""


@dataclass(frozen=True)
class Ending:
    """How a run ended."""

    steps: int
    """Done in all."""
    kept_step: int
    """Of the model that was kept; 0 is the base."""
    ended_early: str | None
    """Why before the recipe's last step, if so."""
    split: str
    """Where base and final are compared: test, or validation if the recipe has no test."""


@dataclass(frozen=True)
class Summary:
    """What a run came to."""

    name: str
    model: str
    seed: int
    steps: int
    kept_step: int
    """Of the model that was kept, which is `final`; 0 is the base."""
    ended_early: str | None
    split: str
    """Where base and final are compared: test, or validation if the recipe has no test."""
    base: Score | None
    final: Score | None
    difference: Estimate | None
    """final - base, paired by problem."""
    p_value: float | None
    """Of no difference; permutation test."""
    least_effect: float | None
    """The gain, in 0..1, that this comparison detects with 80 % power; None where none is."""
    contenders: tuple[Contender, ...]
    """On validation: the base, the best checkpoint and the last; empty without validation problems."""
    choice: tuple[str, ...]
    """Why the kept model was kept."""
    solved_now: tuple[SolvedNow, ...]
    wall_seconds: Mapping[str, float]
    """By phase, and in `total`."""
    versions: Mapping[str, str]
    projected: Mapping[str, float] | None = None
    """What the run expected to take in all after its first steps: `step`, `seconds`, `seconds_low`, `seconds_high`."""

    @property
    def verdict(self) -> Verdict:
        """Whether the kept model is better than the base on `split`."""
        if self.difference is None or self.p_value is None:
            return "inconclusive"
        return verdict_of(self.difference.value, self.p_value)


def contenders_of(selection: Selection, evaluations: Mapping[int, Evaluation]) -> tuple[Contender, ...]:
    """Base, best and last from what a selection was made of. evaluations: by step, the base's included."""
    best = max(selection.differences, key=lambda step: (selection.differences[step].value, -step))
    last = max(selection.differences)
    rows = [Contender("base", 0, _score(evaluations[0]), None, None, None)]
    names: tuple[tuple[Literal["best", "last"], int], ...] = (("best", best), ("last", last))
    for name, step in names:
        difference = selection.differences[step]
        p_value = selection.adjusted_p_values[step]
        verdict = verdict_of(difference.value, p_value)
        rows.append(Contender(name, step, _score(evaluations[step]), difference, p_value, verdict))
    return tuple(rows)


def summarise(
    recipe: TrainRecipe,
    ending: Ending,
    wall_seconds: Mapping[str, float],
    pair: tuple[Evaluation, Evaluation] | None,
    contenders: Sequence[Contender] = (),
    choice: Sequence[str] = (),
    projected: Mapping[str, float] | None = None,
) -> Summary:
    """Sum up a run. pair: the evaluations of base and kept model; None if the recipe has no held-out data."""
    seconds = {phase: round(value, 3) for phase, value in wall_seconds.items()}
    seconds["total"] = round(sum(wall_seconds.values()), 3)
    compared = None if pair is None else paired_within(pair[0].bounds, pair[1].bounds)
    return Summary(
        name=recipe.name,
        model=recipe.model.path,
        seed=recipe.seed,
        steps=ending.steps,
        kept_step=ending.kept_step,
        ended_early=ending.ended_early,
        split=ending.split,
        base=None if pair is None else _score(pair[0]),
        final=None if pair is None else _score(pair[1]),
        difference=None if compared is None else compared.estimate,
        p_value=None if compared is None else compared.p_value,
        least_effect=None if pair is None else _least_effect(*pair),
        contenders=tuple(contenders),
        choice=tuple(choice),
        solved_now=() if pair is None else _solved_now(*pair),
        wall_seconds=seconds,
        versions=versions(),
        projected=projected,
    )


def _least_effect(base: Evaluation, final: Evaluation) -> float:
    k = min(len(samples) for samples in (*base.records, *final.records))
    return minimum_detectable_effect(seen_in_both(base.correct, final.correct), k, np.random.default_rng(0))


def write_summary(summary: Summary, path: Path) -> None:
    """Write summary.json, all of it or nothing. Raises OutputError."""
    text = json.dumps(_without_nan(asdict(summary)), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as file:
        file.write(text + "\n")


def _without_nan(value: Any) -> Any:
    """What is not finite as null, which is what JSON has."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    packages = ("frugalrl", "torch", "transformers", "tokenizers", "math-verify", "numpy", "numba")
    return {
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in packages},
    }


def _score(evaluation: Evaluation) -> Score:
    accuracy = evaluation.accuracy
    return Score(
        avg_at_k=accuracy.value,
        ci_low=accuracy.ci_low,
        ci_high=accuracy.ci_high,
        k=len(evaluation.records[0]),
        n=len(evaluation.records),
        pass_at_k=pass_at_k(evaluation.correct).value,
        truncated_frac=evaluation.truncated_fraction,
        unknown_frac=evaluation.unknown_fraction,
        mean_tokens=evaluation.mean_tokens,
    )


def _solved_now(base: Evaluation, final: Evaluation) -> tuple[SolvedNow, ...]:
    """Up to three, the first of the split."""
    solved = []
    for prompt, before, after in zip(base.prompts, base.records, final.records, strict=True):
        never = all(record.verdict != "correct" for record in before)
        if never and all(record.verdict == "correct" for record in after):
            problem = prompt.problem
            solved.append(SolvedNow(problem.text, problem.gold, before[0].text, after[0].text))
    return tuple(solved[:3])
