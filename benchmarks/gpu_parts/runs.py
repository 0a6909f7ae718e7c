"""Whole runs through the command line: real steps, a kill, a resume, the same seed twice, checkpoints."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frugalrl.training.state.checkpoint import load_training_state, load_weights
from frugalrl.training.state.manifest import damage
from gpu_parts import predictions
from gpu_parts.rows import Row, Setup

_DATA = ("data.train.source=arithmetic", "data.train.split=train", "data.train.skip_without_gold=false",
         "data.train.limit=400", "data.validation=null")  # fmt: skip
"""The recipe's own problems need the Hub; what a step costs depends on lengths, not on what is asked."""


def steps_kill_and_resume(setup: Setup) -> Iterator[Row]:
    """Steps of the recipe, whole, again, and with a SIGKILL after the last step but one and a resume; their weights."""
    whole = setup.folder / "whole"
    seconds = _train(setup, whole)
    log = _steps(whole)
    per_step = [line["time/rollout"] + line["time/update"] + line["time/reward"] for line in log]
    note = ", ".join(f"{name} {log[-1][f'time/{name}']:.2f} s" for name in ("rollout", "update", "reward"))
    yield Row("runs", f"{len(log)} steps from start to end", seconds, "s")
    median, planned = sorted(per_step)[len(per_step) // 2], predictions.step_seconds(setup, _settings(setup))
    yield Row("runs", "a step, the median", median, "s", planned, note=note)
    yield Row("runs", "100 steps, extrapolated", 100 * median / 3600, "h", 100 * planned / 3600)
    same = setup.folder / "same"
    _train(setup, same)
    yield Row("runs", "weights equal when run again", float(_weights(whole) == _weights(same)), "", 1.0, 1.0)
    killed = setup.folder / "killed"
    _train(setup, killed, kill_after=setup.sizes.train_steps - 1)
    _train(setup, killed, resume=True)
    equal = float(_weights(whole) == _weights(killed))
    yield Row("runs", "weights equal after a kill and a resume", equal, "", 1.0, 1.0)


def checkpoints(setup: Setup) -> Iterator[Row]:
    """Seconds to write a checkpoint (of the run's log), to verify and to read it."""
    folder = sorted((setup.folder / "whole" / "checkpoints").glob("step-*"))[-1]
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    summary = json.loads((setup.folder / "whole" / "summary.json").read_text(encoding="utf-8"))
    saved = summary["wall_seconds"].get("checkpoint", 0.0) / setup.sizes.train_steps
    yield Row("checkpoint", "size", size / 1e9, "GB", predictions.checkpoint_gb(setup, _settings(setup)))
    yield Row("checkpoint", "written", saved, "s", note=f"{size / 1e9:.2f} GB")
    began = time.perf_counter()
    wrong = damage(folder)
    if wrong is not None:
        raise RuntimeError(f"{folder}: {wrong}")
    yield Row("checkpoint", "verified", time.perf_counter() - began, "s")
    began = time.perf_counter()
    load_training_state(folder)
    load_weights(setup.policy, folder)
    yield Row("checkpoint", "read", time.perf_counter() - began, "s")
    load_weights(setup.policy, setup.model)


def _settings(setup: Setup) -> tuple[str, ...]:
    return (
        f"model.path={setup.model}", f"model.dtype={setup.dtype}", f"training.steps={setup.sizes.train_steps}",
        "training.save_every=1", *_DATA, *setup.sizes.train_overrides,
    )  # fmt: skip


def _train(setup: Setup, out: Path, resume: bool = False, kill_after: int | None = None) -> float:
    command = [sys.executable, "-m", "frugalrl", "train", setup.recipe, "--out", str(out), "--ignore-doctor"]
    command += [part for setting in _settings(setup) for part in ("--set", setting)] + ["--resume"] * resume
    began = time.perf_counter()
    log = out.with_suffix(".log").open("a")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    while process.poll() is None:
        if kill_after is not None and len(_steps(out)) >= kill_after:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return time.perf_counter() - began
        time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(
            f"the run ended with code {process.returncode}: {out.with_suffix('.log').read_text()[-1500:]}"
        )
    if kill_after is not None:
        raise RuntimeError("the run ended before it was killed")
    return time.perf_counter() - began


def _steps(out: Path) -> list[dict[str, Any]]:
    try:
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [values for values in map(json.loads, lines) if "time/update" in values]


def _weights(out: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(
        (out / "checkpoints" / (out / "checkpoints" / "latest").read_text().strip()).glob("*.safetensors")
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()
