"""Several training runs, each in its own process with one thread, finished ones skipped.

Decisions:
- One thread per run: two runs on two cores are faster than one run on two, and sums are added in one order.
- A run is finished if its folder has a summary and its recipe is the one that is asked for. A folder that holds
  another recipe is refused, never overwritten. A run without a summary goes on from its checkpoint, or starts anew.

It does not cover several machines.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.config.stability_schema import GuardSettings

MINI = Path(__file__).parents[1] / "recipes" / "mini"
SEEDS = (1, 2, 3)
MORE_SEEDS = (4, 5)
"""For the guard, whose recipe is short."""


@dataclass(frozen=True)
class SeededRun:
    """A recipe with replaced values, and the seed of its training."""

    name: str
    recipe: Path
    seed: int
    overrides: tuple[str, ...] = ()

    @property
    def settings(self) -> list[str]:
        """What `--set` gets."""
        return [*self.overrides, f"name={self.name}", f"seed={self.seed}"]

    def folder(self, root: Path) -> Path:
        """Where the run is kept."""
        return root / f"{self.name}-seed{self.seed}"


def run_all(runs: Sequence[SeededRun], root: Path, workers: int) -> list[Path]:
    """Make every run that is not finished, `workers` at a time; folders in the order of `runs`. Exits if one fails."""
    root.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        made = [pool.submit(_make, run, root) for run in runs]
        try:
            for one in as_completed(made):
                one.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return [run.folder(root) for run in runs]


def is_finished(run: SeededRun, root: Path) -> bool:
    """Whether the run's folder holds a finished run of the same recipe. Exits if it holds another recipe's run."""
    folder = run.folder(root)
    if not (folder / "recipe.yaml").is_file():
        return False
    made, asked = load_recipe(folder / "recipe.yaml", TrainRecipe), load_recipe(run.recipe, TrainRecipe, run.settings)
    if _what_decides(made) != _what_decides(asked):
        sys.exit(f"{folder} holds a run of another recipe. Move it away, or choose another --out.")
    return (folder / "summary.json").is_file()


def _what_decides(recipe: TrainRecipe) -> TrainRecipe:
    """The thresholds of a guard that is off decide nothing."""
    return recipe if recipe.guard.enabled else recipe.model_copy(update={"guard": GuardSettings()})


def _make(run: SeededRun, root: Path) -> None:
    folder = run.folder(root)
    if is_finished(run, root):
        return
    resume = any(folder.glob("checkpoints/*"))
    if folder.exists() and not resume:
        shutil.rmtree(folder)
    command = [sys.executable, "-m", "frugalrl", "train", str(run.recipe), "--out", str(folder)]
    command += [part for setting in run.settings for part in ("--set", setting)] + ["--resume"] * resume
    print(f"{folder.name}: {'resumed' if resume else 'started'}", flush=True)
    with (root / f"{folder.name}.log").open("a", encoding="utf-8") as log:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
        )
    if done.returncode != 0:
        sys.exit(f"{folder.name} ended with code {done.returncode}; see {log.name}. The command resumes from there.")
    print(f"{folder.name}: done", flush=True)
