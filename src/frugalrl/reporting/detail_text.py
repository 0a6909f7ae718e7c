"""What is printed below a comparison, and tables of several comparisons for papers."""

from collections.abc import Sequence

from frugalrl.evaluation.changes import Changed, Detail, NoWorse
from frugalrl.evaluation.comparing import Comparison
from frugalrl.reporting.console import difference
from frugalrl.statistics.wording import p_digits

Row = tuple[str, Comparison]
"""The name of the model that is compared with the first, and one benchmark."""
_HEADS = ("model", "benchmark", "n", "k", "first", "this", "difference", "p", "verdict")


def detail_lines(one: Detail, listed: int) -> list[str]:
    """Which problems changed, by parts, and the answer to "no worse than". listed: so many problems of each kind."""
    lines = [f"{one.benchmark}: {len(one.better)} problems better, {len(one.worse)} worse, {one.same} the same"]
    for name, changed in (("better", one.better), ("worse", one.worse)):
        if changed and listed:
            lines.append(f"  {name}: {', '.join(map(_changed, changed[:listed]))}{_more(changed, listed)}")
    for column in dict.fromkeys(part.column for part in one.parts):
        parts = [part for part in one.parts if part.column == column]
        said = "; ".join(f"{part.value} ({part.problems}) {difference(part.difference)}" for part in parts)
        lines.append(f"  by {column.lower()}, not corrected: {said}")
    return [*lines, *([f"  {no_worse(one.no_worse)}"] if one.no_worse else [])]


def no_worse(found: NoWorse) -> str:
    """The answer to "no worse than", with its one-sided bound."""
    margin = f"{100 * found.margin:g} points"
    low, high = f"{100 * found.low:+.1f}", f"{100 * found.high:+.1f}"
    if found.is_equivalent:
        return f"Equivalent within {margin}: the difference lies between {low} and {high} (5 % on each side)."
    if found.is_no_worse:
        return f"No worse by {margin}: the difference is above {low} points (one-sided, 5 %)."
    return f"A loss of {margin} cannot be ruled out: the difference may be as low as {low} points (one-sided, 5 %)."


def markdown_table(rows: Sequence[Row]) -> str:
    """For a README or a model card."""
    lines = ["| " + " | ".join(_HEADS) + " |", "|" + "---|" * len(_HEADS)]
    return "\n".join([*lines, *("| " + " | ".join(_cells(*row)) + " |" for row in rows)])


def latex_table(rows: Sequence[Row]) -> str:
    """For a paper; needs booktabs."""
    body = [" & ".join(_escaped(cell) for cell in _cells(*row)) + r" \\" for row in rows]
    head = " & ".join(_HEADS) + r" \\"
    frame = [
        r"\begin{tabular}{llrrrrrrl}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(frame)


def _cells(name: str, one: Comparison) -> tuple[str, ...]:
    value = one.difference.estimate
    return (
        name,
        one.benchmark,
        str(one.n),
        str(min(one.first.k, one.second.k)),
        f"{100 * one.first.accuracy.value:.1f}",
        f"{100 * one.second.accuracy.value:.1f}",
        f"{100 * value.value:+.1f} [{100 * value.ci_low:+.1f}, {100 * value.ci_high:+.1f}]",
        p_digits(one.adjusted_p_value),
        one.verdict,
    )


def _escaped(text: str) -> str:
    for char in "&%_#$":
        text = text.replace(char, "\\" + char)
    return text


def _changed(one: Changed) -> str:
    return f"{one.problem_id} ({100 * one.first:.0f} -> {100 * one.second:.0f} %)"


def _more(changed: Sequence[Changed], listed: int) -> str:
    return f" and {len(changed) - listed} more" if len(changed) > listed else ""
