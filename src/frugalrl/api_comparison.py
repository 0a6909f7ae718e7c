"""Several models against the first: tables, changes by problem, equivalence and a page, behind `frugalrl compare`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalrl.errors import DataError

if TYPE_CHECKING:
    from frugalrl.evaluation.changes import Detail
    from frugalrl.evaluation.comparing import Comparison, Measured

_MOST_LOOKS = 1000
"""Each gets its share of the 5 %, of which little is left beyond."""


@dataclass(frozen=True)
class Compared:
    """One model against the first."""

    name: str
    comparisons: "tuple[Comparison, ...]"
    details: "tuple[Detail, ...]"
    """In the same order."""


@dataclass(frozen=True)
class Comparisons:
    """All models against the first."""

    first: str
    others: tuple[Compared, ...]
    text: str
    page: Path | None

    @property
    def rows(self) -> "list[tuple[str, Comparison]]":
        """A row for each model and benchmark."""
        return [(one.name, comparison) for one in self.others for comparison in one.comparisons]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The same as plain values, accuracies and differences in 0..1."""
        return [_plain(self.first, one.name, *pair) for one in self.others for pair in _pairs(one)]


def compare_models(
    paths: Sequence[str | Path],
    *,
    other_prompt: bool = False,
    no_worse_than: float | None = None,
    looks: int = 1,
    listed: int = 5,
    page: str | Path | None = None,
) -> Comparisons:
    """Each model against the first, corrected for all models and benchmarks together. A run alone: with its own base.

    no_worse_than: in points; asks whether a loss of more than this can be ruled out. looks: how often this comparison
    is going to be made as samples come in; each look gets its share of the 5 %. listed: problems of each kind of change
    in `text`. page: an .html file with all samples side by side. Raises UserError.
    """
    from frugalrl.evaluation.changes import detail
    from frugalrl.evaluation.comparing import compare_many

    if not 1 <= looks <= _MOST_LOOKS or (no_worse_than is not None and not 0 < no_worse_than < 100) or listed < 0:
        raise DataError(
            f"looks lies in 1..{_MOST_LOOKS:,}, no_worse_than lies between 0 and 100 points, and listed is 0 or more. "
            "Change what is not so."
        )
    names, measured = _measured([Path(one) for one in paths])
    margin = None if no_worse_than is None else no_worse_than / 100
    found = compare_many(measured[0], measured[1:], other_prompt, looks)
    others = tuple(
        Compared(
            name,
            tuple(comparisons),
            tuple(detail(measured[0][one.benchmark], second[one.benchmark], margin) for one in comparisons),
        )
        for name, second, comparisons in zip(names[1:], measured[1:], found, strict=True)
    )
    text = _text(names[0], others, looks, listed)
    written = None if page is None else _page(Path(page), names, measured, others)
    return Comparisons(names[0], others, text, written)


def _measured(paths: Sequence[Path]) -> "tuple[list[str], list[dict[str, Measured]]]":
    from frugalrl.evaluation.measured_reader import read_first_and_last, read_measured

    for path in paths:
        if not path.exists():
            raise DataError(f"There is nothing at {path}. Name a run's folder, or what `frugalrl eval` wrote.")
    if len(paths) == 1:
        base, kept = read_first_and_last(paths[0])
        return [f"{paths[0]}, its base", f"{paths[0]}, kept"], [base, kept]
    return [str(path) for path in paths], [read_measured(path) for path in paths]


def _text(first: str, others: Sequence[Compared], looks: int, listed: int) -> str:
    from frugalrl.reporting.comparison_text import comparison_lines
    from frugalrl.reporting.detail_text import detail_lines

    parts = []
    for one in others:
        parts.append(comparison_lines(one.comparisons, first, one.name))
        parts += ["\n".join(detail_lines(found, listed)) for found in one.details]
    tests = sum(len(one.comparisons) for one in others)
    if len(others) > 1:
        parts.append(f"p is corrected (Holm) for all {tests} comparisons of {len(others)} models with A.")
    if looks > 1:
        parts.append(f"Each of {looks} planned looks gets its share of the 5 %: p is {looks} times the test's own.")
    return "\n\n".join(parts)


def _page(
    path: Path, names: Sequence[str], measured: "Sequence[Mapping[str, Measured]]", others: Sequence[Compared]
) -> Path:
    from frugalrl.reporting.comparison_page import Against, changes, opening, short_names
    from frugalrl.reporting.pages import evaluated, write_evaluation_page

    shown = short_names(names)
    against = [Against(name, one.comparisons, one.details) for name, one in zip(shown[1:], others, strict=True)]
    shared = {comparison.benchmark for one in others for comparison in one.comparisons}
    models = [
        evaluated(name, [Path(one.file) for key, one in own.items() if key in shared])
        for name, own in zip(shown, measured, strict=True)
    ]
    first = opening(shown[0], against)
    return write_evaluation_page(path, models, (), first, changes(shown[0], against))


def _pairs(one: Compared) -> "list[tuple[Comparison, Detail]]":
    return list(zip(one.comparisons, one.details, strict=True))


def _plain(first: str, second: str, one: "Comparison", found: "Detail") -> dict[str, Any]:
    value = one.difference.estimate
    plain: dict[str, Any] = {
        "first": first,
        "second": second,
        "benchmark": one.benchmark,
        "n": one.n,
        "k": [one.first.k, one.second.k],
        "accuracies": [one.first.accuracy.value, one.second.accuracy.value],
        "difference": value.value,
        "ci_low": value.ci_low,
        "ci_high": value.ci_high,
        "level": one.difference.level,
        "p_value": one.difference.p_value,
        "adjusted_p_value": one.adjusted_p_value,
        "verdict": one.verdict,
        "truncated": [one.first.truncated_fraction, one.second.truncated_fraction],
        "unknown": [one.first.unknown, one.second.unknown],
        "if_truncated": [one.if_truncated.low, one.if_truncated.high],
        "if_unknown": [one.if_unknown.low, one.if_unknown.high],
        "unlike": list(one.unlike),
        "better": [changed.problem_id for changed in found.better],
        "worse": [changed.problem_id for changed in found.worse],
        "same": found.same,
        "parts": [
            {
                "column": part.column,
                "value": part.value,
                "problems": part.problems,
                "difference": part.difference.value,
                "ci_low": part.difference.ci_low,
                "ci_high": part.difference.ci_high,
            }
            for part in found.parts
        ],
    }
    if found.no_worse is not None:
        plain["no_worse"] = {
            "margin": found.no_worse.margin,
            "low": found.no_worse.low,
            "high": found.no_worse.high,
            "is_no_worse": found.no_worse.is_no_worse,
            "is_equivalent": found.no_worse.is_equivalent,
        }
    return plain
