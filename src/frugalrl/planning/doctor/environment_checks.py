"""The machine: versions, device, threads, write access, trackers' logins, a Hub that must be reached."""

import importlib.metadata
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from frugalrl.config.schema import ProblemSource, TrainRecipe
from frugalrl.config.task_table import TASKS
from frugalrl.planning.doctor.device_checks import devices_findings
from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.doctor.mirror_checks import mirror_finding
from frugalrl.planning.doctor.tracker_checks import tracker_finding
from frugalrl.rollout.projections import lacks_products
from frugalrl.threads import granted_cores
from frugalrl.training.model.policy import DTYPES
from frugalrl.training.state.run_folder import DEFAULT_PARENT

_LEAST_VERSIONS = {"torch": (2, 13), "transformers": (5, 19), "numpy": (2,), "numba": (0, 63), "math-verify": (0, 9)}
"""As in pyproject.toml: an environment may have been changed after it was made."""
_HUB = ("huggingface.co", 443)
_HUB_SECONDS = 3.0
_LARGE_ON_CPU = 50_000_000
"""Parameters from which a step on a CPU takes minutes (100 M: docs/plan.md)."""


def environment_findings(recipe: TrainRecipe, out: Path | None, environment: Mapping[str, str]) -> list[Finding]:
    """What can be said before a model is loaded. environment: variables, as in `os.environ`."""
    return [
        _versions(),
        _threads(environment),
        _output(out or DEFAULT_PARENT),
        *devices_findings(recipe, torch.cuda.device_count()),
        *(tracker_finding(tracker.name, environment) for tracker in recipe.trackers),
        *([] if recipe.training.mirror is None else [mirror_finding(recipe.training.mirror, out)]),
        *_hub(recipe, environment),
    ]


def device_finding(device: torch.device, parameters: int, dtype: str, name: str = "environment/device") -> Finding:
    """Whether this device is one for a model of this size and compute dtype."""
    size = f"{parameters / 1e6:,.1f} M parameters in {dtype} on {device.type}"
    if device.type == "cpu" and parameters > _LARGE_ON_CPU:
        return Finding(
            name,
            "yellow",
            f"{size}: no GPU is used, and a step of a model of this size takes minutes to hours on a CPU.",
            "frugalrl plan RECIPE --measure says how long here; on a machine with a GPU, --set model.device=cuda",
        )
    if device.type == "cpu" and dtype != "float32":
        slow = "this processor cannot multiply it, so a step takes some ten times as long as in float32, and "
        why = slow if lacks_products(DTYPES[dtype], device) else ""
        return Finding(name, "yellow", f"{size}: {why}the engine's log-probs are inexact.", "--set model.dtype=float32")
    return Finding(name, "green", size)


def _versions() -> Finding:
    found = {name: _version(name) for name in _LEAST_VERSIONS}
    old = [name for name, least in _LEAST_VERSIONS.items() if _numbers(found[name]) < least]
    shown = ", ".join(f"{name} {version}" for name, version in found.items())
    if old:
        wanted = " ".join(f"'{name}>={'.'.join(map(str, _LEAST_VERSIONS[name]))}'" for name in old)
        return Finding("environment/versions", "red", f"{shown}: {', '.join(old)} too old.", f"pip install {wanted}")
    return Finding("environment/versions", "green", shown)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "0 (not installed)"


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.partition("+")[0].partition(" ")[0].split(".")
    return tuple(int("".join(digit for digit in part if digit.isdigit()) or 0) for part in parts)


def _threads(environment: Mapping[str, str]) -> Finding:
    """More threads than cores make each other wait: a step then takes several times as long."""
    threads, cores = torch.get_num_threads(), granted_cores()
    if threads > cores:
        asked = environment.get("OMP_NUM_THREADS")
        why = f" (OMP_NUM_THREADS is {asked})" if asked else ""
        return Finding(
            "environment/threads",
            "yellow",
            f"torch uses {threads} threads on {cores} cores{why}: they wait for each other.",
            f"export OMP_NUM_THREADS={cores}",
        )
    return Finding("environment/threads", "green", f"{threads} threads on {cores} cores")


def _output(folder: Path) -> Finding:
    """Whether the run's folder can be made: tried in the nearest folder that exists."""
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    name = "environment/output"
    try:
        if not nearest.is_dir():
            raise NotADirectoryError(f"{nearest} is a file")
        with tempfile.NamedTemporaryFile(dir=nearest):
            pass
    except OSError as error:
        return Finding(
            name,
            "red",
            f"The run's folder {folder} cannot be written: {error}.",
            "frugalrl train RECIPE --out FOLDER, with a folder of your own",
        )
    return Finding(name, "green", f"{folder} can be written")


def _hub(recipe: TrainRecipe, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether what the recipe takes from the Hub can be had: in the cache, or over the network."""
    wanted = [*_hub_models(recipe), *_hub_data(recipe)]
    if not wanted:
        return
    name, listed = "environment/hub", ", ".join(sorted(set(wanted)))
    if all(_is_cached(one, environment) for one in wanted):
        yield Finding(name, "green", f"{listed}: in the cache of this machine")
    elif any(environment.get(key, "") in ("1", "true", "ON") for key in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")):
        fix = "unset HF_HUB_OFFLINE HF_DATASETS_OFFLINE, or give folders: --set model.path=FOLDER"
        yield Finding(name, "red", f"{listed} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it.", fix)
    elif not _answers(_HUB):
        fix = (
            "Fetch it where there is a network (hf download ID --local-dir FOLDER) and give the folder: "
            "--set model.path=FOLDER, --set data.train.source=FOLDER"
        )
        yield Finding(name, "red", f"{listed} is not in the cache, and the Hub cannot be reached from here.", fix)
    else:
        yield Finding(name, "green", f"{listed}: the Hub can be reached")


def _hub_models(recipe: TrainRecipe) -> list[str]:
    path = recipe.model.path
    is_id = path.count("/") == 1 and not path.startswith((".", "/", "~")) and not Path(path).exists()
    return [f"models/{path}"] if is_id else []


def _hub_data(recipe: TrainRecipe) -> list[str]:
    sources = [recipe.data.train, recipe.data.validation, recipe.data.test]
    return [f"datasets/{one.source}" for one in sources if one is not None and _is_hub_id(one)]


def _is_hub_id(source: ProblemSource) -> bool:
    name = source.source
    is_a_path = name.startswith((".", "/", "~")) or Path(name).expanduser().exists()
    return name not in TASKS and name.count("/") == 1 and not is_a_path and not name.endswith((".jsonl", ".parquet"))


def _is_cached(wanted: str, environment: Mapping[str, str]) -> bool:
    kind, _, name = wanted.partition("/")
    home = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(environment.get("HF_HUB_CACHE") or home / "hub") / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    datasets = Path(environment.get("HF_DATASETS_CACHE") or home / "datasets") / name.replace("/", "___").lower()
    return any(folder.is_dir() and any(folder.iterdir()) for folder in (hub, datasets))


def _answers(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=_HUB_SECONDS):
            return True
    except OSError:
        return False
