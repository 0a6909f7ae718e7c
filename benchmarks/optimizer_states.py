"""AdamW's states in 8 bits and on the host, against AdamW as it is: time, memory, weights and learning, on a CPU.

`--only price`: ten steps of bf16 matrices (1 M weights) with noisy gradients, the same in each: milliseconds of a step
for a million weights, bytes of moments a weight, and how far the fp32 masters end from those of plain AdamW, beside how
far those moved. `--only learning`: the quickstart with moments of 8 and of 32 bits, seeds 1 and 2; finished runs are
skipped. Writes records/optimizer_states.json, and the table between its marks in docs/scale.md.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from machine import description
from seeded_runs import SeededRun, run_all
from torch import Tensor, nn

from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.training.model.optimizer import MasterOptimizer

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "benchmarks" / "records" / "optimizer_states.json"
PAGE = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- optimizer states: begin -->", "<!-- optimizer states: end -->"
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "offload": {"offload": True},
    "8 bits": {"state_bits": 8},
    "8 bits, offload": {"state_bits": 8, "offload": True},
}
_STEPS, _WIDTH, _LAYERS = 10, 512, 4


def price() -> dict[str, dict[str, float | bool]]:
    """A row for each kind."""
    made = {kind: _stepped(options) for kind, options in KINDS.items()}
    plain, start = made["plain"][2], torch.cat([one.detach().float().flatten() for one in _model().parameters()])
    moved = float((plain - start).square().mean().sqrt())
    return {
        kind: {
            "ms_per_million_weights": milliseconds,
            "moment_bytes_per_weight": size,
            "rms_difference_over_movement": float((masters - plain).square().mean().sqrt()) / moved,
            "same_bits": torch.equal(masters, plain),
        }
        for kind, (milliseconds, size, masters) in made.items()
    }


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(_WIDTH, _WIDTH, bias=False) for _ in range(_LAYERS))).bfloat16()


def _stepped(options: dict[str, Any]) -> tuple[float, float, Tensor]:
    model, noise = _model(), torch.Generator().manual_seed(1)
    optimizer = MasterOptimizer(model, OptimizerSettings(learning_rate=1e-3, max_grad_norm=1e9, **options))
    weights, seconds = sum(one.numel() for one in model.parameters()), []
    for _ in range(_STEPS):
        for one in model.parameters():
            gradient = 1e-3 * (torch.randn(one.shape, generator=noise) + one.detach().float().sign())
            (one.float() * gradient).sum().backward()
        began = time.perf_counter()
        optimizer.step(1.0)
        seconds.append(time.perf_counter() - began)
    states = optimizer.state_tensors()
    masters = torch.cat([one.flatten() for name, one in states.items() if name.startswith("master/")])
    moments = sum(one.nbytes for name, one in states.items() if not name.startswith("master/"))
    return 1e3 * sorted(seconds)[_STEPS // 2] / (weights / 1e6), moments / weights, masters


def learning(out: Path, seeds: list[int], workers: int) -> dict[str, list[dict[str, float]]]:
    """Accuracy of base and kept model, and the gain, for each seed."""
    bits = {"8 bits": "8", "32 bits": "32"}
    jobs = {
        kind: [
            SeededRun(f"states-{value}", ROOT / "recipes" / "quickstart.yaml", seed, (f"optimizer.state_bits={value}",))
            for seed in seeds
        ]
        for kind, value in bits.items()
    }
    run_all([job for each in zip(*jobs.values(), strict=True) for job in each], out, workers)
    return {kind: [_gain(job.folder(out)) | {"seed": job.seed} for job in each] for kind, each in jobs.items()}


def _gain(folder: Path) -> dict[str, float]:
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    base, final = (summary[name]["avg_at_k"] for name in ("base", "final"))
    return {"base": base, "final": final, "gain": final - base}


def table(record: dict[str, Any]) -> str:
    """The page's part, of what was measured."""
    lines = []
    if "price" in record:
        lines += [
            "| on a CPU, one thread | ms a step, 1 M weights | bytes of moments a weight | masters after 10 steps: "
            "difference over movement |",
            "|---|---|---|---|",
        ]
        for kind, row in record["price"].items():
            apart = "same bits" if row["same_bits"] else f"{row['rms_difference_over_movement']:.1%}"
            milliseconds, size = row["ms_per_million_weights"], row["moment_bytes_per_weight"]
            lines.append(f"| {kind} | {milliseconds:.1f} | {size:.2f} | {apart} |")
    for kind, rows in record.get("learning", {}).items():
        shown = ", ".join(f"{row['base']:.1%} to {row['final']:.1%} (seed {row['seed']})" for row in rows)
        lines += ["", f"Quickstart with moments of {kind}: {shown}."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("price", "learning"))
    parser.add_argument("--out", type=Path, default=Path("runs/optimizer_states"), help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    record["machine"] = description()
    if chosen.only != "learning":
        record["price"] = price()
    if chosen.only != "price":
        record["learning"] = learning(chosen.out, chosen.seeds, chosen.workers)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table(record)}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    print(table(record))


if __name__ == "__main__":
    main()
