"""The guard on a recipe that collapses, and on healthy ones: `python benchmarks/guard.py`, after `make experiments`.

Five seeds of recipes/mini/collapse.yaml without and with the guard, with its defaults; finished runs are skipped. Both
end with their best checkpoint by validation, and are compared on 198 problems of the test split, four samples each,
which no choice has seen: what is kept against the base, and kept with the guard against kept without it, paired by
problem. Then the guard is replayed over the logs of healthy recipes, where a guard that does nothing changes nothing.
Writes records/guard.json and a table into docs/what-works.md.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claims import accuracy_by_step
from doc_tables import put
from seeded_runs import MINI, MORE_SEEDS, SEEDS, SeededRun, run_all

from frugalrl.commands.guard import log_lines
from frugalrl.config.stability_schema import GuardSettings
from frugalrl.evaluation.results import read_results
from frugalrl.reporting.run_reader import read_run
from frugalrl.reporting.summary import versions
from frugalrl.statistics.intervals import Estimate, paired_difference
from frugalrl.training.guard.replay import replay

RECORD = Path(__file__).parent / "records" / "guard.json"
TEST = "data.test={source: arithmetic, split: test, limit: 198, seed: 13}"
HEALTHY = ("open-rs1", "open-rs2", "open-rs3")


def main() -> None:
    """Train what is missing, compare, replay, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/experiments"), help="where make experiments put its runs"
    )
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    chosen = parser.parse_args()
    seeds = (*SEEDS, *MORE_SEEDS)
    off = [SeededRun("guard-off", MINI / "collapse.yaml", seed, (TEST,)) for seed in seeds]
    on = [SeededRun("guard-on", MINI / "collapse.yaml", seed, (TEST, "guard.enabled=true")) for seed in seeds]
    healthy = [SeededRun(f"mini-{name}", MINI / f"{name}.yaml", seed) for name in HEALTHY for seed in SEEDS]
    run_all([*on, *off, *healthy], chosen.out, chosen.workers)
    compared = [
        compare(seed, without.folder(chosen.out), guarded.folder(chosen.out))
        for seed, without, guarded in zip(seeds, off, on, strict=True)
    ]
    replayed = [replay_of(run.folder(chosen.out)) for run in healthy]
    whole = {"collapse": compared, "healthy": replayed, "versions": versions()}
    RECORD.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    found = table(compared) + "\n" + healthy_table(replayed)
    put("what-works.md", "guard", found)
    print(found)


def compare(seed: int, off: Path, on: Path) -> dict[str, Any]:
    """One seed with and without the guard; accuracies in 0..1, differences with their 95 % intervals."""
    kept = {name: json.loads((folder / "summary.json").read_text())["kept_step"] for name, folder in pair(off, on)}
    base = correct(on, 0)
    with_guard, without = correct(on, kept["on"]), correct(off, kept["off"])
    validation = {name: accuracy_by_step(read_run(folder, name)) for name, folder in pair(off, on)}
    return {
        "seed": seed,
        "kept_step": kept,
        "last_validation": {name: found[max(found)] for name, found in validation.items()},
        "base_validation": validation["on"][0],
        "kept_less_base": as_list(paired_difference(base, with_guard)),
        "unguarded_kept_less_base": as_list(paired_difference(base, without)),
        "guarded_less_unguarded": as_list(paired_difference(without, with_guard)),
        "acts": [one for one in events(on) if one["action"] != "warn"],
        "warnings": sum(one["action"] == "warn" for one in events(on)),
        "steps": max(step for step, _ in read_run(on, "on").steps),
    }


def pair(off: Path, on: Path) -> tuple[tuple[str, Path], tuple[str, Path]]:
    """Both runs by name."""
    return ("off", off), ("on", on)


def correct(folder: Path, step: int) -> list[list[bool]]:
    """Verdicts on the test split after a step: problems x samples."""
    by_problem: dict[str, list[bool]] = {}
    for sample in read_results(folder / "evaluations" / f"test-step-{step:06d}.jsonl").samples:
        by_problem.setdefault(sample.problem_id, []).append(sample.is_correct)
    return list(by_problem.values())


def events(folder: Path) -> list[dict[str, Any]]:
    """What the guard did, in order."""
    file = folder / "guard.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def replay_of(folder: Path) -> dict[str, Any]:
    """What the guard would have done in a run, with its defaults."""
    found = replay(log_lines(read_run(folder, folder.name)), GuardSettings(enabled=True))
    decisions = [{"step": one.step, "action": one.action, "reason": one.reason} for one in found.decisions]
    return {"run": folder.name, "decisions": decisions}


def as_list(found: Estimate) -> list[float]:
    """Value and interval."""
    return [found.value, found.ci_low, found.ci_high]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line a seed, in Markdown; points on the test split."""
    lines = [
        "| seed | last validation, guard off | on | what the guard did | kept step, off | on | kept less base, on "
        "| kept with guard less kept without |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        did = ", ".join(act(one) for one in row["acts"]) or "nothing"
        cells = [
            str(row["seed"]),
            *(f"{100 * row['last_validation'][name]:.1f} %" for name in ("off", "on")),
            did,
            *(str(row["kept_step"][name]) for name in ("off", "on")),
            points(row["kept_less_base"]),
            points(row["guarded_less_unguarded"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def act(one: dict[str, Any]) -> str:
    """An event in a few words."""
    if one["action"] == "rolled_back":
        return f"back to step {one['to']}"
    return f"{one['action']} after step {one['step']}"


def healthy_table(rows: Sequence[dict[str, Any]]) -> str:
    """Replays over healthy runs: warnings, and anything more."""
    lines = ["| healthy run | warnings, at steps | rollbacks and stops |", "|---|---|---|"]
    for row in rows:
        warned = [str(one["step"]) for one in row["decisions"] if one["action"] == "warn"]
        acted = [f"{one['action']} at {one['step']}" for one in row["decisions"] if one["action"] != "warn"]
        lines.append(f"| {row['run']} | {', '.join(warned) or 'none'} | {', '.join(acted) or 'none'} |")
    return "\n".join(lines) + "\n"


def points(found: Sequence[float]) -> str:
    """Percentage points with the interval."""
    value, low, high = (f"{100 * one:+.1f}" for one in found)
    return f"{value} [{low}, {high}]"


if __name__ == "__main__":
    main()
