"""Short training runs in a few processes that import the package once each: what benchmarks/questions.py is made of.

Decisions:
- One thread a process. A run is made in its folder and the last model is evaluated below `end/`; a run that was
  interrupted starts anew, as it takes less than a minute.
- The doctor's checks are skipped: arms that must fail are arms too, and the recipes are examined by tests.
- A run is finished if `end/` is there and its recipe is the one asked for (seeded_runs.py).

It does not cover several machines.
"""

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from seeded_runs import SeededRun, is_finished

import frugalrl

BENCH, END = "arithmetic", "end"
"""What the last model is evaluated on, and where the result lies in the run's folder."""
CAP = 256
"""Of the evaluation's completions: above all that an arm is trained with."""


@dataclass(frozen=True)
class QuestionRun(SeededRun):
    """A run, and what its last model is evaluated on."""

    benches: tuple[str, ...] = (BENCH,)
    """Names, or files whose names without ending are those of their results."""
    sampling_seed: int = 0


def run_here(jobs: Sequence[QuestionRun], root: Path, workers: int) -> None:
    """Make every run that is not finished, `workers` at a time. An error in one ends the rest."""
    root.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs if not is_done(job, root)]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        made = [pool.submit(_make, job, root) for job in missing]
        try:
            for done, one in enumerate(as_completed(made), start=1):
                print(f"{one.result()}: done ({done} of {len(missing)})", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def is_done(job: SeededRun, root: Path) -> bool:
    """Whether the run has ended and its last model was evaluated. Exits if the folder holds another recipe's run."""
    return is_finished(job, root) and end_of(job, root).is_file()


def end_of(job: SeededRun, root: Path, bench: str = BENCH) -> Path:
    """The evaluation of the last model on a benchmark."""
    return job.folder(root) / END / f"{bench}.jsonl"


def _make(job: QuestionRun, root: Path) -> str:
    folder = job.folder(root)
    shutil.rmtree(folder, ignore_errors=True)
    recipe = frugalrl.load_recipe(job.recipe, job.settings)
    frugalrl.train(recipe, out=folder, ignore_doctor=True)
    part = folder / "end.part"
    frugalrl.evaluate(
        folder / "model",
        job.benches,
        k=1,
        temperature=0.6,
        max_tokens=CAP,
        seed=job.sampling_seed,
        max_sequences=64,
        out=part,
    )
    part.rename(folder / END)
    shutil.rmtree(folder / "checkpoints")  # the last model is in model/
    return folder.name
