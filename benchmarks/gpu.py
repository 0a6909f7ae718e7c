"""The real job on one GPU, measured: `python benchmarks/gpu.py --out gpu.json`.

Decode, update, memory, exactness, faults, whole runs with a kill and a resume, checkpoints, and a vLLM server if one is
named: each number beside its prediction and beside the limit that the same run measured (copy bandwidth and matrix
rate). Without `--model` the exact shapes of DeepSeek-R1-Distill-Qwen-1.5B with random weights are made. `--toy` runs
everything on the shipped tiny model in about a minute on a CPU: a test does so.

At the end each target is met, not met, or not measured (on a CPU, and where a part failed).

A measurement that fails is a row with the error, the others go on, and the exit code is 1.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from gpu_parts import decode, exactness, faults, limits, model, runs, server, targets, update
from gpu_parts.rows import REAL, TOY, Row, Setup

from frugalrl.config.schema import ModelSettings
from frugalrl.training.model.policy import load_policy, pick_device, resolve_model_path

PARTS: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "attention": decode.attention_backends,
    "decode": decode.by_batch_and_width,
    "launches": decode.launches,
    "memory": update.memory,
    "update": update.rates,
    "exactness": exactness.engine_against_trainer,
    "nan": faults.nan_logits,
    "oom": faults.no_memory_in_a_rollout,
    "runs": runs.steps_kill_and_resume,
    "checkpoint": runs.checkpoints,
    "vllm": server.against_process,
}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def measure(chosen: argparse.Namespace, folder: Path, show: Callable[[str], None]) -> dict[str, Any]:
    """All chosen parts, and what they ran on."""
    device = pick_device(chosen.device)
    dtype = chosen.dtype or ("bfloat16" if device.type == "cuda" and not chosen.toy else "float32")
    found = limits.measure(device, _DTYPES[dtype], chosen.repeats)
    path = _model(chosen, folder, _DTYPES[dtype], device)
    settings = ModelSettings(path=str(path), dtype=dtype, device=device.type, gradient_checkpointing=not chosen.toy)
    setup = Setup(
        folder,
        path,
        load_policy(settings),
        dtype,
        found,
        TOY if chosen.toy else REAL,
        chosen.repeats,
        chosen.recipe,
        not chosen.toy,
        chosen.vllm,
    )
    rows, errors = [], {}
    for name in chosen.only or PARTS:
        try:
            for row in PARTS[name](setup):
                rows.append(row)
                show(_line(row))
        except Exception as error:
            errors[name] = f"{type(error).__name__}: {error}"
            show(f"{name}: FAILED, {errors[name].splitlines()[0]}")
            traceback.print_exc(file=sys.stderr)
    judged = targets.evaluated(rows, setup.is_cuda, setup.sizes.batches[-1])
    for target in judged:
        worst = "" if target.value is None else f"  (worst {target.value:.3g})"
        show(f"target      {target.what}: {target.outcome.upper()}{worst}  {target.note}".rstrip())
    return {
        "what": "frugalrl on one device: decode, update, memory, exactness, faults, runs",
        "device": torch.cuda.get_device_name() if setup.is_cuda else platform.processor() or platform.machine(),
        "model": "builtin:tiny" if chosen.toy else chosen.model or "R1-Distill-Qwen-1.5B shapes, random weights",
        "dtype": dtype,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "transformers")},
        "limits": dataclasses.asdict(found),
        "rows": [dataclasses.asdict(row) | {"share_of_limit": row.share_of_limit} for row in rows],
        "targets": [dataclasses.asdict(target) for target in judged],
        "errors": errors,
    }


def _model(chosen: argparse.Namespace, folder: Path, dtype: torch.dtype, device: torch.device) -> Path:
    if chosen.toy:
        return Path(resolve_model_path("builtin:tiny"))
    if chosen.model:
        return Path(resolve_model_path(chosen.model))
    model.make(folder / "model", dtype, device)
    return folder / "model"


def _line(row: Row) -> str:
    share = "" if row.share_of_limit is None else f"  {100 * row.share_of_limit:.0f} % of the limit"
    predicted = "" if row.predicted is None else f"  predicted {row.predicted:.4g}"
    return f"{row.part:<11} {row.what:<58} {row.value:>10.4g} {row.unit:<9}{predicted}{share}  {row.note}".rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder or Hub id; random weights if it is not given")
    parser.add_argument("--recipe", default="open-rs2", help="whose steps are run (default: open-rs2)")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--dtype", choices=tuple(_DTYPES))
    parser.add_argument("--toy", action="store_true", help="the tiny model and little work")
    parser.add_argument("--only", action="append", choices=tuple(PARTS))
    parser.add_argument("--vllm", type=Path, help="folder of an environment with vLLM: a server is measured too")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = measure(chosen, Path(folder), lambda line: print(line, flush=True))
    if chosen.out:
        chosen.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if record["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
