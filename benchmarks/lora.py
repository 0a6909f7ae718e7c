"""LoRA against full fine-tuning on a CPU: gain, time, memory and size of a checkpoint (docs/lora.md).

Trains recipes/mini/lora.yaml, and the same recipe with all weights at the quickstart's rate, with seeds 1, 2, 3, two
runs at a time with one thread each; finished runs are skipped. Memory is measured on a random model of 89 M weights,
where the weights and not the libraries decide it: the peak of a process that makes two steps of the same recipe. Times
are those of the machine as it was. Writes records/lora.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import mean

from seeded_runs import MINI, SEEDS, SeededRun, run_all

from frugalrl.config.schema import ModelSettings, ScratchModel
from frugalrl.reporting.run_log import read_metrics
from frugalrl.reporting.summary import versions
from frugalrl.training.model.policy import load_policy, trainable_parameters
from frugalrl.training.model.scratch import make_model

RECORD = Path(__file__).parent / "records" / "lora.json"
FULL = ("model.lora=null", "optimizer.learning_rate=4e-4")
LARGER = ScratchModel(vocab_size=448, hidden_size=768, intermediate_size=3072, layers=10, heads=12, kv_heads=6)
SHORT = (
    "training.steps=2",
    "data.validation=null",
    "rollout.prompts_per_step=2",
    "rollout.group_size=4",
    "rollout.max_completion_tokens=24",
    "training.micro_batch_tokens=512",
    "guard.enabled=false",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/lora"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    chosen = parser.parse_args()
    kinds = {"lora": (), "full": FULL}
    jobs = {
        kind: [SeededRun(f"mini-{kind}", MINI / "lora.yaml", seed, overrides) for seed in chosen.seeds]
        for kind, overrides in kinds.items()
    }
    run_all([job for pair in zip(*jobs.values(), strict=True) for job in pair], chosen.out, chosen.workers)
    base = larger_model(chosen.out / "larger")
    for kind in kinds:
        shutil.rmtree(chosen.out / f"memory-{kind}", ignore_errors=True)
    made = {
        kind: {
            "runs": [look_at(job.folder(chosen.out)) for job in jobs[kind]],
            "peak_mb_of_89m": peak_mb(base, chosen.out, kind, overrides),
        }
        for kind, overrides in kinds.items()
    }
    RECORD.write_text(json.dumps({"versions": versions(), **made}, indent=2) + "\n", encoding="utf-8")
    for kind, one in made.items():
        runs = one["runs"]
        print(
            f"{kind}: from {mean(run['base'] for run in runs):.1%} by "
            f"{', '.join(format(100 * (run['last'] - run['base']), '+.1f') for run in runs)} points; rollout "
            f"{mean(run['rollout_seconds'] for run in runs):.2f} s and update "
            f"{mean(run['update_seconds'] for run in runs):.2f} s a step; a checkpoint of "
            f"{runs[0]['checkpoint_mb']:.2f} MB; 89 M weights: peak {one['peak_mb_of_89m']} MB"
        )


def look_at(folder: Path) -> dict[str, float]:
    """What a finished run says of its gain, times and sizes."""
    rows = read_metrics(folder)
    validations = [row["validation/avg_at_k"] for row in rows if "validation/avg_at_k" in row]
    steps = [row for row in rows if "time/rollout" in row]
    checkpoint = max((folder / "checkpoints").glob("step-*"))
    return {
        "base": validations[0],
        "last": validations[-1],
        "rollout_seconds": mean(row["time/rollout"] for row in steps),
        "update_seconds": mean(row["time/update"] for row in steps),
        "checkpoint_mb": sum(file.stat().st_size for file in checkpoint.rglob("*") if file.is_file()) / 1e6,
    }


def larger_model(folder: Path) -> Path:
    """A random model whose weights are most of a run's memory."""
    if not (folder / "config.json").is_file():
        tokenizer = load_policy(ModelSettings()).tokenizer
        model = make_model(LARGER, tokenizer, 0)
        print(f"a random model of {trainable_parameters(model):,} weights")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def peak_mb(base: Path, out: Path, kind: str, overrides: tuple[str, ...]) -> int:
    """The most memory that a process of two steps held."""
    settings = [*overrides, *SHORT, f"model.path={base}", f"name=memory-{kind}"]
    command = [sys.executable, "-m", "frugalrl", "train", str(MINI / "lora.yaml"), "--out", str(out / f"memory-{kind}")]
    command += ["--ignore-doctor"]  # the rate is the tiny model's; these weights need not learn
    command += [part for setting in settings for part in ("--set", setting)]
    log = (out / f"memory-{kind}.log").open("w")
    with subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"The run in {out / f'memory-{kind}'} failed; see its log.")
    return int(usage.ru_maxrss // 1024)


if __name__ == "__main__":
    main()
