"""A whole GRPO step, ours against TRL's GRPOTrainer: `python benchmarks/grpo_step.py`.

Sampling, reward, reference, loss, backward pass, optimizer: both trainers run as their users run them, on the same
weights, prompts, group size, temperature, cap, learning rate, reward function, dtype and number of threads. The time is
that between the ends of two steps, the first left out.

- short: the shipped reasoner on arithmetic, 8 prompts x 8, cap 96.
- spread: random weights of the same shape whose end token has a probability of 1/180 at every position, so lengths are
  geometric: 1 to the cap of 512, which 6 % reach. Open-RS's lengths (500 to 3,584) are as spread; they are scaled down.

Completions are sampled and not forced, from equal distributions: at a learning rate of 1e-9 the weights stay where they
are, and the record holds the mean length on both sides. That loss and gradient agree on given completions is
`trl_parity.py`'s to show. TRL gets its faster cut: one forward pass of 64 rows, or four of 16. The sides take turns,
--rounds times, so that a minute in which the machine is slower meets all of them.

TRL runs in an environment of its own (`--trl-python`, or made under `.bench`).
"""

import argparse
import importlib.metadata
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import ROOT, Others, description, environment, limits

RECORD = Path(__file__).parent / "records" / "grpo_step.json"
TRL = ("torch==2.13.0", "trl==1.16.0", "transformers==5.23.0", "accelerate", "datasets")
PROMPTS, GROUP_SIZE = 8, 8
LEARNING_RATE = 1e-9
CAPS = {"short": 96, "spread": 512}
KL_COEFS = (0.0, 0.04)
MEAN_TOKENS = 180
"""Of the spread lengths, before the cap."""


