"""How cost grows: `python benchmarks/cost_curves.py`, and `--figures` draws what docs/cost-curves.md shows.

A rollout and an update (with a reference) of random models on random prompts of 48 tokens, all completions of the same
length. One of length, group size, model size and cores changes, the rest stays at 8 prompts x 8, 64 tokens, 1 M.
Seconds are of the clock, the least of some repeats; on one core they are of processor time, which others disturb less.
`--cores N` adds steps on up to N cores, alone and beside N processes that compute all the time, both by the clock.
"""

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.doc_tables import put
from benchmarks.figure_files import figure_file
from benchmarks.random_policy import random_policy

from frugalrl.reporting.figures import Point, Series
from frugalrl.threads import settle_threads

ROOT = Path(__file__).parents[1]
RECORD = Path(__file__).parent / "records" / "cost_curves.json"
FIGURES = ROOT / "docs" / "figures"
SHAPES = {"0.3M": (64, 192, 4, 2, 1), "1M": (128, 384, 4, 4, 2), "3M": (192, 576, 6, 6, 2), "10M": (384, 1152, 6, 6, 2)}
"""Hidden, intermediate, layers, heads, key/value heads; the vocabulary is 512."""
PROMPTS, PROMPT_TOKENS, VOCABULARY = 8, 48, 512
PHASES = ("rollout", "update")


@dataclass(frozen=True)
class Case:
    """A step."""

    curve: str
    length: int = 64
    group_size: int = 8
    size: str = "1M"
    cores: int = 1
    busy: int = 0
    """Other processes that compute meanwhile."""


def cases(cores: int) -> Iterator[Case]:
    """Every point of every curve."""
    yield from (Case("length", length=length) for length in (16, 32, 64, 128, 256, 512, 1024))
    yield from (Case("group", group_size=size) for size in (2, 4, 8, 16, 32, 64))
    yield from (Case("size", size=size) for size in SHAPES)
    for count in range(1, cores + 1):
        yield Case("cores", group_size=16, cores=count)
        if cores > 1:
            yield Case(BUSY, group_size=16, cores=count, busy=cores)


def measured(case: Case, repeats: int) -> dict[str, Any]:
    """Seconds of a rollout and of an update."""
    import torch

    from frugalrl.algorithms.losses import LossRule
    from frugalrl.config.schema import OptimizerSettings
    from frugalrl.rollout.engine import RolloutRequest, SamplingParams
    from frugalrl.rollout.torch_engine import TorchEngine
    from frugalrl.training.batching import CPU_MICRO_BATCH_TOKENS, TrainingRow, micro_batches
    from frugalrl.training.model.optimizer import MasterOptimizer
    from frugalrl.training.update import UpdateSettings, update_policy

    torch.set_num_threads(case.cores)
    policy, reference = (random_policy(case.size, SHAPES[case.size], VOCABULARY) for _ in range(2))
    draw = random.Random(0)
    prompts = [tuple(draw.randrange(VOCABULARY) for _ in range(PROMPT_TOKENS)) for _ in range(PROMPTS)]
    engine = TorchEngine(policy.model, frozenset({VOCABULARY}), PROMPTS * case.group_size)  # an end that is never drawn
    requests = [RolloutRequest(prompt, tuple(range(case.group_size))) for prompt in prompts]
    sampled = engine.generate(requests, SamplingParams(case.length))
    every = (True,) * case.length
    rows = [
        TrainingRow(prompt, one.token_ids, one.logprobs, draw.gauss(0, 1), 4e-4, every, (0,) * case.length)
        for prompt, group in zip(prompts, sampled, strict=True)
        for one in group
    ]
    optimizer = MasterOptimizer(policy.model, OptimizerSettings(learning_rate=1e-6))
    settings = UpdateSettings(LossRule(kl_coef=0.04), 1, 1.0, 1024, True)

    def update() -> None:
        batches = micro_batches(rows, CPU_MICRO_BATCH_TOKENS, torch.device("cpu"), even=True)
        update_policy(policy, reference, optimizer, batches, settings, 1.0)

    clock = time.process_time if case.cores == 1 and not case.busy else time.perf_counter
    times: dict[str, list[float]] = {"rollout": [], "update": []}
    with computing(case.busy):
        for repeat in range(repeats + 1):
            for name, run in (
                ("rollout", lambda: engine.generate(requests, SamplingParams(case.length))),
                ("update", update),
            ):
                began = clock()
                run()
                if repeat > 0:
                    times[name].append(clock() - began)
    return {**asdict(case), "tokens": PROMPTS * case.group_size * case.length, **times}


