"""Start-up, checkpoint, memory: `python benchmarks/startup.py`.

Seconds of `frugalrl --help` and `--dry-run`, of a run until its first step is done, and of a checkpoint of the shipped
reasoner written and read back; of commands processor seconds too, since a busy machine stretches the others. The run's
resident memory after 5 steps and after all of them says whether it grows.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import ROOT, Others, description

RECORD = Path(__file__).parent / "records" / "startup.json"
COMMANDS = {"--help": ["--help"], "--dry-run": ["train", "quickstart", "--dry-run"]}


def command_seconds(arguments: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "frugalrl", *arguments], check=True, capture_output=True, env=_environment())
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return ended - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def run_of(steps: int) -> dict[str, Any]:
    """Quickstart without evaluations, in this process: seconds to the first step, memory, checkpoints."""
    import frugalrl

    began = time.perf_counter()
    seen: list[tuple[float, float]] = []

    def on_step(metrics: dict[str, Any]) -> None:
        seen.append((time.perf_counter() - began, _megabytes()))

    changes = {
        "training.steps": steps,
        "training.save_every": 1 if steps < 20 else None,
        "data.validation": None,
        "data.test": None,
        "guard.enabled": False,
    }
    recipe = frugalrl.load_recipe("quickstart", changes)
    with tempfile.TemporaryDirectory() as folder:
        frugalrl.train(recipe, out=Path(folder) / "run", on_step=on_step)
    return {
        "steps": steps,
        "first_step_seconds": seen[0][0],
        "megabytes_after_5_steps": seen[min(4, steps - 1)][1],
        "megabytes_at_the_end": seen[-1][1],
    }


def _megabytes() -> float:
    """Resident now, not at its peak; Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def checkpoint_seconds(times: int) -> list[float]:
    """Of writing, reading back, comparing and hashing the reasoner with its optimizer."""
    from frugalrl.config.optimizer_schema import OptimizerSettings
    from frugalrl.config.schema import ModelSettings
    from frugalrl.training.model.optimizer import MasterOptimizer
    from frugalrl.training.model.policy import load_policy
    from frugalrl.training.state.checkpoint import TrainingState, save_checkpoint

    policy = load_policy(ModelSettings())
    optimizer = MasterOptimizer(policy.model, OptimizerSettings())
    optimizer.step(1.0)
    state = TrainingState({"step": 1}, {"optimizer": optimizer.state_tensors()})
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            began = time.perf_counter()
            save_checkpoint(policy, state, Path(folder) / f"step-{number}", "")
            seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="of the run; 1000 shows whether memory stays flat")
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    others, began = Others(), time.process_time()
    measured = {name: [command_seconds(given) for _ in range(arguments.repeats)] for name, given in COMMANDS.items()}
    record = {
        "machine": description(),
        "commands": {
            name: {
                "wall_seconds": [wall for wall, _ in times],
                "cpu_seconds": [cpu for _, cpu in times],
            }
            for name, times in measured.items()
        },
        "checkpoint_seconds": checkpoint_seconds(arguments.repeats),
        "run": run_of(arguments.steps),
    }
    record["others_cpu_share"] = others.share(time.process_time() - began)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, times in measured.items():
        wall, cpu = (statistics.median(part) for part in zip(*times, strict=True))
        print(f"{name:12} {wall:6.2f} s wall, {cpu:.2f} s of processor time")
    print(f"checkpoint   {statistics.median(record['checkpoint_seconds']):6.2f} s")
    run = record["run"]
    print(
        f"first step   {run['first_step_seconds']:6.2f} s; "
        f"memory {run['megabytes_after_5_steps']:.0f} MB after 5 steps, "
        f"{run['megabytes_at_the_end']:.0f} MB after {run['steps']}"
    )
    print(f"record: {arguments.out}")


if __name__ == "__main__":
    main()
