"""Every speed benchmark in turn, and one table of their records: `make bench`, or `python benchmarks/bench.py`.

A part is a command of its own with a raw record; a part that fails or is not there is a line that says so, and the exit
code is 1. `--table` prints the table of the records as they are. The parts follow each other: nothing of ours runs
beside a measurement, and each record says what other processes took.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RECORDS = FOLDER / "records"
Row = tuple[str, str, str, str, str]
"""Part, case, ours, peer or limit, ratio."""


def step_rows(record: dict[str, Any]) -> Iterator[Row]:
    """A whole GRPO step against TRL."""
    for row in record["rows"]:
        best = min(row["trl"], key=lambda one: statistics.median(one["step_cpu_seconds"]))
        ours, theirs = (statistics.median(side["step_cpu_seconds"]) for side in (row["ours"], best))
        case = f"{row['case']} lengths, beta {row['kl_coef']:g}"
        yield "GRPO step", case, f"{ours:.2f} CPU s", f"TRL {theirs:.2f} CPU s", f"{row['ratio_cpu']:.1f}x"


def update_rows(record: dict[str, Any]) -> Iterator[Row]:
    """The update against the matrix rate."""
    for row in record["rows"]:
        case = f"{row['size']}, {row['lengths']} lengths, beta {row['kl_coef']:g}"
        ours = f"{statistics.median(row['cpu_seconds']):.2f} CPU s"
        limit = f"products alone {row['products_alone_seconds']:.2f} s"
        yield "update", case, ours, limit, f"{row['share_of_matrix_rate']:.0%} of the rate"


def startup_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Commands, the first step, a checkpoint, memory."""
    for name, times in record["commands"].items():
        wall, cpu = (statistics.median(times[key]) for key in ("wall_seconds", "cpu_seconds"))
        yield "start-up", name, f"{wall:.2f} s", f"{cpu:.2f} CPU s", ""
    run = record["run"]
    yield "start-up", "quickstart, to its first step", f"{run['first_step_seconds']:.1f} s", "", ""
    yield "checkpoint", "the shipped reasoner", f"{statistics.median(record['checkpoint_seconds']):.2f} s", "", ""
    memory = f"{run['megabytes_at_the_end']:.0f} MB"
    case = f"after 5 and {run['steps']} steps"
    yield "memory", case, f"{run['megabytes_after_5_steps']:.0f} MB", memory, ""


def verdict_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Verdicts against a plain loop of math-verify."""
    timed = record["symbolic"]["seconds_wall_and_cpu"]
    ours, theirs = (statistics.median(one[side][1] for one in timed) for side in ("pool", "math_verify"))
    count = record["answers"]
    yield (
        "verdicts",
        f"{count} answers",
        f"{count / ours:.0f} a CPU s",
        f"math-verify {count / theirs:.0f}",
        f"{theirs / ours:.1f}x",
    )


def curate_rows(record: dict[str, Any]) -> Iterator[Row]:
    """Curation of a public pool."""
    cpu = record["cpu_seconds"] + record["cpu_seconds_of_children"]
    yield "curate", f"{record['rows']:,} rows", f"{cpu:.0f} CPU s", f"{record['wall_seconds']:.0f} s wall", ""


PARTS: dict[str, tuple[str, list[str], Callable[[dict[str, Any]], Iterator[Row]] | None]] = {
    "grpo_step": ("grpo_step.py", [], step_rows),
    "update_rate": ("update_rate.py", [], update_rows),
    "startup": ("startup.py", [], startup_rows),
    "verifier_throughput": ("verifier_throughput.py", ["--rounds", "5"], verdict_rows),
    "curation": ("curation.py", [], curate_rows),
}
"""By the name of the record: script, its options, and its rows of the table."""


def table() -> str:
    """Of the records that are there."""
    lines = ["| part | case | ours | peer or limit | ratio |", "|---|---|---|---|---|"]
    for name, (_, _, rows) in PARTS.items():
        file = RECORDS / f"{name}.json"
        if rows is not None and file.is_file():
            record = json.loads(file.read_text(encoding="utf-8"))
            lines += [f"| {' | '.join(row)} |" for row in rows(record)]
    return "\n".join(lines)


def main() -> int:
    """Run what was asked for, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--table", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    failed = []
    for name in () if arguments.table else arguments.only:
        script, options, _ = PARTS[name]
        print(f"== {name}", flush=True)
        command = [sys.executable, str(FOLDER / script), *options, "--out", str(RECORDS / f"{name}.json")]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    print(table())
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
