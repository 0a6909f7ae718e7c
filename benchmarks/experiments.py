"""The paper's three experiments in miniature, and a collapse: `make experiments`.

Trains recipes/mini/open-rs1..3, open-rs3-language and collapse with seeds 1, 2, 3, two at a time with one thread each;
finished runs are skipped, so the command can be stopped and started again. Then writes, below --out: `report.html`
(the three experiments over each other), `collapse.html`, `claims.md` (the paper's claims, one by one),
and the figures of docs/what-works.md as SVG files. With --record, figures, table and record go into docs/ and
benchmarks/records too.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from claims import Claim, accuracy_by_step, paper_claims
from doc_tables import put
from figure_files import figure_file, mean_of_seeds
from seeded_runs import MINI, SEEDS, SeededRun, run_all

from frugalrl.reporting.figures import Series
from frugalrl.reporting.report import report_runs
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.run_record import RunRecord
from frugalrl.reporting.summary import versions
from frugalrl.statistics.intervals import Estimate

SETTINGS = {
    "open-rs1": "1: hard only, cap 64",
    "open-rs2": "2: difficulty mixed, cap 56",
    "open-rs3": "3: as 2, cosine reward",
    "open-rs3-language": "as 3, with a language reward",
    "collapse": "collapse recipe",
}
PAPER = ("open-rs1", "open-rs2", "open-rs3")
HERE = Path(__file__).parent


def main() -> None:
    """Train what is missing, then report on everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--record", action="store_true", help="also write docs/ and benchmarks/records")
    chosen = parser.parse_args()
    started = time.monotonic()
    jobs = [SeededRun(f"mini-{name}", MINI / f"{name}.yaml", seed) for seed in SEEDS for name in SETTINGS]
    run_all(jobs, chosen.out, chosen.workers)
    experiments = {
        name: [
            read_run(job.folder(chosen.out), f"{name}, seed {job.seed}") for job in jobs if job.name == f"mini-{name}"
        ]
        for name in SETTINGS
    }
    claims = paper_claims(experiments)
    of_paper = [job.folder(chosen.out) for job in jobs if job.name.removeprefix("mini-") in PAPER]
    report_runs(sorted(of_paper), chosen.out / "report.html")
    report_runs([job.folder(chosen.out) for job in jobs if job.name == "mini-collapse"], chosen.out / "collapse.html")
    figures = draw(experiments)
    write_all(chosen.out, figures)
    table = claims_table(claims)
    (chosen.out / "claims.md").write_text(table, encoding="utf-8")
    if chosen.record:
        write_all(HERE.parent / "docs" / "figures", figures)
        put("what-works.md", "claims", table)
        (HERE / "records" / "experiments.json").write_text(record(experiments, claims), encoding="utf-8")
    print(table)
    print(f"Report: {chosen.out / 'report.html'}\nThis call took {(time.monotonic() - started) / 60:.1f} minutes.")


def claims_table(claims: Sequence[Claim]) -> str:
    """The claims as a Markdown table."""
    lines = ["| claim | what is measured | each seed | mean [95 %] | verdict |", "|---|---|---|---|---|"]
    for claim in claims:
        seeds = ", ".join(shown(claim, value) for value in claim.values)
        lines.append(f"| {claim.name} | {claim.measure} | {seeds} | {interval(claim)} | {claim.verdict} |")
    return "\n".join(lines) + "\n"


def shown(claim: Claim, value: float) -> str:
    """A value in its unit, without the unit's name."""
    return f"{value:+.3f}" if claim.unit == "nats" else f"{value * (100 if claim.unit == 'points' else 1):+.1f}"


def interval(claim: Claim) -> str:
    """The mean with its interval and unit."""
    found: Estimate = claim.estimate
    value, low, high = (shown(claim, one) for one in (found.value, found.ci_low, found.ci_high))
    return f"{value} [{low}, {high}] {claim.unit}"


