"""Seconds of `frugalrl curate` by step, without a model, on a real pool against five benchmarks.

    FRUGALRL_DATA=... python benchmarks/curation.py [--pool FILE] [--out benchmarks/records/curation.json]

Processor seconds are those of all processes (Python, and the verifier's two workers, whose own are counted when they
have ended, so at the end of a step); wall-clock seconds depend on what else the machine does, so the load is in the
record. One JSON record, with the hashes of what was written.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from frugalrl.config.curation_schema import CurationSpec
from frugalrl.config.loading import parse_recipe
from frugalrl.curation.pipeline import curate
from frugalrl.curation.workspace import open_workspace

POOL = "$FRUGALRL_DATA/pool/deepscaler_40k.jsonl.gz"
BENCHMARKS = ["aime24", "math500", "amc23", "minerva", "olympiadbench"]
BANDS = [("easy", 1, 1), ("medium", 2, 3), ("hard", 4, 5)]


def spec_of(pool: str, column: str = "difficulty_level") -> CurationSpec:
    """All steps that need no model, quotas by band, 300 held-out problems."""
    given: dict[str, Any] = {
        "name": "benchmark",
        "pools": [{"name": "pool", "path": pool}],
        "steps": [
            {"step": "gold_parses"},
            {"step": "one_question"},
            {"step": "language"},
            {"step": "duplicates"},
            {"step": "decontaminate", "benchmarks": BENCHMARKS},
            {
                "step": "difficulty",
                "column": column,
                "bands": [{"name": name, "low": low, "high": high} for name, low, high in BANDS],
            },
            {"step": "mix", "quotas": [{"count": 3000, "bands": ["hard"]}, {"count": 1000, "bands": ["easy"]}]},
        ],
        "splits": {"validation": 200, "test": 100},
    }
    return parse_recipe(given, CurationSpec)


def clocks() -> tuple[float, float, float]:
    """Wall clock, processor seconds of this process, and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.perf_counter(), own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def measured(spec: CurationSpec, folder: Path, lines: list[str]) -> dict[str, Any]:
    """Seconds between the lines that end the steps; what comes after is `write`. The lines are added to `lines`."""
    steps: list[dict[str, Any]] = []
    first = last = clocks()

    def note(name: str) -> None:
        nonlocal last
        now = clocks()
        wall, own, children = (round(later - earlier, 2) for later, earlier in zip(now, last, strict=True))
        steps.append({"step": name, "wall": wall, "cpu": own, "cpu_children": children})
        last = now

    def show(line: str) -> None:
        lines.append(line)
        if not line.startswith(" "):
            note(line.split(":")[0])

    with open_workspace(spec, folder, False) as workspace:
        curate(spec, workspace, show)
    note("write")
    wall, own, children = (round(later - earlier, 1) for later, earlier in zip(last, first, strict=True))
    return {"wall_seconds": wall, "cpu_seconds": own, "cpu_seconds_of_children": children, "steps": steps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", default=POOL)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = measured(spec_of(chosen.pool), Path(folder) / "set", [])
        manifest = json.loads((Path(folder) / "set" / "manifest.json").read_text(encoding="utf-8"))
    record = {
        "what": "frugalrl curate, all steps without a model, by step",
        "pool": chosen.pool,
        "rows": sum(one["rows"] for one in manifest["inputs"].values()),
        **found,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_mb_of_a_child": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        "load_before_and_after": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "splits": manifest["splits"],
        "outputs": manifest["outputs"],
    }
    text = json.dumps(record, indent=1)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
