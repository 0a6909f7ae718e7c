"""One step off policy on the quickstart: what it costs in learning, and what it saves of the clock (docs/servers.md).

- ``learning``: the recipe with seeds 1, 2, 3, on policy and one step off. A second copy of the weights in the same
  process stands for the server: it samples exactly what the engine in process samples from the same weights and seeds,
  so the runs differ in nothing but the step between the weights that sample and those that learn. Clock-free; finished
  runs are skipped.
- ``seconds``: a real vLLM server (--environment) on processor 0 and the trainer on processor 1, first on policy, then
  one step off. Nothing else may run on either.

Writes records/one_step_off.json, a part at a time, and the table of docs/servers.md from what is there.
"""

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

from doc_tables import put

from frugalrl.config.engine_schema import VllmEngineSettings
from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.reporting.run_log import read_metrics
from frugalrl.reporting.summary import versions
from frugalrl.rollout import factory
from frugalrl.rollout.engine import RolloutEngine, SharedModel, WeightSource
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training import run as run_module
from frugalrl.training.trainer import train

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.yaml"
RECORD = Path(__file__).parent / "records" / "one_step_off.json"
KINDS = {"on policy": False, "one step off": True}
WARM_UP = 3
"""Steps that are left out of seconds: a server's first requests are slower, and the first step samples two batches."""


class CopyEngine(TorchEngine):
    """Samples with weights of its own, which change only when they are loaded, as a server's do."""

    def __init__(self, model: Any, end_token_ids: frozenset[int], max_sequences: int) -> None:
        self._own = copy.deepcopy(model)
        super().__init__(self._own, end_token_ids, max_sequences)

    def load_weights(self, source: WeightSource, policy_version: int) -> None:
        """Take over what the weights are now."""
        assert isinstance(source, SharedModel)
        self._own.load_state_dict(source.model.state_dict())
        super().load_weights(SharedModel(self._own), policy_version)


def copy_engine(
    settings: VllmEngineSettings, model: Any, end_token_ids: frozenset[int], max_sequences: int, needs: object
) -> RolloutEngine:
    """In place of the engine behind servers."""
    return CopyEngine(model, end_token_ids, max_sequences)


# ------------------------------------------------------------------------------------------------- learning


def learn(kind: str, seed: int, folder: Path, more: Sequence[str] = ()) -> None:
    """A run in this process, which is given up to it: the engine behind servers is replaced in all of it."""
    engine = "rollout.engine={kind: vllm, url: 'http://copy'}"
    settings = [f"seed={seed}", f"name={kind.replace(' ', '-')}", engine, *more]
    recipe = load_recipe(RECIPE, TrainRecipe, [*settings, f"rollout.one_step_off={str(KINDS[kind]).lower()}"])
    factory._BUILDERS = {**factory._BUILDERS, VllmEngineSettings: copy_engine}
    run_module.check_reachable = lambda settings: None
    folder.mkdir(parents=True)
    train(recipe, folder, show=lambda line: print(line, flush=True))


def learned(folder: Path) -> dict[str, Any]:
    """What a finished run learned, and how far from its policy it sampled."""
    rows = read_metrics(folder)
    steps = [row for row in rows if "time/rollout" in row]
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {
        "validation": {row["step"]: row["validation/avg_at_k"] for row in rows if "validation/avg_at_k" in row},
        "mean_reward": mean(row["reward/mean"] for row in steps),
        "clipped": mean(row["policy/clipped_frac"] for row in steps),
        "staleness": mean(row["policy/staleness"] for row in steps[1:]),
        "base": summary["base"]["avg_at_k"],
        "final": summary["final"]["avg_at_k"],
    }


def make(kind: str, seed: int, folder: Path) -> int:
    """The exit status of a run in a process of its own; 0 at once for one that is finished."""
    if (folder / "summary.json").is_file():
        return 0
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, __file__, "--one", kind, str(seed), str(folder)]
    with Path(f"{folder}.log").open("w", encoding="utf-8") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, stdout=log, stderr=log, env=environment, check=False).returncode


def learning(out: Path, seeds: Sequence[int], workers: int) -> dict[str, Any]:
    """All runs, and what they learned."""
    jobs = [(kind, seed, out / f"{kind.replace(' ', '-')}-seed{seed}") for seed in seeds for kind in KINDS]
    with ThreadPoolExecutor(workers) as pool:
        codes = list(pool.map(lambda job: make(*job), jobs))
    if any(codes):
        sys.exit(f"{sum(map(bool, codes))} runs failed; see the logs in {out}.")
    found = {kind: [learned(folder) for one, _, folder in jobs if one == kind] for kind in KINDS}
    return {"seeds": list(seeds), **found}


