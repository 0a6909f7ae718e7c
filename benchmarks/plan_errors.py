"""The plan against runs on this machine, and against the logs that Open-RS released.

    python benchmarks/plan_errors.py [--size 0.9M ...] [--out benchmarks/records/plan_errors.json] [--docs]
    python benchmarks/plan_errors.py --history [--docs]        # needs the shared data, computes for seconds

Each size is planned with `frugalrl plan --measure`, and then trained for a few steps by `frugalrl train`, both in
processes of their own, one after the other. The memory measured is the resident set at its largest, by the operating
system; a step is the median of those after the first, by the run's own log. Larger models have random weights, so their
completions run to the cap; the plan takes its lengths from the same model. Options of the optimizer, adapters and bf16
have a run each at 10 M; nothing was fitted at 27 M. `--docs` writes the tables of docs/plan.md.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doc_tables import put
from machine import Others, description
from released_logs import compared, errors, read_logs
from released_logs import table as logs_table

from frugalrl.training.model.policy import resolve_model_path

RECORD = Path(__file__).parent / "records" / "plan_errors.json"
LOGS_RECORD = RECORD.with_name("released_logs.json")


@dataclass(frozen=True)
class Size:
    """A model, and a run that takes a minute or two of one core."""

    name: str
    shape: dict[str, int] | None
    """What differs from the tiny model's configuration; None: the tiny model itself, with its weights."""
    steps: int
    prompts: int
    sets: tuple[str, ...] = ()


SMALL = {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 6}
SIZES = (
    Size("0.9M", None, 12, 8),
    Size("10M", SMALL, 5, 4),
    Size(
        "100M",
        {
            "hidden_size": 768,
            "intermediate_size": 2304,
            "num_hidden_layers": 14,
            "num_attention_heads": 12,
            "num_key_value_heads": 4,
        },
        3,
        1,
    ),
    Size("10M, LoRA", SMALL, 3, 4, ("model.lora={}",)),
    Size("10M, 8 bits", SMALL, 3, 4, ("optimizer.state_bits=8",)),
    Size("10M, bf16", SMALL, 3, 4, ("model.dtype=bfloat16",)),
    Size(
        "27M",
        {
            "hidden_size": 512,
            "intermediate_size": 1536,
            "num_hidden_layers": 9,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
        },
        3,
        2,
    ),
)


def main() -> None:
    """Measure, keep the record, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", action="append", choices=[size.name for size in SIZES])
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--docs", action="store_true", help="write the table of docs/plan.md from the record")
    parser.add_argument("--history", action="store_true", help="the released logs instead of runs on this machine")
    arguments = parser.parse_args()
    if arguments.history:
        history(arguments.docs)
        return
    record = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {"runs": {}}
    record["machine"] = {**description(), "threads": os.environ.get("OMP_NUM_THREADS")}
    for size in SIZES:
        if arguments.size is None or size.name in arguments.size:
            record["runs"][size.name] = one_size(size)
            arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            print(json.dumps({size.name: record["runs"][size.name]}), flush=True)
    if arguments.docs:
        put("plan.md", "prediction errors", table(record))


def history(writes_docs: bool) -> None:
    """Predict every released log, keep the record, and write the page if asked."""
    rows = compared(read_logs())
    LOGS_RECORD.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(errors(rows))
    if writes_docs:
        put("plan.md", "released logs", f"{logs_table(rows)}\n{errors(rows)}\n")


def one_size(size: Size) -> dict[str, Any]:
    """What is planned, and what is measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = [f"training.steps={size.steps}", f"rollout.prompts_per_step={size.prompts}", "data.test=null"]
        sets += ["data.train.limit=64", "data.validation.limit=16", "evaluation.samples_per_problem=2"]
        sets += ["evaluation.every=null", "training.save_every=null", *size.sets]
        if size.shape is not None:
            sets.append(f"model.path={random_model(folder / 'model', size.shape)}")
        words = [word for one in sets for word in ("--set", one)]
        planned = json.loads(frugalrl(["plan", "quickstart", *words, "--measure", "--json"])[0])[0]
        others, began = Others(), time.perf_counter()
        out = folder / "run"
        _, used = frugalrl(["train", "quickstart", *words, "--ignore-doctor", "--out", str(out)])
        wall = time.perf_counter() - began
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        steps = [sum(line[f"time/{phase}"] for phase in ("rollout", "reward", "update")) for line in lines
                 if "time/rollout" in line]  # fmt: skip
        return {
            "steps": size.steps,
            "planned": {
                "peak_gb": planned["peak_gb"],
                "formula_gb": max(sum(planned["memory"]["held"].values()) + sum(planned["memory"][phase].values())
                                  for phase in ("sampling", "updating")),
                "step_seconds": sum(planned["step_seconds"].values()),
                "hours": planned["hours"],
            },
            "measured": {
                "peak_gb": used.ru_maxrss * 1024 / 1e9,
                "step_seconds": statistics.median(steps[1:]),
                "steps": steps,
                "hours": wall / 3600,
                "taken_by_others": others.share(used.ru_utime + used.ru_stime),
            },
        }  # fmt: skip


def frugalrl(words: list[str]) -> tuple[str, Any]:
    """What the command prints, and what its process used; exits where it fails."""
    process = subprocess.Popen([sys.executable, "-m", "frugalrl", *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"frugalrl {' '.join(words)} ended with {process.returncode}.\n{printed}")
    return printed, used


def random_model(folder: Path, shape: dict[str, int]) -> Path:
    """The tiny model's tokenizer and template, with random weights of another shape."""
    import torch
    import transformers

    source = resolve_model_path("builtin:tiny")
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model*"))
    config = transformers.AutoConfig.from_pretrained(source)
    for key, value in {"head_dim": 64, **shape}.items():
        setattr(config, key, value)
    config.layer_types = ["full_attention"] * config.num_hidden_layers
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


def table(record: dict[str, Any]) -> str:
    """A row for each figure of each size."""
    lines = ["| what | predicted | measured | error |", "|---|---|---|---|"]
    for name, run in record["runs"].items():
        planned, measured = run["planned"], run["measured"]
        hours = {end: 60 * value for end, value in planned["hours"].items()}
        rows = [
            ("peak, by the code on fake tensors", planned["peak_gb"], measured["peak_gb"], "GB", ""),
            ("peak, by the formula", planned["formula_gb"], measured["peak_gb"], "GB", ""),
            ("a step", planned["step_seconds"], measured["step_seconds"], "s", ""),
            (
                "the whole run",
                hours["value"],
                60 * measured["hours"],
                "min",
                f" [{hours['low']:.2f}, {hours['high']:.2f}]",
            ),
        ]
        for what, predicted, seen, unit, interval in rows:
            shown = f"{predicted:.2f} {unit}{interval} | {seen:.2f} {unit}"
            lines.append(f"| {name}: {what} | {shown} | {predicted / seen - 1:+.0%} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
