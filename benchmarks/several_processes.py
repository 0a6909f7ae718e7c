"""One process against several, by torchrun: the numbers of docs/scale.md.

    python benchmarks/several_processes.py --out benchmarks/records/several_processes.json

Runs of three steps of the tiny model in fp32 (tests/training/distributed/jobs.py says what each is) in one process, and
in two and four, replicated and sharded; then the largest differences: of the first update's loss, of its gradients
before they are clipped, of the weights after the last step; and whether the completions are the same tokens.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors.torch
import torch
from tests.training.distributed.jobs import NAMES

from frugalrl.reporting.run_log import read_metrics

ROOT = Path(__file__).parents[1]
MODULE = "tests.training.distributed.jobs"


def main() -> None:
    """Make the runs, compare them, write the record and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "records" / "several_processes.json")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        launch([sys.executable, "-m", MODULE, str(folder)])
        rows = []
        for count in arguments.processes:
            for weights in ("replicated", "sharded"):
                run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "--rdzv-backend"]
                launch([*run, "c10d", "--rdzv-endpoint", "127.0.0.1:0", "-m", MODULE, str(folder), weights])
                rows += [compared(folder, name, weights, count) for name in NAMES]
    record = {"torch": torch.__version__, "cpus": os.cpu_count(), "backend": "gloo", "rows": rows}
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(table(rows) + "\n")


def launch(command: list[str]) -> None:
    """Run it; its output is shown if it fails."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-5000:])


def compared(folder: Path, name: str, weights: str, count: int) -> dict[str, object]:
    """One run in several processes against the same in one."""
    one, other = folder / f"{name}-replicated-1", folder / f"{name}-{weights}-{count}"
    key = "loss/sft" if name == "sft" else "loss/total"
    losses = [next(row[key] for row in read_metrics(run) if key in row) for run in (one, other)]
    newest = max((one / "checkpoints").glob("step-*")).name
    models = [next((run / "checkpoints" / newest).glob("*model.safetensors")) for run in (one, other)]
    samples = [(run / "samples.jsonl").read_bytes() for run in (one, other) if name != "sft"]
    return {
        "run": name,
        "processes": count,
        "weights": weights,
        "loss_difference": abs(losses[0] - losses[1]),
        "gradient_difference": largest(one.with_suffix(".gradients"), other.with_suffix(".gradients")),
        "weight_difference": largest(*models),
        "same_completions": len(set(samples)) == 1 if samples else None,
    }


def largest(one: Path, other: Path) -> float:
    """The largest difference between the tensors of two files."""
    left, right = safetensors.torch.load_file(one), safetensors.torch.load_file(other)
    return max(float((left[name] - right[name]).abs().max()) for name in left)


def table(rows: list[dict[str, object]]) -> str:
    """The rows for docs/scale.md."""
    lines = ["| run | processes | weights | loss | gradients | weights after three steps | same completions |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        same = {True: "yes", False: "no", None: "(none)"}[row["same_completions"]]  # type: ignore[index]
        numbers = [f"{row[key]:.1e}" for key in ("loss_difference", "gradient_difference", "weight_difference")]
        lines.append(f"| {row['run']} | {row['processes']} | {row['weights']} | {' | '.join(numbers)} | {same} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
