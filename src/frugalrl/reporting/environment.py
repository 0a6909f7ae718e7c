"""`environment.json`: what is needed to say why another machine gives other numbers.

Written when a run starts; a resume on a machine that differs adds what differs. The name of the machine, its user and
its paths are left out: the file may be published with the run.
"""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from frugalrl.config.loading import dump_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.files import atomic_write
from frugalrl.reporting.summary import versions

ENVIRONMENT_FILE = "environment.json"
_RESUMED = "resumed"


def describe_environment(
    recipe: TrainRecipe, data: Mapping[str, str], base_weights: str, processes: int
) -> dict[str, Any]:
    """Software, hardware, seeds and hashes, flat. data: hash by split. base_weights: hash of the base model.

    processes: that share the run; the hardware is that of the first.
    """
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        **{f"version/{name}": version for name, version in versions().items()},
        "version/frugalrl_commit": _commit(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpus": os.cpu_count(),
        "processes": processes,
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
        "gpu_driver": _first_line(Path("/proc/driver/nvidia/version")) if gpus else None,
        "tf32": bool(gpus) and torch.backends.cuda.matmul.allow_tf32,
        "seed": recipe.seed,
        "seed/evaluation": recipe.evaluation.seed,
        "hash/recipe": hashlib.sha256(dump_recipe(recipe).encode()).hexdigest(),
        **{f"hash/data/{split}": value for split, value in data.items()},
        "hash/base_weights": base_weights,
    }


def record_environment(folder: Path, environment: Mapping[str, Any], resumed_step: int | None) -> str | None:
    """Write the file at the start, or add what differs at a resume. Returns a line to print if something does.

    Raises OutputError if it cannot be written. A lost or damaged file is written again.
    """
    path = folder / ENVIRONMENT_FILE
    recorded = _read(path) if resumed_step is not None else {}
    before = _latest_of(recorded)
    changed = {name: [before.get(name), value] for name, value in environment.items() if before.get(name) != value}
    if not recorded:
        _write(path, {**environment, _RESUMED: []})
        return None
    if not changed:
        return None
    _write(path, {**recorded, _RESUMED: [*recorded[_RESUMED], {"step": resumed_step, "changed": changed}]})
    listed = "; ".join(f"{name} {old} -> {new}" for name, (old, new) in changed.items())
    return f"WARNING: this machine differs from the one before, so numbers may from here on: {listed}"


def _latest_of(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The environment after the last resume that is recorded."""
    latest = {name: value for name, value in recorded.items() if name != _RESUMED}
    for resume in recorded.get(_RESUMED, []):
        latest |= {name: new for name, (_, new) in resume["changed"].items()}
    return latest


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) and isinstance(values.get(_RESUMED), list) else {}


def _write(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(values, indent=2) + "\n")


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, IndexError):
        return None


def _commit() -> str | None:
    """The commit this package was checked out from, with ``-dirty`` if files were changed; None if it was installed."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(here), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A package installed inside another repository is not tracked there, and that commit would mean nothing.
    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
