"""Runs that are killed with SIGKILL at seeded random moments, resumed, and compared with one that was left alone.

    python -m tests.training.state.kill_runs FOLDER TRIALS SEED

Writes one JSON object a line: first the phases of the run that was left alone, then a line for each trial. One process
imports torch and loads what every run loads, and forks the runs from itself, because that costs more than a run; it
computes nothing in threads (OMP_NUM_THREADS=1), so there are none to lose in a fork. A run is the command:
`frugalrl train RECIPE --out FOLDER [--resume]`.

Every run reports its phases over a pipe. A kill waits for the n-th report of a phase, then for a part of the time that
this phase takes, drawn at random; a held kill stops the run right there, so that it falls between two given lines.
"""

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

import frugalrl.cli
import frugalrl.reporting.report
import frugalrl.training.state.checkpoint as checkpoint_module
import frugalrl.training.state.run_folder
from frugalrl.config.schema import ModelSettings
from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.text.language_id import load_identifier
from frugalrl.training import saving
from frugalrl.training.limits.clock import PhaseClock
from frugalrl.training.model.policy import load_policy

RECIPE = {
    "name": "killed",
    "seed": 3,
    "data": {
        "train": {"limit": 12},
        "validation": {"split": "validation", "limit": 3},
        "test": {"split": "test", "limit": 2},
    },
    "rewards": [{"name": "accuracy"}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 2, "group_size": 3, "max_prompt_tokens": 128, "max_completion_tokens": 32},
    "algorithm": {"loss": {"kl_coef": 0.04}, "updates_per_batch": 2},
    "optimizer": {"learning_rate": 4e-4},
    "evaluation": {"every": 2, "samples_per_problem": 1, "max_sequences": 8},
    "training": {"steps": 5, "save_every": 2, "keep_last": 1, "keep_steps": [2]},
    "budget": {"usd_per_hour": 0.5, "tokens": 10000000},
}
# What is reported as a run goes: the phases of its clock, and inside a save where between two renames it stands.
LOAD = "load"
SAVE = ("save: written, not flushed", "save: flushed, not renamed", "save: renamed, not pointed at", "save: rotating")
ATTEMPTS = 5
HELD = (*SAVE[1:], "rollout", "update", "evaluation")


@dataclass(frozen=True)
class Kill:
    phase: str
    occurrence: int
    delay_seconds: float
    is_held: bool


@dataclass(frozen=True)
class Life:
    """One process from its start to its end."""

    reports: list[tuple[float, str]]
    was_killed: bool

    @property
    def last_phase(self) -> str:
        return self.reports[-1][1] if self.reports else LOAD


