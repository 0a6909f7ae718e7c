"""A comparison of two models as the lines a person reads: what differs besides the models, tables, and verdicts."""

import math
from collections.abc import Sequence

from frugalrl.evaluation.comparing import Comparison, Side, Span
from frugalrl.reporting.console import difference, estimate, percent, table
from frugalrl.statistics.wording import p_digits, points_interval


def comparison_lines(comparisons: Sequence[Comparison], first: str, second: str) -> str:
    """first, second: what the models are called. At least one comparison."""
    several = len(comparisons) > 1
    parts = [*unlike_lines(comparisons), f"A: {first}\nB: {second}", _differences(comparisons, several)]
    parts += [_sides(comparisons), "\n".join(sentence(one) for one in comparisons), _remark(comparisons, several)]
    return "\n\n".join(parts)


def sentence(one: Comparison) -> str:
    """The verdict on one benchmark, what might explain it, and what would be needed where there is none."""
    notes = f" ({'; '.join(one.notes)})" if one.notes else ""
    if one.verdict != "inconclusive":
        other = ", with other settings" if one.unlike else ""
        said = f"{one.benchmark}: B is {one.verdict} than A{other}, by {difference(one.difference.estimate)}{notes}."
    else:
        k = min(one.first.k, one.second.k)
        said = f"{one.benchmark}: inconclusive at n = {one.n}, k = {k}{notes}. {_needed(one, k)}"
    return " ".join([said, *_might_explain(one)])


def unlike_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """A line where anything but the models differs; else none."""
    lists = {one.unlike for one in comparisons}
    lines = []
    if len(lists) > 1:
        lines = [f"{one.benchmark}: {'; '.join(one.unlike)}" for one in comparisons if one.unlike]
    elif lists != {()}:
        lines = ["; ".join(next(iter(lists)))]
    said = []
    if lines:
        said.append(f"A and B differ in more than the model (A / B): {'. '.join(lines)}.")
        said.append("Any of it may be part of the difference.")
    if all(one.same_weights for one in comparisons):
        said.append("A and B have the same weights.")
    return [" ".join(said)] if said else []


def _might_explain(one: Comparison) -> list[str]:
    said = []
    if one.first.unknown or one.second.unknown:
        counts = f"{_share(one.first.unknown, one.first)} of A and {_share(one.second.unknown, one.second)} of B"
        said.append(
            f"Unknown verdicts: {counts}; whatever they are, B - A lies {_between(one.if_unknown)}, which interval and "
            "p allow for."
        )
    if one.if_truncated.low != one.if_truncated.high:
        counts = f"{percent(one.first.truncated_fraction)} of A and {percent(one.second.truncated_fraction)} of B"
        said.append(f"Truncated: {counts}; without the limit B - A might lie {_between(one.if_truncated)}.")
    return said


def _share(count: int, side: Side) -> str:
    return f"{count} of {side.samples} samples" if count else "none"


def _between(span: Span) -> str:
    low, high = points_interval(span.low, span.high)[1:-1].split(", ")
    return f"between {low} and {high} points"


def _needed(one: Comparison, k: int) -> str:
    effect, seen = one.minimum_detectable_effect, abs(one.difference.estimate.value)
    if math.isnan(effect):
        return "One problem says nothing about others: you would need more problems."
    if math.isinf(effect):
        return (
            "No difference in this direction, however large, would be detected with 80 % power: there are too few "
            "problems, or too few that A leaves room on. You would need more or other problems."
        )
    detects = f"The minimum detectable effect is {100 * effect:.1f} points (80 % power)."
    if not seen:
        return f"{detects} No difference was seen."
    if one.problems_needed <= one.n:
        return f"{detects} One of the {100 * seen:.1f} points seen is mostly detected; more problems would decide."
    problems = "more than ten million" if math.isinf(one.problems_needed) else f"about {one.problems_needed:,.0f}"
    needed = f"For one as small as the {100 * seen:.1f} seen you would need {problems} problems at k = {k}"
    if math.isinf(one.samples_needed):
        return f"{detects} {needed}; more samples of these problems would not do."
    return f"{detects} {needed}, or about {one.samples_needed:,.0f} samples of each of these {one.n}."


def _remark(comparisons: Sequence[Comparison], several: bool) -> str:
    said = "Differences are B - A, paired by problem; p by the permutation test"
    if not several:
        return f"{said}; 95 % intervals. An interval of B - A holds 0 just where the verdict is inconclusive."
    shares = sorted({100 * (1 - one.difference.level) for one in comparisons})
    levels = " to ".join(dict.fromkeys(f"{share:.3g}" for share in (shares[0], shares[-1])))
    return (
        f"{said}, corrected (Holm) for {len(comparisons)} benchmarks; 95 % intervals of A and B, {levels} % intervals "
        "of B - A, as the correction asks: one holds 0 just where the verdict is inconclusive."
    )


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
