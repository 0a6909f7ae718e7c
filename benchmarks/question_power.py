"""How many seeds would a question in miniature need, and how much of its noise is the evaluation's?

    python benchmarks/question_power.py [--models FOLDER ...] [--record]

For each primary comparison of the first round: the standard deviation of its differences over seeds, the part of it
that one sample of each test problem explains, the fewest seeds that tell a difference of its margin with 80 % power,
and what its own seeds could tell. --models evaluates the models of finished runs with four samples of each problem,
from which the evaluation's noise follows; it is kept in records/question_power.json, and read from there without
--models.

Decisions: the paired t test at 5 %, without Holm's correction, which would ask for more. The noise of the evaluation
is that of accuracies only, and the same for all arms. Not covered: noise of what is measured in training.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from tempfile import TemporaryDirectory

from doc_tables import put
from question_first import FIRST
from question_forms import Comparison
from question_runs import BENCH, CAP
from question_tables import shown
from question_verdicts import Runs, by_arm, values_of
from questions import RECORD

import frugalrl
from frugalrl.evaluation.results import read_results
from frugalrl.statistics.power import Noise, noise_of, problems_needed, students_effect

NOISE = RECORD.with_name("question_power.json")
SAMPLES = 4


@dataclass(frozen=True)
class Spread:
    """What a comparison's differences over seeds say about seeds. In the unit of its measure."""

    comparison: Comparison
    seeds: int
    deviation: float
    """Of the differences over seeds."""
    of_evaluation: float
    """What one sample of each problem explains of it; NaN where that is not known."""
    needed: float
    """The fewest seeds that tell the margin."""
    told: float
    """The smallest difference that its own seeds tell."""


def main() -> None:
    """Evaluate if asked to, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="folders of finished runs")
    parser.add_argument("--record", action="store_true", help="also write docs/ and benchmarks/records")
    chosen = parser.parse_args()
    noise = noise_of_evaluation(chosen.models) if chosen.models else json.loads(NOISE.read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines()]
    table = spread_table(spreads(by_arm(rows), noise["variance_of_a_sample"] / noise["problems"]))
    if chosen.record:
        NOISE.write_text(json.dumps(noise, indent=1) + "\n", encoding="utf-8")
        put("what-works.md", "power", table)
    print(table)


def noise_of_evaluation(models: Sequence[Path]) -> dict[str, float | int]:
    """The variance of one sample around its problem's accuracy, averaged over problems and models."""
    variances, problems = [], 0
    for model in models:
        with TemporaryDirectory() as folder:
            out = Path(folder) / "end"
            frugalrl.evaluate(
                model / "model", BENCH, k=SAMPLES, temperature=0.6, max_tokens=CAP, max_sequences=64, out=out
            )
            correct: dict[str, list[bool]] = {}
            for one in read_results(out / f"{BENCH}.jsonl").samples:
                correct.setdefault(one.problem_id, []).append(one.is_correct)
        samples = list(correct.values())
        variances.append(noise_of(samples, samples).within / 2)
        problems = len(samples)
    mean = sum(variances) / len(variances)
    return {"variance_of_a_sample": mean, "problems": problems, "models": len(models), "samples": SAMPLES}


def spreads(runs: Runs, variance: float) -> list[Spread]:
    """One for each primary comparison that has all its seeds. variance: of one evaluation's accuracy."""
    found = []
    for question in FIRST.values():
        for one in (each for each in question.comparisons if each.primary):
            values = list(values_of(one, runs, question.seeds).values())
            if len(values) == len(question.seeds) and stdev(values) > 0:
                found.append(_spread(one, values, variance))
    return found


def _spread(one: Comparison, values: Sequence[float], variance: float) -> Spread:
    deviation = stdev(values)
    seeds = Noise(deviation**2, 0.0)
    parts = 1 / len(one.arms) + 1 / len(one.against)
    return Spread(
        comparison=one,
        seeds=len(values),
        deviation=deviation,
        of_evaluation=math.sqrt(parts * variance) if one.measure == "accuracy" else math.nan,
        needed=problems_needed(seeds, one.margin, 1),
        told=students_effect(seeds, len(values), 1),
    )


def spread_table(found: Sequence[Spread]) -> str:
    """Markdown."""
    lines = ["| comparison | deviation over seeds | of the evaluation | margin | seeds for it | told by its seeds |"]
    lines.append("|---|---|---|---|---|---|")
    for one in found:
        values: Mapping[str, float] = {
            "deviation": one.deviation,
            "evaluation": one.of_evaluation,
            "margin": one.comparison.margin,
        }
        cells = [shown(one.comparison.measure, value) if math.isfinite(value) else "-" for value in values.values()]
        told = f"{shown(one.comparison.measure, one.told)} by {one.seeds}"
        lines.append(f"| {one.comparison.says} | {' | '.join(cells)} | {one.needed:,.0f} | {told} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