def live(arguments: list[str], output: Path, kill: Kill | None) -> Life:
    """Fork a run, watch its phases, and kill it if and when `kill` says so."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become_a_run(arguments, output, writing, kill if kill is not None and kill.is_held else None)
    os.close(writing)
    reports: list[tuple[float, str]] = []
    was_killed = False
    with os.fdopen(reading) as lines:
        for line in lines:
            reports.append((time.monotonic(), line.strip()))
            if kill is not None and not was_killed and _count(reports, kill.phase) == kill.occurrence:
                time.sleep(kill.delay_seconds)
                os.kill(child, signal.SIGKILL)
                was_killed = True  # what is still in the pipe is read to its end
    _, status = os.waitpid(child, 0)
    if not was_killed and status != 0:
        raise SystemExit(f"a run ended with status {status}:\n{output.read_text()}")
    return Life(reports, os.WIFSIGNALED(status))


def _count(reports: list[tuple[float, str]], phase: str) -> int:
    return sum(name == phase for _, name in reports)


def _become_a_run(arguments: list[str], output: Path, writing: int, held: Kill | None) -> None:
    with output.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    seen: Counter[str] = Counter()

    def report(phase: str) -> None:
        os.write(writing, f"{phase}\n".encode())
        seen[phase] += 1
        if held is not None and (phase, seen[phase]) == (held.phase, held.occurrence):
            time.sleep(120)  # the kill comes

    _report_phases(report)
    code = 1
    try:
        code = frugalrl.cli.main(arguments)
    finally:
        os._exit(code)


def _report_phases(report) -> None:
    timed, flush = PhaseClock.timed, checkpoint_module.flush_and_drop_cache
    write_manifest, point, rotate = checkpoint_module.write_manifest, saving.point, saving.rotate

    def reported(function, before: str):
        def wrapper(*arguments):
            report(before)
            return function(*arguments)

        return wrapper

    def flushed(*arguments):
        report(SAVE[0])
        flush(*arguments)

    def with_manifest(*arguments):
        write_manifest(*arguments)
        report(SAVE[1])

    PhaseClock.timed = lambda clock, phase: (report(phase), timed(clock, phase))[1]
    checkpoint_module.flush_and_drop_cache = flushed
    checkpoint_module.write_manifest = with_manifest
    saving.point = reported(point, SAVE[2])
    saving.rotate = reported(rotate, SAVE[3])


def outcome(folder: Path) -> dict[str, object]:
    """What two runs must share: weights, log without the clock, samples, evaluations, summary, checkpoints' weights."""
    summary = json.loads((folder / "summary.json").read_text())
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir() if path.is_dir())
    files = [folder / "samples.jsonl", *sorted((folder / "evaluations").iterdir())]
    files += [folder / "model" / "model.safetensors"]
    files += [file for name in kept for file in sorted((folder / "checkpoints" / name).rglob("*.safetensors"))]
    return {
        "metrics": [without_times(line) for line in read_metrics(folder)],
        "summary": {key: summary[key] for key in ("base", "final", "difference", "steps", "kept_step", "choice")},
        "checkpoints": kept,
        "files": {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        "left over": [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name != ".lock"],
    }


def durations(reports: list[tuple[float, str]]) -> dict[str, float]:
    """The longest time that each phase lasted."""
    longest: dict[str, float] = {}
    for (start, phase), (end, _) in itertools.pairwise(reports):
        longest[phase] = max(longest.get(phase, 0.0), end - start)
    return longest


def plan(trial: int, rng: random.Random, reports: list[tuple[float, str]]) -> Kill:
    """A seeded moment; the first trials are held at each place that must be hit."""
    seconds = durations(reports)
    is_held = trial < len(HELD)
    phase = HELD[trial] if is_held else rng.choice(["rollout", "update", "evaluation", "checkpoint", SAVE[0]])
    occurrence = rng.randint(1, _count(reports, phase))
    return Kill(phase, occurrence, 0.0 if is_held else rng.uniform(0.0, seconds[phase]), is_held)


def _say(values: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main(folder: Path, trials: int, seed: int) -> None:
    torch.set_num_threads(1)
    load_policy(ModelSettings())
    load_identifier()
    rng = random.Random(seed)
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(RECIPE))  # JSON is YAML

    def command(run: str, *extra: str) -> list[str]:
        return ["train", str(recipe), "--out", str(folder / run), *extra]

    whole = live(command("whole"), folder / "whole.txt", None)
    expected = outcome(folder / "whole")
    _say({"phases": Counter(phase for _, phase in whole.reports)})
    for trial in range(trials):
        name, killed_in = f"trial-{trial:02d}", []
        for _ in range(ATTEMPTS):  # a machine that is faster now can have passed the moment: then another one
            shutil.rmtree(folder / name, ignore_errors=True)
            kill = plan(trial, rng, whole.reports)
            life = live(command(name), folder / f"{name}.txt", kill)
            if life.was_killed:  # a save that is held stands where it is, whatever the run does beside it
                killed_in.append(kill.phase if kill.is_held else life.last_phase)
                break
        if life.was_killed and rng.random() < 0.25:  # the machine dies again soon after
            again = Kill("rollout", 1, rng.uniform(0.0, 0.1), False)
            life = live(command(name, "--resume"), folder / f"{name}.txt", again)
            if life.was_killed:
                killed_in.append(life.last_phase)
        if life.was_killed:
            live(command(name, "--resume"), folder / f"{name}.txt", None)
        found = outcome(folder / name)
        differs = [key for key, value in expected.items() if found[key] != value]
        _say({"trial": trial, "killed_in": killed_in, "differs": differs})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
