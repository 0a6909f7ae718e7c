"""The end of a run in one record: base against final, time, versions. Written as summary.json."""

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from frugalrl.config.schema import TrainRecipe
from frugalrl.evaluation.records import Evaluation
from frugalrl.evaluation.statistics import Estimate, paired_difference, pass_at_k
from frugalrl.files import written_whole


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
class Summary:
    """What a run came to."""

    name: str
    model: str
    seed: int
    steps: int
    split: str
    """Where base and final are compared: test, or validation if the recipe has no test."""
    base: Score | None
    final: Score | None
    difference: Estimate | None
    """final - base, paired by problem."""
    solved_now: tuple[SolvedNow, ...]
    wall_seconds: Mapping[str, float]
    """By phase, and in `total`."""
    versions: Mapping[str, str]


def summarise(
    recipe: TrainRecipe,
    steps: int,
    wall_seconds: Mapping[str, float],
    split: str,
    pair: tuple[Evaluation, Evaluation] | None,
) -> Summary:
    """Sum up a run. pair: the evaluations of base and final model; None if the recipe has no held-out data."""
    seconds = {phase: round(value, 3) for phase, value in wall_seconds.items()}
    seconds["total"] = round(sum(wall_seconds.values()), 3)
    return Summary(
        name=recipe.name,
        model=recipe.model.path,
        seed=recipe.seed,
        steps=steps,
        split=split,
        base=None if pair is None else _score(pair[0]),
        final=None if pair is None else _score(pair[1]),
        difference=None if pair is None else paired_difference(pair[0].correct, pair[1].correct),
        solved_now=() if pair is None else _solved_now(*pair),
        wall_seconds=seconds,
        versions=versions(),
    )


def write_summary(summary: Summary, path: Path) -> None:
    """Write summary.json, all of it or nothing. Raises OutputError."""
    text = json.dumps(_without_nan(asdict(summary)), indent=2, ensure_ascii=False, allow_nan=False)
    with written_whole(path) as file:
        file.write(text + "\n")


def _without_nan(value: Any) -> Any:
    """NaN as null, which is what JSON has."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    packages = ("frugalrl", "torch", "transformers", "tokenizers", "math-verify", "numpy")
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
