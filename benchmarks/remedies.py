"""Every remedy against collapse, measured on recipes/mini/collapse.yaml: `python benchmarks/remedies.py`.

Each option is the collapse recipe with a few values replaced, over seeds 1, 2, 3, one thread per run, two runs at a
time; finished runs are skipped, and the plain recipe's are those of `make experiments`. Options are evaluated every 10
steps instead of every 5. Writes records/remedies.jsonl, a line per run, and a table, into docs/ too.

What is compared was fixed before the runs: late accuracy, the mean of the evaluations at steps 30 and 40 (99 validation
problems x 4 samples each), against the plain recipe's with the same seed. With this many options, one in twenty would
seem to help or hurt by chance alone.
"""

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from claims import accuracy_by_step, collapse_step, window_mean
from doc_tables import put
from remedy_options import OPTIONS, PLAIN
from seeded_runs import MINI, SEEDS, SeededRun, is_finished, run_all

from frugalrl.reporting.run_reader import read_run
from frugalrl.statistics.intervals import Estimate, over_seeds

EVERY = 10
"""Steps between the evaluations that are compared."""
RECORD = Path(__file__).parent / "records" / "remedies.jsonl"


def main() -> None:
    """Train what is missing, record all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/experiments"))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--only", nargs="*", help="names of options (default: all)")
    parser.add_argument("--table", action="store_true", help="train nothing: record and show what is finished")
    chosen = parser.parse_args()
    if not chosen.table:
        names = [name for name in OPTIONS if not chosen.only or name in (PLAIN, *chosen.only)]
        jobs = [job_of(name, seed) for name in names for seed in SEEDS]
        run_all(jobs, chosen.out, chosen.workers)
    keep(chosen.out)
    found = table([json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines()])
    for page in ("what-works.md", "lab-log.md"):
        put(page, "remedies", found)
    print(found)


def job_of(name: str, seed: int) -> SeededRun:
    """An option's run; the plain recipe is the one of `make experiments`."""
    if name == PLAIN:
        return SeededRun("mini-collapse", MINI / "collapse.yaml", seed)
    return SeededRun(f"remedy-{name}", MINI / "collapse.yaml", seed, (*OPTIONS[name], f"evaluation.every={EVERY}"))


def measured(name: str, job: SeededRun, folder: Path) -> dict[str, Any]:
    """What a run came to at the evaluations that all options have; accuracies in 0..1."""
    run = read_run(folder, folder.name)
    found = {step: value for step, value in accuracy_by_step(run).items() if step % EVERY == 0}
    best = max(found, key=lambda step: found[step])
    late = [value for step, value in found.items() if step > max(found) / 2]
    below = collapse_step(replace(run, evaluations=[one for one in run.evaluations if one[0] % EVERY == 0]))
    final = run.evaluations[-1][1]
    kl = [values["policy/kl"] for _, values in run.steps[-20:] if values.get("policy/kl") is not None]
    return {
        "option": name,
        "overrides": list(OPTIONS[name]),
        "seed": job.seed,
        "base": found[0],
        "best": found[best],
        "best_step": best,
        "final": found[max(found)],
        "final_ci": [final["validation/ci_low"], final["validation/ci_high"]],
        "late": statistics.fmean(late),
        "collapse_step": below,
        "late_median_kl": statistics.median(kl) if kl else None,
        "late_entropy": window_mean(run, "policy/entropy", 0.5, 1.0),
        "late_clipped_frac": window_mean(run, "policy/clipped_frac", 0.0, 1.0),
        "final_tokens": final["validation/mean_tokens"],
        "rollout_tokens": sum(_tokens(values) for _, values in run.steps),
        "seconds": run.summary["wall_seconds"]["total"],
    }


def _tokens(values: Any) -> float:
    """Completion tokens of a step: throughput is their number by the step's time."""
    seconds = sum(value for name, value in values.items() if name in ("time/rollout", "time/reward", "time/update"))
    return round(values["throughput/tokens_per_second"] * seconds)


def keep(root: Path) -> None:
    """Write the record: a line for every finished run, and the lines it had of runs that are not here."""
    known = {}
    if RECORD.is_file():
        rows = (json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines())
        known = {(row["option"], row["seed"]): row for row in rows}
    for name in OPTIONS:
        for seed in SEEDS:
            job = job_of(name, seed)
            if is_finished(job, root):
                known[name, seed] = measured(name, job, job.folder(root))
    ordered = [known[name, seed] for name in OPTIONS for seed in SEEDS if (name, seed) in known]
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text("".join(json.dumps(row) + "\n" for row in ordered), encoding="utf-8")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per option, in Markdown: percent, and points against the plain recipe with the same seed."""
    by_option: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        by_option.setdefault(row["option"], {})[row["seed"]] = row
    plain = by_option[PLAIN]
    lines = [
        "| option | best | late, each seed | late, less plain [95 %] | verdict | below base from step | median KL "
        "| entropy | rollout tokens |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    tokens = statistics.fmean(row["rollout_tokens"] for row in plain.values())
    for name, seeds in by_option.items():
        found = list(seeds.values())
        gain = over_seeds([row["late"] - plain[seed]["late"] for seed, row in seeds.items()])
        kl = [row["late_median_kl"] for row in found if row["late_median_kl"] is not None]
        cells = [
            name,
            f"{100 * statistics.fmean(row['best'] for row in found):.0f}",
            ", ".join(f"{100 * row['late']:.0f}" for row in found),
            "-" if name == PLAIN else _points(gain),
            "-" if name == PLAIN else verdict(gain),
            ", ".join(str(row["collapse_step"] or "-") for row in found),
            f"{statistics.fmean(kl):.2f}" if kl else "-",
            f"{statistics.fmean(row['late_entropy'] for row in found):.3f}",
            f"{statistics.fmean(row['rollout_tokens'] for row in found) / tokens:.2f} x",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    missing = [name for name in OPTIONS if len(by_option.get(name, {})) < len(SEEDS)]
    note = f"\nNot measured on {len(SEEDS)} seeds yet: {', '.join(missing)}.\n" if missing else ""
    return "\n".join(lines) + "\n" + note


def verdict(gain: Estimate) -> str:
    """Whether the interval over seeds decides."""
    if gain.ci_low > 0:
        return "helps"
    return "hurts" if gain.ci_high < 0 else "inconclusive"


def _points(found: Estimate) -> str:
    if math.isnan(found.ci_low):  # one seed: no interval
        return f"{100 * found.value:+.0f}"
    return "{:+.0f} [{:+.0f}, {:+.0f}]".format(*(100 * one for one in (found.value, found.ci_low, found.ci_high)))


if __name__ == "__main__":
    main()
