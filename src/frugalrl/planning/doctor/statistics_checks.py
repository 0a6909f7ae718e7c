"""What the evaluation of a recipe can show at all, against what the paper gained."""

import functools
import math

import numpy as np

from frugalrl.config.schema import EvaluationSettings
from frugalrl.planning.doctor.finding import Finding
from frugalrl.statistics.power import alike, minimum_detectable_effect

PAPER_GAIN_POINTS = 7.4
"""Open-RS3's mean over five benchmarks, 56.3, less its base's, 48.9 (arXiv 2503.16219, table 1); on one sample a
problem. An independent re-evaluation over many seeds (2504.07086) found 0 to 3."""
_BLIND_POINTS = 15.0
"""Twice what the paper gained: an evaluation that cannot show this much will not show a gain on this budget."""
_BASE_ACCURACY = 0.5
"""Where sampling noise is largest."""


def statistics_findings(evaluation: EvaluationSettings, validation: int, test: int, seed: int) -> list[Finding]:
    """The smallest gain that validation (selection) and test (the claim) detect. validation, test: problems."""
    if not validation and not test:
        return [
            Finding(
                "statistics/held_out",
                "yellow",
                "There are no held-out problems: the run cannot say whether the model got better, nor select a "
                "checkpoint.",
                "--set data.validation.source=FILE (problems that are not trained on)",
            )
        ]
    return [
        _detectable(split, problems, evaluation.samples_per_problem, seed)
        for split, problems in (("validation", validation), ("test", test))
        if problems
    ]


def _detectable(split: str, problems: int, samples: int, seed: int) -> Finding:
    effect = _points(problems, samples, seed)
    size = f"{problems} {split} problems x {samples} samples"
    name = f"statistics/{split}"
    if effect > _BLIND_POINTS:
        least = "no gain at all" if math.isinf(effect) else f"no gain below {effect:.0f} points"
        needed = max(2, math.ceil(problems * (min(effect, 100.0) / PAPER_GAIN_POINTS) ** 2))
        return Finding(
            name,
            "yellow",
            f"{size} can show {least} (80 % power); the paper gained {PAPER_GAIN_POINTS:g} points.",
            f"--set evaluation.samples_per_problem={max(8, 2 * samples)}, or about {needed} problems: "
            f"--set data.{split}.limit={needed}",
        )
    compared = "less" if effect < PAPER_GAIN_POINTS else "more"
    return Finding(
        name,
        "green",
        f"{size} show a gain of {effect:.1f} points (80 % power), {compared} than the paper's {PAPER_GAIN_POINTS:g}",
    )


@functools.lru_cache(maxsize=64)
def _points(problems: int, samples: int, seed: int) -> float:
    """The smallest gain that is found; it takes a simulation, and several runs of a process ask for the same one."""
    return 100 * minimum_detectable_effect(alike(_BASE_ACCURACY, problems), samples, np.random.default_rng(seed))
