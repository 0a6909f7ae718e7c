"""False alarms and detection delay of the guard: `python benchmarks/guard.py simulate`, then `real`.

`simulate`: made-up runs (guard_worlds.py). Runs whose accuracy never falls give the false alarms; eight kinds of
collapse, made after the rules were fixed, give the delay from the onset to the rollback. A few minutes on one core.

`real`: runs of the tiny model that go wrong, by a reward or a rate (recipes/mini/collapse.yaml with replaced values),
guarded, in --out; finished ones are skipped. About a minute and a half of one core each.

Writes records/guard.json and the tables of docs/guard.md.
"""

import argparse
import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from claims import accuracy_by_step
from doc_tables import put
from guard_worlds import COLLAPSES, Outcome, Setting, Truth, collapse, nulls, wandering, watch
from seeded_runs import MINI, SeededRun, run_all

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.summary import versions
from frugalrl.statistics.intervals import wilson

RECORD = Path(__file__).parent / "records" / "guard.json"
ACTS = ("rollback", "stop")
NULL_RUNS = {100: 30, 300: 12, 1000: 4}
"""Runs of each cell, by steps."""
COLLAPSE_RUNS, COLLAPSE_STEPS = 15, 240
CORRELATIONS = (0.0, 0.5, 0.9)
WATCHED = {
    "50 problems x 1, every 10 steps": Setting(50, 1, 10),
    "100 x 4, every 10": Setting(100, 4, 10, shared_seeds=True),
    "200 x 2, every 25": Setting(200, 2, 25),
    "no validation, 100 held out": Setting(100, 1, None),
}
SHORT = ("evaluation.every=10", "evaluation.samples_per_problem=2", "data.validation.limit=60")
REAL: dict[str, tuple[int, tuple[str, ...]]] = {
    "collapse": (1, ()),
    "wrong-paid": (1, (*SHORT, "training.steps=30", "rewards=[{name: format},{name: accuracy, weight: -2.0}]")),
    "rate-too-high": (1, (*SHORT, "training.steps=30", "optimizer.learning_rate=4.0e-3")),
    "held-out": (2, ("data.validation=null", "training.steps=60")),
}
"""Seed, and values replaced in the collapse recipe."""