def spread_model(folder: Path) -> None:
    """Random weights of the shipped shape whose end token is as likely after any text."""
    import torch
    import transformers

    from frugalrl.training.model.policy import resolve_model_path

    shipped = str(resolve_model_path("builtin:tiny"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(shipped)
    config = transformers.AutoConfig.from_pretrained(shipped)
    config.tie_word_embeddings = False
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        # The first feature is large in every embedding, so after the last norm it is about sqrt(H) for every token.
        embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
        embedding[:, 0], head[:, 0] = 1.0, 0.0
        scale = config.hidden_size**0.5
        head[tokenizer.eos_token_id, 0] = torch.tensor((config.vocab_size - 1) / (MEAN_TOKENS - 1)).log() / scale
        head[tokenizer.pad_token_id, 0] = -20.0 / scale
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def rendered_prompts(model: str, count: int) -> tuple[list[str], list[str]]:
    """Arithmetic problems, and the same in the model's chat template, as both sides see them."""
    from frugalrl.config.schema import ModelSettings, ProblemSource, PromptSettings
    from frugalrl.data.prompts import build_prompts
    from frugalrl.tasks.loading import load_problems
    from frugalrl.training.model.policy import load_policy

    problems = load_problems(ProblemSource(source="arithmetic", limit=count, seed=11))
    policy = load_policy(ModelSettings(path=model, device="cpu"))
    prompts = build_prompts(policy.tokenizer, problems, PromptSettings(), 256)
    return [prompt.problem.text for prompt in prompts], [prompt.text for prompt in prompts]


def run_ours(settings: dict[str, Any]) -> dict[str, Any]:
    """Our side, in this process: `frugalrl train` without evaluations, guard or checkpoints between."""
    import torch

    from frugalrl.config.loading import recipe_from
    from frugalrl.config.schema import TrainRecipe
    from frugalrl.reporting.run_log import read_metrics
    from frugalrl.training.state.run_folder import open_run_folder
    from frugalrl.training.trainer import train

    torch.set_num_threads(settings["threads"])
    stamps: list[float] = []
    cpu: list[float] = []

    def note() -> bool:
        stamps.append(time.perf_counter())
        cpu.append(time.process_time())
        return len(stamps) > settings["steps"]

    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(json.dumps({"problem": text, "answer": "1"}) + "\n" for text in settings["problems"])
        (Path(folder) / "problems.jsonl").write_text(rows, encoding="utf-8")
        recipe = recipe_from(
            {
                "name": "step",
                "model": {"path": settings["model"], "device": "cpu"},
                "data": {"train": {"source": str(Path(folder) / "problems.jsonl")}},
                "rewards": [{"name": "benchmarks.step_reward.reward"}],
                "rollout": {
                    "prompts_per_step": PROMPTS,
                    "group_size": GROUP_SIZE,
                    "max_prompt_tokens": 256,
                    "max_completion_tokens": settings["max_completion_tokens"],
                },
                "algorithm": {"loss": {"kl_coef": settings["kl_coef"]}},
                "optimizer": {"learning_rate": LEARNING_RATE, "schedule": "constant", "warmup_fraction": 0.0},
                "guard": {"enabled": False},
                "training": {"steps": settings["steps"] + 1},
            },
            TrainRecipe,
        )
        with open_run_folder(recipe, Path(folder) / "run", False) as opened:
            train(recipe, opened.path, should_stop=note)
        logged = [row for row in read_metrics(Path(folder) / "run") if "completion/mean_tokens" in row]
    phases = ("time/rollout", "time/reward", "time/update")
    return {
        "step_seconds": [after - before for before, after in pairwise(stamps[1:])],
        "step_cpu_seconds": [after - before for before, after in pairwise(cpu[1:])],
        "mean_tokens": sum(row["completion/mean_tokens"] for row in logged[1:]) / len(logged[1:]),
        "max_tokens": max(row["completion/max_tokens"] for row in logged),
        "phases": {name: statistics.median(row[name] for row in logged[1:]) for name in phases},
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": {name: importlib.metadata.version(name) for name in ("frugalrl", "transformers", "torch")},
    }


def run_side(python: Path, script: str, settings: dict[str, Any], threads: int, *more: str) -> dict[str, Any]:
    """A side in a process of its own, with what other processes took of the machine meanwhile."""
    import os

    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "settings.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(settings), encoding="utf-8")
        others, before = Others(), resource.getrusage(resource.RUSAGE_CHILDREN)
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        subprocess.run(
            [str(python), str(Path(__file__).parent / script), str(asked), str(answered), *more],
            check=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {**json.loads(answered.read_text(encoding="utf-8")), "others_cpu_share": others.share(own)}


def together(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rounds of a side as one: all steps, the means of what is not a step's."""
    first = rounds[0]
    steps = {key: [step for one in rounds for step in one[key]] for key in ("step_seconds", "step_cpu_seconds")}
    phases = {key: statistics.median(one["phases"][key] for one in rounds) for key in first.get("phases", {})}
    return {
        **first,
        **steps,
        **({"phases": phases} if phases else {}),
        "mean_tokens": statistics.fmean(one["mean_tokens"] for one in rounds),
        "max_tokens": max(one["max_tokens"] for one in rounds),
        "peak_megabytes": max(one["peak_megabytes"] for one in rounds),
        "others_cpu_share": statistics.fmean(one["others_cpu_share"] or 0.0 for one in rounds),
    }


def weights_in_products(model: Path) -> int:
    """The weights that a token is multiplied with: all matrices, but an embedding that is not the head too."""
    import safetensors

    with safetensors.safe_open(model / "model.safetensors", framework="pt") as tensors:
        shapes = {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118 (no mapping)
    looked_up = "model.embed_tokens.weight" if "lm_head.weight" in shapes else ""
    return sum(math.prod(shape) for name, shape in shapes.items() if len(shape) == 2 and name != looked_up)


def compared(name: str, kl_coef: float, model: str, arguments: argparse.Namespace, trl: Path) -> dict[str, Any]:
    """Both sides of a case."""
    problems, prompts = rendered_prompts(model, PROMPTS * (arguments.steps + 2))
    settings = {
        "model": model,
        "problems": problems,
        "prompts": prompts,
        "kl_coef": kl_coef,
        "steps": arguments.steps,
        "threads": arguments.threads,
        "prompts_per_step": PROMPTS,
        "group_size": GROUP_SIZE,
        "max_completion_tokens": CAPS[name],
        "learning_rate": LEARNING_RATE,
        "reward": str(Path(__file__).parent / "step_reward.py"),
    }
    cuts = [{**settings, "rows_per_forward": rows} for rows in ((64,) if arguments.quick else (64, 16))]
    sides = [(Path(sys.executable), "grpo_step.py", settings), *((trl, "grpo_step_trl.py", cut) for cut in cuts)]
    rounds = [[run_side(*side, arguments.threads) for side in sides] for _ in range(arguments.rounds)]
    ours, *theirs = map(together, zip(*rounds, strict=True))
    best = min(theirs, key=lambda one: statistics.median(one["step_cpu_seconds"]))
    wall, cpu = (
        statistics.median(best[key]) / statistics.median(ours[key]) for key in ("step_seconds", "step_cpu_seconds")
    )
    return {
        "case": name,
        "kl_coef": kl_coef,
        "weights_in_products": weights_in_products(Path(model)),
        "ours": ours,
        "trl": theirs,
        "ratio_wall": wall,
        "ratio_cpu": cpu,
        "ratio_cpu_per_token": cpu * ours["mean_tokens"] / best["mean_tokens"],
    }


def main() -> None:
    """Every case, a table, the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4, help="of each side in a round; the first is not measured")
    parser.add_argument("--rounds", type=int, default=3, help="in which the sides take turns")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cases", nargs="+", choices=tuple(CAPS), default=tuple(CAPS))
    parser.add_argument("--quick", action="store_true", help="one cut of TRL's instead of two")
    parser.add_argument("--trl-python", type=Path, help="of an environment with TRL; default: one is made")
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    trl = environment("trl", TRL, arguments.trl_python)
    rows: list[dict[str, Any]] = []
    asked = {"steps": arguments.steps, "rounds": arguments.rounds}
    record = {"machine": description(), "limits": limits(arguments.threads), **asked, "rows": rows}
    print(f"{'case':8} {'beta':>5} {'ours s':>8} {'TRL s':>8} {'wall':>6} {'cpu':>6}  tokens ours/TRL  others' CPU")
    with tempfile.TemporaryDirectory() as folder:
        spread_model(Path(folder))
        for name in arguments.cases:
            for kl_coef in KL_COEFS:
                model = "builtin:tiny" if name == "short" else folder
                row = compared(name, kl_coef, str(_folder_of(model)), arguments, trl)
                rows.append(row)
                arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")  # as far as it came
                best = min(row["trl"], key=lambda one: statistics.median(one["step_cpu_seconds"]))
                print(
                    f"{name:8} {kl_coef:5.2f} {statistics.median(row['ours']['step_seconds']):8.2f} "
                    f"{statistics.median(best['step_seconds']):8.2f} {row['ratio_wall']:6.2f} {row['ratio_cpu']:6.2f}"
                    f"  {row['ours']['mean_tokens']:.0f}/{best['mean_tokens']:.0f}  "
                    + "/".join(f"{one['others_cpu_share'] or 0:.0%}" for one in (row["ours"], best)),
                    flush=True,
                )
    print(f"record: {arguments.out}")


def _folder_of(model: str) -> Path:
    from frugalrl.training.model.policy import resolve_model_path

    return Path(resolve_model_path(model))


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].endswith("settings.json"):
        chosen = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        Path(sys.argv[2]).write_text(json.dumps(run_ours(chosen)), encoding="utf-8")
    else:
        main()