def draw(experiments: Mapping[str, Sequence[RunRecord]]) -> dict[str, str]:
    """Figures by file name: those a reader of the paper knows, and the collapse."""
    paper = {name: experiments[name] for name in PAPER}
    with_language = {name: experiments[name] for name in (*PAPER, "open-rs3-language")}
    collapse = {"collapse": experiments["collapse"]}
    return {
        "accuracy.svg": figure_file("Validation accuracy", _by_evaluation(paper, "validation/avg_at_k"), percent=True),
        "length.svg": figure_file("Completion length in training, tokens", _by_step(paper, "completion/mean_tokens")),
        "truncated.svg": figure_file(
            "Truncated completions in training", _by_step(paper, "completion/truncated_frac"), percent=True
        ),
        "kl.svg": figure_file("KL from the base, nats per token", _by_step(paper, "policy/kl")),
        "language.svg": figure_file(
            "Completions with a sentence not in English",
            _by_step(with_language, "meter/foreign_completion_frac"),
            percent=True,
        ),
        "collapse.svg": figure_file(
            "Collapse: validation accuracy", _by_evaluation(collapse, "validation/avg_at_k"), percent=True
        ),
        "collapse-reward.svg": figure_file(
            "Collapse: correct and well-formed in training",
            [
                mean_of_seeds(label, slot, [_steps(run, metric) for run in experiments["collapse"]])
                for slot, (metric, label) in enumerate(
                    (("verdict/correct_frac", "correct"), ("reward/format", "well-formed"))
                )
            ],
            percent=True,
        ),
    }


def _by_evaluation(experiments: Mapping[str, Sequence[RunRecord]], metric: str) -> list[Series]:
    return [
        mean_of_seeds(SETTINGS[name], slot, [_known(run.evaluations, metric) for run in runs])
        for slot, (name, runs) in enumerate(experiments.items())
    ]


def _by_step(experiments: Mapping[str, Sequence[RunRecord]], metric: str) -> list[Series]:
    return [
        mean_of_seeds(SETTINGS[name], slot, [_steps(run, metric) for run in runs])
        for slot, (name, runs) in enumerate(experiments.items())
    ]


def _steps(run: RunRecord, metric: str) -> dict[int, float]:
    """The median of every five steps: single steps hide the lines, and KL jumps for single steps."""
    known = _known(run.steps, metric)
    fives = {last: [known[step] for step in range(last - 4, last + 1) if step in known] for last in _every_fifth(known)}
    return {last: statistics.median(values) for last, values in fives.items() if values}


def _every_fifth(known: Mapping[int, float]) -> range:
    return range(5, max(known, default=0) + 1, 5)


def _known(lines: Sequence[tuple[int, Mapping[str, float | None]]], metric: str) -> dict[int, float]:
    return {step: value for step, values in lines if (value := values.get(metric)) is not None}


def write_all(folder: Path, files: Mapping[str, str]) -> None:
    """Write text files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def record(experiments: Mapping[str, Sequence[RunRecord]], claims: Sequence[Claim]) -> str:
    """Everything that docs/what-works.md quotes, as JSON."""
    runs = {
        name: [
            {
                "seed": run.recipe["seed"],
                "accuracy": accuracy_by_step(run),
                "tokens": _known(run.evaluations, "validation/mean_tokens"),
                "test": _known(run.evaluations, "test/avg_at_k"),
                "wall_seconds": run.summary["wall_seconds"],
            }
            for run in found
        ]
        for name, found in experiments.items()
    }
    said = [
        {"name": one.name, "measure": one.measure, "unit": one.unit, "values": one.values, "verdict": one.verdict}
        | {"mean": one.estimate.value, "ci_low": one.estimate.ci_low, "ci_high": one.estimate.ci_high}
        for one in claims
    ]
    whole = {"command": "make experiments", "claims": said, "runs": runs, "versions": versions()}
    return json.dumps(whole, indent=1) + "\n"


if __name__ == "__main__":
    main()