def main() -> None:
    """Simulate or train, record, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("simulate", "real"))
    parser.add_argument("--out", type=Path, default=Path("runs/guard"), help="of the real runs")
    parser.add_argument("--workers", type=int, default=2, help="real runs at a time, one thread each")
    chosen = parser.parse_args()
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    if chosen.what == "simulate":
        record["nulls"] = [row for steps in NULL_RUNS for row in null_rows(steps)]
        record["least_fall_0"] = strict_row()
        record["wandering"] = wandering_row()
        record["collapses"] = [row for name in COLLAPSES for row in collapse_rows(name)]
        put("guard.md", "nulls", null_table(record["nulls"], [record["wandering"], record["least_fall_0"]]))
        put("guard.md", "collapses", collapse_table(record["collapses"]))
    else:
        runs = [SeededRun(name, MINI / "collapse.yaml", seed, overrides) for name, (seed, overrides) in REAL.items()]
        record["real"] = [real_row(folder) for folder in run_all(runs, chosen.out, chosen.workers)]
        put("guard.md", "real", real_table(record["real"]))
    record["versions"] = versions()
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def null_rows(steps: int) -> list[dict[str, Any]]:
    """Each null with each noise and each way of watching."""
    rows = []
    for watched, setting in WATCHED.items():
        for correlation in CORRELATIONS:
            for name, truth in nulls(steps).items():
                noisy = Setting(**{**asdict(setting), "correlation": correlation})
                outcomes = [watch(truth, noisy, seed) for seed in range(NULL_RUNS[steps])]
                about = {"null": name, "steps": steps, "watched": watched, "correlation": correlation}
                rows.append(about | counted(outcomes, steps))
    return rows


def wandering_row() -> dict[str, Any]:
    """A policy that gets better and worse by two points all the time."""
    setting = WATCHED["100 x 4, every 10"]
    outcomes = [watch(wandering(300, seed), setting, seed) for seed in range(40)]
    return {"null": "wandering by 2 points", "steps": 300, "watched": "100 x 4, every 10"} | counted(outcomes, 300)


def strict_row() -> dict[str, Any]:
    """The test alone, without the fall that is left alone: evaluations of 50 samples after every fifth step."""
    settings, setting = GuardSettings(least_fall=0.0), Setting(50, 1, 5)
    outcomes = [watch(nulls(300)["flat"], setting, seed, settings) for seed in range(100)]
    return {"null": "flat, least_fall 0", "steps": 300, "watched": "50 x 1, every 5"} | counted(outcomes, 300)


def counted(outcomes: list[Outcome], steps: int) -> dict[str, Any]:
    """Runs, those that were found to fall, those rolled back, and what the guard spent."""
    return {
        "runs": len(outcomes),
        "suspected": sum(any("become worse" in one.reason for one in run.decisions) for run in outcomes),
        "rolled_back": sum(any(one.action in ACTS for one in run.decisions) for run in outcomes),
        "called": sum(run.called for run in outcomes),
        "signs": sum(
            one.action == "evaluate" and "since step" in one.reason and "No eval" not in one.reason
            for run in outcomes
            for one in run.decisions
        ),
        "called_per_100_steps": 100 * sum(run.called for run in outcomes) / len(outcomes) / steps,
        "token_share": statistics.fmean(run.token_share for run in outcomes),
    }


def collapse_rows(name: str) -> list[dict[str, Any]]:
    """A kind of collapse with each way of watching; onsets from step 40 to 120."""
    rows, kind = [], COLLAPSES[name]
    for watched, setting in WATCHED.items():
        noisy = Setting(**{**asdict(setting), "correlation": 0.5})
        delays, early = [], 0
        for seed in range(COLLAPSE_RUNS):
            onset = int(np.random.default_rng(500 + seed).integers(40, 121))
            truth: Truth = collapse(kind, onset, COLLAPSE_STEPS)
            acted = [one.step for one in watch(truth, noisy, seed).decisions if one.action in ACTS]
            early += bool(acted) and acted[0] < onset
            delays.append(acted[0] - onset if acted else None)
        rows.append({"kind": name, "takes": kind.takes, "watched": watched, "delays": delays, "before_onset": early})
    return rows


def real_row(folder: Path) -> dict[str, Any]:
    """What became of a guarded run of the tiny model."""
    file = folder / "guard.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    run = read_run(folder, folder.name)
    validation = accuracy_by_step(run) if any("validation/avg_at_k" in values for _, values in run.evaluations) else {}
    clock = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["wall_seconds"]
    return {
        "run": folder.name,
        "events": [json.loads(line) for line in lines],
        "validation": {str(step): value for step, value in validation.items()},
        "training_accuracy": [values["verdict/correct_frac"] for _, values in run.steps],
        "wall_seconds": clock,
    }


def total(rows: Iterable[dict[str, Any]]) -> str:
    """Rolled back of all runs, with the interval of the rate."""
    given = list(rows)
    runs, back = sum(row["runs"] for row in given), sum(row["rolled_back"] for row in given)
    rate = wilson(back / runs, runs)
    return f"{back} of {runs:,} ({100 * rate.ci_low:.1f} to {100 * rate.ci_high:.1f} %)"


def null_table(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> str:
    """False rollbacks by steps and by way of watching, over nulls and noises."""
    lines = [
        "| accuracy never falls | steps | runs rolled back (95 % interval) | suspected "
        "| evaluations called per 100 steps | asked for by a sign | share of tokens |",
        "|---|---|---|---|---|---|---|",
    ]
    for watched in WATCHED:
        for steps in NULL_RUNS:
            cells = [row for row in rows if row["watched"] == watched and row["steps"] == steps]
            lines.append(line_of(watched, steps, cells))
    lines += [line_of(f"{row['null']} ({row['watched']})", row["steps"], [row]) for row in others]
    lines.append(line_of("all but the last two", "", rows))
    return "\n".join(lines) + "\n"


def line_of(name: str, steps: int | str, cells: list[dict[str, Any]]) -> str:
    """A line of the table of nulls."""
    done = sum(row["runs"] * row["steps"] for row in cells) / 100
    called, signs = (sum(row[key] for row in cells) / done for key in ("called", "signs"))
    share = sum(row["token_share"] * row["runs"] for row in cells) / sum(row["runs"] for row in cells)
    suspected = sum(row["suspected"] for row in cells)
    return f"| {name} | {steps} | {total(cells)} | {suspected} | {called:.2f} | {signs:.2f} | {100 * share:.1f} % |"


def collapse_table(rows: list[dict[str, Any]]) -> str:
    """Median delay, the largest, and how many were missed."""
    lines = [
        f"| collapse, and steps it takes | {' | '.join(WATCHED)} |",
        f"|---|{'---|' * len(WATCHED)}",
    ]
    for name, kind in COLLAPSES.items():
        cells = [delay_of(row["delays"]) for row in rows if row["kind"] == name]
        lines.append(f"| {name}, {kind.takes} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def delay_of(delays: list[int | None]) -> str:
    """Median and largest delay of those found, and those missed."""
    found = [one for one in delays if one is not None]
    missed = len(delays) - len(found)
    shown = f"{statistics.median(found):.0f} (at most {max(found)})" if found else "-"
    return f"{shown}{f', {missed} missed' if missed else ''}"


def real_table(rows: list[dict[str, Any]]) -> str:
    """One line per run."""
    lines = ["| run | rolled back | validation by step, % | training accuracy, first and last five steps |"]
    lines.append("|---|---|---|---|")
    for row in rows:
        acts = [f"after {one['step']}" for one in row["events"] if one["action"] == "rollback"]
        back = [f"to {one['to']}" for one in row["events"] if one["action"] == "rolled_back"]
        stops = [f"stopped after {one['step']}" for one in row["events"] if one["action"] == "stop"]
        did = [f"{one} {other}" for one, other in zip(acts, back, strict=False)] + stops
        seen = ", ".join(f"{step}: {100 * value:.0f}" for step, value in row["validation"].items())
        accuracy = row["training_accuracy"]
        first, last = (100 * statistics.fmean(part) for part in (accuracy[:5], accuracy[-5:]))
        lines.append(f"| {row['run']} | {', '.join(did) or 'no'} | {seen or '-'} | {first:.0f}, {last:.0f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
