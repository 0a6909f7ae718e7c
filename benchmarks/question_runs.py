"""Short training runs in a few processes that import the package once each: what benchmarks/questions.py is made of.

Decisions:
- One thread a process. A run is made in its folder and the last model is evaluated below `end/`; a run that was
  interrupted starts anew, as it takes less than a minute.
- The doctor's checks are skipped: arms that must fail are arms too, and the recipes are examined by tests.
- A model that is trained under a system prompt is evaluated under it, on the same problems.
- One driver works in a folder, and its workers end with it, however it ends: two would write to the same run.
- A run is finished if `end/` is there and its recipe is the one asked for (seeded_runs.py).

It does not cover several machines.
"""

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

from seeded_runs import SeededRun, is_finished

import frugalrl
from frugalrl.evaluation.benchmark_loading import load_benchmark

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
    """Make every run that is not finished, `workers` at a time. An error in one ends the rest.

    Exits if another driver works in the folder.
    """
    root.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    with _alone_in(root), ProcessPoolExecutor(workers, get_context("spawn"), _end_with_the_driver) as pool:
        missing = [job for job in jobs if not is_done(job, root)]
        made = [pool.submit(_make, job, root) for job in missing]
        try:
            for done, one in enumerate(as_completed(made), start=1):
                print(f"{one.result()}: done ({done} of {len(missing)})", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _alone_in(root: Path) -> Iterator[None]:
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"Another driver works in {root}. Wait for it, or choose another --out.") from None
        yield


def _end_with_the_driver() -> None:
    """In a worker: end at once when the driver is gone, even if it was killed. It would go on with what is queued."""
    driver = parent_process()
    assert driver is not None

    def wait() -> None:
        driver.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def is_done(job: SeededRun, root: Path) -> bool:
    """Whether the run has ended and its last model was evaluated. Exits if the folder holds another recipe's run."""
    return is_finished(job, root) and end_of(job, root).is_file()


def end_of(job: SeededRun, root: Path, bench: str = BENCH) -> Path:
    """The evaluation of the last model on a benchmark."""
    return job.folder(root) / END / f"{bench}.jsonl"


def evaluate_once(model: str | Path, bench: str | Sequence[str], out: Path, seed: int = 0) -> None:
    """A sample of each problem, as all arms are evaluated."""
    frugalrl.evaluate(model, bench, k=1, temperature=0.6, max_tokens=CAP, seed=seed, max_sequences=64, out=out)


def asked_under(system: str, folder: Path) -> str:
    """The path of a benchmark of the same name and problems, asked under a system prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": one.id,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": one.text}],
            "answer": one.gold,
            "task": one.check.task,
        }
        for one in load_benchmark(BENCH, None).problems
    ]
    path = folder / f"{BENCH}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _make(job: QuestionRun, root: Path) -> str:
    folder = job.folder(root)
    shutil.rmtree(folder, ignore_errors=True)
    recipe = frugalrl.load_recipe(job.recipe, job.settings)
    frugalrl.train(recipe, out=folder, ignore_doctor=True)
    part = folder / "end.part"
    system = recipe.data.prompt.system
    benches = job.benches if system is None else (asked_under(system, folder / "asked"),)
    evaluate_once(folder / "model", benches, part, job.sampling_seed)
    part.rename(folder / END)
    shutil.rmtree(folder / "checkpoints")  # the last model is in model/
    return folder.name
