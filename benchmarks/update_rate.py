"""How near an update comes to the machine's matrix rate: `python benchmarks/update_rate.py`.

The whole update (log-probs, loss, backward pass, optimizer, with and without a reference) on given completions of
random models, against the time that its matrix products alone take at the rate measured in the same run. Products
counted: 2 operations a parameter and token forward, 4 backward; a prompt once for its group, no padding. Products of
attention are left out. Nothing is sampled.
"""

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import Others, description, limits
from benchmarks.random_policy import random_policy

RECORD = Path(__file__).parent / "records" / "update_rate.json"
SHAPES = {"1M": (128, 384, 4, 4, 2, 512), "10M": (384, 1152, 6, 6, 2, 2048), "100M": (768, 2304, 12, 12, 4, 8192)}
"""Hidden, intermediate, layers, heads, key/value heads, vocabulary."""
LENGTHS = {"short": (24, 3.5, 0.45, 115), "spread": (60, 5.2, 0.8, 512)}
"""Prompt tokens; completion tokens are log-normal, with a cap."""


def make_policy(size: str) -> Any:
    """A random Qwen2 of about that many parameters."""
    *shape, vocabulary = SHAPES[size]
    return random_policy(size, shape, vocabulary)


def make_rows(vocabulary: int, lengths: str) -> list[Any]:
    """8 prompts x 8 completions of random tokens."""
    from frugalrl.training.batching import TrainingRow

    prompt_tokens, mean, deviation, cap = LENGTHS[lengths]
    draw = random.Random(0)
    rows = []
    for _ in range(8):
        prompt = tuple(draw.randrange(vocabulary) for _ in range(prompt_tokens))
        for _ in range(8):
            count = min(cap, max(4, int(draw.lognormvariate(mean, deviation))))
            ids = tuple(draw.randrange(vocabulary) for _ in range(count))
            every = (True,) * count
            rows.append(TrainingRow(prompt, ids, (-6.0,) * count, draw.gauss(0, 1), 4e-4, every, (0,) * count))
    return rows


def measured(size: str, lengths: str, kl_coef: float, flops: float, repeats: int) -> dict[str, Any]:
    """Seconds of an update, after one that is not counted."""
    import torch

    from frugalrl.algorithms.losses import LossRule
    from frugalrl.config.optimizer_schema import OptimizerSettings
    from frugalrl.training.batching import CPU_MICRO_BATCH_TOKENS, micro_batches
    from frugalrl.training.model.optimizer import MasterOptimizer
    from frugalrl.training.update import UpdateSettings, update_policy

    policy, reference = make_policy(size), make_policy(size) if kl_coef else None
    optimizer = MasterOptimizer(policy.model, OptimizerSettings(learning_rate=1e-6))
    settings = UpdateSettings(LossRule(kl_coef=kl_coef), 1, 1.0, 1024, True)
    rows = make_rows(SHAPES[size][-1], lengths)
    wall, cpu = [], []
    for _ in range(repeats + 1):
        began, busy = time.perf_counter(), time.process_time()
        batches = micro_batches(rows, CPU_MICRO_BATCH_TOKENS, torch.device("cpu"), even=True)
        update_policy(policy, reference, optimizer, batches, settings, 1.0)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - busy)
    tokens = sum(len(batch.input_ids) for batch in batches)
    parameters = sum(p.numel() for p in policy.model.parameters())
    least = tokens * parameters * (8 if kl_coef else 6) / flops
    return {
        "size": size,
        "lengths": lengths,
        "kl_coef": kl_coef,
        "parameters": parameters,
        "tokens": tokens,
        "tokens_of_padded_rows": len(rows) * max(len(row.prompt_ids) + len(row.completion_ids) for row in rows),
        "wall_seconds": wall[1:],
        "cpu_seconds": cpu[1:],
        "products_alone_seconds": least,
        "share_of_matrix_rate": least / statistics.median(cpu[1:]),
    }


def _case(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["size"], row["lengths"], row["kl_coef"]


def main() -> None:
    """The cases that are asked for, a table; they are added to the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=tuple(SHAPES), default=["1M", "10M"])
    parser.add_argument("--lengths", nargs="+", choices=tuple(LENGTHS), default=list(LENGTHS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    others, began = Others(), time.process_time()
    best = limits(threads=1)
    rows = json.loads(arguments.out.read_text(encoding="utf-8"))["rows"] if arguments.out.is_file() else []
    for size in arguments.sizes:
        for lengths in arguments.lengths:
            for kl_coef in (0.0, 0.04):
                best["matrix_flops"] = max(best["matrix_flops"], limits(threads=1)["matrix_flops"])
                row = measured(size, lengths, kl_coef, best["matrix_flops"], arguments.repeats)
                rows = [one for one in rows if _case(one) != _case(row)] + [row]
                print(
                    f"{size:5} {lengths:7} beta {kl_coef:.2f}: {statistics.median(row['cpu_seconds']):7.2f} s of "
                    f"processor time, {row['share_of_matrix_rate']:.0%} of the matrix rate",
                    flush=True,
                )
    record = {"machine": description(), "limits": best, "others_cpu_share": others.share(time.process_time() - began)}
    arguments.out.write_text(json.dumps({**record, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"record: {arguments.out}")


if __name__ == "__main__":
    main()
