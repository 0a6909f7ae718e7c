"""What a question about two models needs, as the lines a person reads."""

import math
from collections.abc import Mapping

from frugalrl.reporting.console import table
from frugalrl.statistics.question import MOST_SAMPLES, Question


def power_lines(question: Question, problems: Mapping[int, float], samples: Mapping[str, tuple[int, float]]) -> str:
    """problems: needed, by k. samples: of each problem that are needed, by set, with the set's number of problems."""
    word = "gain" if question.gain > 0 else "loss"
    said = (
        f"A {word} of {100 * abs(question.gain):g} points from {100 * question.accuracy:g} %, found in 80 % of "
        f"comparisons by the paired permutation test at {100 * question.level:.3g} %. Assumed: the {word} differs by "
        f"{100 * question.spread:g} points (standard deviation) from problem to problem, and problems are alike in "
        "difficulty."
    )
    by_k = [("k", "problems needed", "samples of each model")]
    for k, n in problems.items():
        by_k.append((str(k), _count(n, "more than 200,000"), "" if math.isinf(n) else f"{k * n:,.0f}"))
    by_set = [("benchmark", "problems", "samples of each problem (k)")]
    for name, (size, needed) in samples.items():
        by_set.append((name, f"{size:,}", _count(needed, f"more than {MOST_SAMPLES}: too few problems")))
    least = "Problems that differ in difficulty need somewhat fewer samples; a larger --spread needs more problems."
    return "\n\n".join([said, table(by_k), table(by_set), least])


def _count(value: float, beyond: str) -> str:
    return beyond if math.isinf(value) else f"{value:,.0f}"