# -------------------------------------------------------------------------------------------------- seconds


def seconds(out: Path, environment: Path, steps: int) -> dict[str, Any]:
    """The steps of a run of each kind, on a processor each for server and trainer."""
    pinned = out / "pinned" / "bin" / "python"
    pinned.parent.mkdir(parents=True, exist_ok=True)
    pinned.write_text(f'#!/bin/sh\nexec taskset -c 0 {environment.absolute() / "bin" / "python"} "$@"\n')
    pinned.chmod(0o755)
    engine = f"{{kind: vllm, launch: true, environment: '{pinned.parents[1]}', arguments: [--enforce-eager]}}"
    found = {}
    for kind, is_off in KINDS.items():
        folder = out / f"seconds-{kind.replace(' ', '-')}"
        shutil.rmtree(folder, ignore_errors=True)
        settings = [f"rollout.engine={engine}", f"rollout.one_step_off={str(is_off).lower()}"]
        settings += [f"training.steps={steps}", "data.validation=null", "data.test=null", "guard.enabled=false"]
        command = ["taskset", "-c", "1", sys.executable, "-m", "frugalrl", "train", str(RECIPE), "--out", str(folder)]
        command += ["--ignore-doctor", *(part for one in settings for part in ("--set", one))]
        own = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
        load = os.getloadavg()[0]
        with Path(f"{folder}.log").open("w", encoding="utf-8") as log:
            if subprocess.run(command, stdout=log, stderr=log, env=own, check=False).returncode:
                sys.exit(f"The run failed; see {log.name}.")
        rows = [row for row in read_metrics(folder) if "time/rollout" in row][WARM_UP:]
        parts = {name: median(row[name] for row in rows) for name in ("time/rollout", "time/update", "sync/seconds")}
        walls = [after["unix_time"] - before["unix_time"] for before, after in pairwise(rows)]
        found[kind] = {**parts, "step": median(walls), "steps": len(walls), "load_before": load}
    return found


# ----------------------------------------------------------------------------------------------------- pages


def table(record: dict[str, Any]) -> str:
    """The rows of docs/servers.md."""
    lines = ["| quickstart | on policy | one step off |", "|---|---|---|"]
    if "learning" in record:
        runs = record["learning"]
        seeds = ", ".join(map(str, runs["seeds"]))
        halfway = {kind: f"{100 * mean(one['validation']['25'] for one in runs[kind]):.1f} %" for kind in KINDS}
        gains = {kind: ", ".join(f"{100 * one['final']:.1f}" for one in runs[kind]) + " %" for kind in KINDS}
        rewards = {kind: f"{mean(one['mean_reward'] for one in runs[kind]):.3f}" for kind in KINDS}
        lines += [
            f"| validation after step 25, mean of seeds {seeds} | {halfway['on policy']} | {halfway['one step off']} |",
            f"| reward, mean of all steps | {rewards['on policy']} | {rewards['one step off']} |",
            f"| test, kept checkpoint, seeds {seeds} | {gains['on policy']} | {gains['one step off']} |",
        ]
    if "seconds" in record:
        one, other = (record["seconds"][kind] for kind in KINDS)
        names = {"time/rollout": "rollout", "time/update": "update and weights", "sync/seconds": "of it weights, probe"}
        lines += [f"| seconds: {name} | {one[key]:.2f} | {other[key]:.2f} |" for key, name in names.items()]
        lines.append(f"| seconds: the whole step | {one['step']:.2f} | {other['step']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("learning", "seconds"), help="default: both")
    parser.add_argument("--out", type=Path, default=Path("runs/one-step-off"))
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--environment", type=Path, default=Path(".venv-vllm"), help="with vLLM, for seconds")
    parser.add_argument("--steps", type=int, default=25, help="of a run of seconds")
    parser.add_argument("--one", nargs=3, metavar=("KIND", "SEED", "FOLDER"), help="a run of learning, here")
    chosen = parser.parse_args()
    if chosen.one:
        learn(chosen.one[0], int(chosen.one[1]), Path(chosen.one[2]))
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    if chosen.only != "seconds":
        record["learning"] = {"versions": versions(), **learning(chosen.out, chosen.seeds, chosen.workers)}
    if chosen.only != "learning":
        record["seconds"] = {"versions": versions(), **seconds(chosen.out, chosen.environment, chosen.steps)}
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    put("servers.md", "one step off", table(json.loads(RECORD.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
