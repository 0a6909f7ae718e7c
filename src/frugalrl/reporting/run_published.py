"""A run beside the published record: where a split of it is a benchmark that papers report, its numbers beside theirs.

Which benchmark a split is, the recipe's source says, and how it was asked, the header of its evaluations.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from frugalrl.evaluation.benchmarks import benchmark_in
from frugalrl.reporting.published import HowAsked, Own, published_section
from frugalrl.reporting.run_record import RunRecord, Values
from frugalrl.statistics.intervals import Estimate

_SPLITS = ("test", "validation")


def beside_published(runs: Sequence[RunRecord]) -> str:
    """Published numbers with base and last evaluated model of each run; empty where no split is a known benchmark."""
    return published_section([own for run in runs for split in _SPLITS for own in _own(run, split, len(runs) > 1)])


def _own(run: RunRecord, split: str, is_one_of_several: bool) -> list[Own]:
    benchmark, asked = _benchmark(run, split), run.asked.get(split)
    looks = [look for look in run.looks if look.benchmark == split]
    evaluated = [(step, values) for step, values in run.evaluations if values.get(f"{split}/avg_at_k") is not None]
    if benchmark is None or asked is None or not looks or not evaluated:
        return []
    how = HowAsked(benchmark, asked["temperature"], asked["top_p"], asked["max_completion_tokens"])
    name = f"{run.label if is_one_of_several else 'this run'}, {split}"
    shown = dict((evaluated[0], evaluated[-1]))
    return [
        Own(
            f"{name}, {'base' if step == 0 else f'step {step}'}",
            how,
            looks[-1].samples_per_problem,
            _estimate(values, split),
            looks[-1].problems,
        )
        for step, values in shown.items()
    ]


def _estimate(values: Values, split: str) -> Estimate:
    found = [values.get(f"{split}/{name}") for name in ("avg_at_k", "ci_low", "ci_high")]
    return Estimate(*(float("nan") if one is None else one for one in found))


def _benchmark(run: RunRecord, split: str) -> str | None:
    """The benchmark that a split is, by its source."""
    data = run.recipe.get("data")
    source: Any = data.get(split) if isinstance(data, Mapping) else None
    if not isinstance(source, Mapping) or not isinstance(source.get("source"), str):
        return None
    return benchmark_in(source["source"], str(source.get("split")), source.get("subset"))
