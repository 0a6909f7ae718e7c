"""A comparison of two models as the lines a person reads: two tables, and a plain verdict for each benchmark."""

import math
from collections.abc import Sequence

from frugalrl.evaluation.comparing import Comparison, Side
from frugalrl.reporting.console import difference, estimate, percent, table
from frugalrl.statistics.wording import p_digits


def comparison_lines(comparisons: Sequence[Comparison], first: str, second: str) -> str:
    """first, second: what the models are called. At least one comparison."""
    several = len(comparisons) > 1
    parts = [f"A: {first}\nB: {second}", _differences(comparisons, several), _sides(comparisons)]
    parts.append("\n".join(sentence(one) for one in comparisons))
    parts.append(
        "Differences are B - A, paired by problem; 95 % intervals; p by the permutation test"
        + (f", corrected (Holm) for {len(comparisons)} benchmarks." if several else ".")
    )
    return "\n\n".join(parts)


def sentence(one: Comparison) -> str:
    """The verdict on one benchmark, and what would be needed where there is none."""
    seen = difference(one.difference.estimate)
    notes = f" ({'; '.join(one.notes)})" if one.notes else ""
    if one.verdict != "inconclusive":
        return f"{one.benchmark}: B is {one.verdict} than A, by {seen}{notes}."
    k = min(one.first.k, one.second.k)
    return f"{one.benchmark}: inconclusive at n = {one.n}, k = {k}{notes}. {_needed(one, k)}"


def _needed(one: Comparison, k: int) -> str:
    if math.isnan(one.smallest_effect):
        return "One problem says nothing about others: you would need more problems."
    if not one.smallest_effect:
        return "All problems differ by the same, or none does: how much others would differ is not known."
    finds = f"This finds differences of {100 * one.smallest_effect:.1f} points or more, with 80 % power."
    seen = abs(one.difference.estimate.value)
    if not seen:
        return f"{finds} None was seen."
    problems = "more than ten million" if math.isinf(one.problems_needed) else f"about {one.problems_needed:,.0f}"
    needed = f"For one as small as the {100 * seen:.1f} seen you would need {problems} problems at k = {k}"
    if math.isinf(one.samples_needed):
        return f"{finds} {needed}; more samples of these problems would not do."
    return f"{finds} {needed}, or about {one.samples_needed:,.0f} samples of each of these {one.n}."


def _differences(comparisons: Sequence[Comparison], several: bool) -> str:
    rows = [("benchmark", "n", "k", "A", "B", "B - A", "p", *(("p corrected",) if several else ()), "B is")]
    for one in comparisons:
        k = str(one.first.k) if one.first.k == one.second.k else f"{one.first.k}, {one.second.k}"
        sides = (estimate(one.first.accuracy), estimate(one.second.accuracy), difference(one.difference.estimate))
        corrected = (p_digits(one.adjusted_p_value),) if several else ()
        rows.append((one.benchmark, str(one.n), k, *sides, p_digits(one.difference.p_value), *corrected, one.verdict))
    return table(rows)


def _sides(comparisons: Sequence[Comparison]) -> str:
    rows: list[tuple[str, ...]] = [("benchmark", "model", "pass@k", "majority@k", "truncated", "unknown", "tokens")]
    for one in comparisons:
        rows += [(one.benchmark, name, *_side(side)) for name, side in (("A", one.first), ("B", one.second))]
    return table(rows)


def _side(side: Side) -> tuple[str, ...]:
    shares = (side.pass_at_k, side.majority_at_k)
    return (
        *(f"{100 * share:.1f} %" for share in shares),
        percent(side.truncated_fraction),
        str(side.unknown),
        f"{side.mean_tokens:.0f}",
    )