@contextlib.contextmanager
def computing(count: int) -> Iterator[None]:
    """Beside so many processes that never wait."""
    loops = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


BUSY = "busy"
"""A curve without a figure: see `busy_line`."""
TITLES = {
    "length": ("By completion length, ms per 1,000 tokens", "completion tokens", lambda case: float(case["length"])),
    "group": ("By group size, ms per 1,000 tokens", "completions of a prompt", lambda case: float(case["group_size"])),
    "size": ("By model size, ms per 1,000 tokens", "million parameters", lambda case: float(case["size"][:-1])),
    "cores": ("By cores, ms per 1,000 tokens", "cores", lambda case: float(case["cores"])),
}


def draw_figures(record: dict[str, Any], folder: Path) -> None:
    """A figure a curve: milliseconds per 1,000 completion tokens, of the rollout and of the update."""
    for curve, (title, label, place) in TITLES.items():
        points = sorted((row for row in record["points"] if row["curve"] == curve), key=place)
        if not has_curve(record, curve):
            continue
        series = [
            Series(name, [Point(place(row), 1e6 * min(row[name]) / row["tokens"]) for row in points], slot)
            for slot, name in enumerate(PHASES)
        ]
        text = figure_file(title, series, label)
        (folder / f"cost-{curve}.svg").write_text(text, encoding="utf-8")


def has_curve(record: dict[str, Any], curve: str) -> bool:
    """Whether there is a line to draw."""
    return sum(row["curve"] == curve for row in record["points"]) > 1


def take_over(points: list[dict[str, Any]], curve: str) -> str:
    """Which phase costs more along a curve, and from where."""
    place = TITLES[curve][2]
    rows = sorted((row for row in points if row["curve"] == curve), key=place)
    larger = [
        "rollout" if statistics.median(row["rollout"]) > statistics.median(row["update"]) else "update" for row in rows
    ]
    parts = [f"{larger[0]} from the start"]
    parts += [
        f"{now} from {place(row):g}"
        for before, now, row in zip(larger, larger[1:], rows[1:], strict=False)
        if now != before
    ]
    return f"By {TITLES[curve][1]}, the phase that costs more: {', '.join(parts)}."


def busy_line(points: list[dict[str, Any]]) -> list[str]:
    """How long a step takes on several cores of a busy machine, against one core of it."""
    rows = {row["cores"]: row for row in points if row["curve"] == BUSY}
    one = rows.get(1)
    return [
        f"- On {cores} cores, beside {row['busy']} processes that compute: "
        + " and ".join(f"{name} {statistics.median(row[name]) / statistics.median(one[name]):.2f}" for name in PHASES)
        + " of the time on one."
        for cores, row in sorted(rows.items())
        if one is not None and cores > 1
    ]


def main() -> None:
    """Measure, write the record, or draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1, help="the most cores of their curve")
    parser.add_argument("--only", nargs="+", choices=(*TITLES, BUSY), default=(*TITLES, BUSY))
    parser.add_argument("--figures", action="store_true", help="measure nothing: draw the record")
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    settle_threads()  # as every command does, before torch is loaded
    from benchmarks.machine import Others, description, limits

    record = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {"points": []}
    if not arguments.figures:
        others, began = Others(), time.process_time()
        kept = [row for row in record["points"] if row["curve"] not in arguments.only]
        fresh = []
        for case in cases(arguments.cores):
            if case.curve in arguments.only:
                fresh.append(measured(case, arguments.repeats))
                one = fresh[-1]
                print(f"{case}: rollout {min(one['rollout']):.3f} s, update {min(one['update']):.3f} s", flush=True)
        share = others.share(time.process_time() - began)
        about = {"machine": description(), "limits": limits(1), "others_cpu_share": share}
        record = {**about, "points": kept + fresh}
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draw_figures(record, FIGURES)
    lines = [f"- {take_over(record['points'], curve)}" for curve in TITLES if has_curve(record, curve)]
    lines += busy_line(record["points"])
    put("cost-curves.md", "take over", "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
