"""Supervised fine-tuning, ours against TRL's SFTTrainer: `python benchmarks/sft_step.py`.

The shipped reasoner on arithmetic solutions: the same examples, about 64 an update, prompts masked, the same learning
rate, dtype and threads. Processor seconds per 1,000 examples, the first update left out. TRL gets its faster cut: one
forward pass of 64 padded rows, or four of 16. Its packing is not compared: without flash attention neighbours see each
other.

TRL runs in the environment of `grpo_step.py` (`--trl-python`, or made under `.bench`).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TRL_SIDE = len(sys.argv) == 4 and sys.argv[3] == "trl"
if not TRL_SIDE:
    sys.path.insert(0, str(Path(__file__).parents[1]))

RECORD = Path(__file__).parent / "records" / "sft_step.json"
EXAMPLES_PER_STEP = 64
LEARNING_RATE = 1e-5


def examples(count: int) -> tuple[list[dict[str, str]], float]:
    """Rendered prompts with their completions, as both sides train on them, and the mean tokens of one."""
    from frugalrl.config.schema import CompletionSource, ModelSettings, PromptSettings
    from frugalrl.data.prompts import messages_for, render
    from frugalrl.tasks.loading import load_completions
    from frugalrl.training.model.policy import load_policy

    tokenizer = load_policy(ModelSettings(device="cpu")).tokenizer
    written = load_completions(CompletionSource(source="arithmetic", limit=count, seed=2, mix="strategies"))
    rows = []
    for one in written:
        assert isinstance(one.prompt, str)
        prompt = render(tokenizer, messages_for(one.prompt, PromptSettings(template="{problem}")))
        completion = one.completion.removeprefix("<think>\n") if prompt.endswith("<think>\n") else one.completion
        rows.append({"problem": one.prompt, "prompt": prompt, "completion": completion})
    tokens = sum(len(tokenizer(row["prompt"] + row["completion"]).input_ids) + 1 for row in rows)
    return rows, tokens / len(rows)


def run_ours(settings: dict[str, Any]) -> dict[str, Any]:
    """`frugalrl sft`, in this process."""
    import torch

    from frugalrl.config.loading import parse_recipe
    from frugalrl.config.schema import SftRecipe
    from frugalrl.training.sft import run_sft

    torch.set_num_threads(settings["threads"])
    clocks: list[tuple[float, float]] = []

    def note() -> bool:
        clocks.append((time.perf_counter(), time.process_time()))
        return False

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "examples.jsonl"
        rows = [{"prompt": row["problem"], "completion": row["completion"]} for row in settings["rows"]]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        recipe = {
            "name": "sft-step",
            "model": {"device": "cpu"},
            "phases": [{"source": str(file)}],
            "optimizer": {"learning_rate": LEARNING_RATE, "schedule": "constant", "warmup_fraction": 0.0},
            "training": {
                "pack_tokens": 1024,
                "batch_tokens": round(EXAMPLES_PER_STEP * settings["mean_tokens"] / 1024 + 0.5) * 1024,
            },
        }
        run_sft(parse_recipe(recipe, SftRecipe), Path(folder), should_stop=note)
        clocks.append((time.perf_counter(), time.process_time()))
        logged = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    steps = len(clocks) - 1
    done = len(settings["rows"]) * (steps - 1) / steps
    return {
        "cpu_seconds_per_1000": 1000 * (clocks[-2][1] - clocks[1][1]) / (done - len(settings["rows"]) / steps),
        "wall_seconds_per_1000": 1000 * (clocks[-2][0] - clocks[1][0]) / (done - len(settings["rows"]) / steps),
        "steps": steps,
        "loss": statistics.mean(row["loss/sft"] for row in logged if "loss/sft" in row),
        "versions": {name: importlib.metadata.version(name) for name in ("transformers", "torch")},
    }


def run_trl(settings: dict[str, Any]) -> dict[str, Any]:
    """`SFTTrainer.train()`; imports nothing of frugalrl."""
    import torch
    import transformers
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(settings["threads"])
    clocks: list[tuple[float, float]] = []

    class Clock(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clocks.append((time.perf_counter(), time.process_time()))

    rows = [{"prompt": row["prompt"], "completion": row["completion"]} for row in settings["rows"]]
    at_once = settings["rows_per_forward"]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=transformers.AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.float32),
            processing_class=transformers.AutoTokenizer.from_pretrained(settings["model"]),
            train_dataset=Dataset.from_list(rows),
            callbacks=[Clock()],
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=at_once,
                gradient_accumulation_steps=EXAMPLES_PER_STEP // at_once,
                num_train_epochs=1,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant",
                completion_only_loss=True,
                packing=False,
                max_length=None,
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                report_to="none",
                save_strategy="no",
                logging_steps=1,
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    done = EXAMPLES_PER_STEP * (len(clocks) - 1)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return {
        "cpu_seconds_per_1000": 1000 * (clocks[-1][1] - clocks[0][1]) / done,
        "wall_seconds_per_1000": 1000 * (clocks[-1][0] - clocks[0][0]) / done,
        "steps": len(clocks),
        "loss": statistics.mean(losses),
        "rows_per_forward": at_once,
        "versions": {name: importlib.metadata.version(name) for name in ("trl", "transformers", "torch")},
    }


def main() -> None:
    """Both sides in turns, a line, the record."""
    from benchmarks.grpo_step import TRL, run_side
    from benchmarks.machine import description, environment, limits

    from frugalrl.config.schema import ModelSettings
    from frugalrl.training.model.policy import load_policy, resolve_model_path, trainable_parameters

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, help="updates of each side in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trl-python", type=Path, help="of an environment with TRL; default: one is made")
    parser.add_argument("--out", type=Path, default=RECORD)
    arguments = parser.parse_args()
    trl = environment("trl", TRL, arguments.trl_python)
    rows, mean_tokens = examples(EXAMPLES_PER_STEP * arguments.steps)
    settings = {
        "rows": rows,
        "mean_tokens": mean_tokens,
        "threads": arguments.threads,
        "model": str(resolve_model_path("builtin:tiny")),
    }
    rounds = []
    for _ in range(arguments.rounds):
        ours = run_side(Path(sys.executable), "sft_step.py", settings, arguments.threads)
        theirs = [
            run_side(trl, "sft_step.py", {**settings, "rows_per_forward": cut}, arguments.threads, "trl")
            for cut in (64, 16)
        ]
        rounds.append({"ours": ours, "trl": theirs})
    ratios = [
        min(one["cpu_seconds_per_1000"] for one in both["trl"]) / both["ours"]["cpu_seconds_per_1000"]
        for both in rounds
    ]
    best = limits(arguments.threads)
    parameters = trainable_parameters(load_policy(ModelSettings(device="cpu")).model)
    ours = statistics.median(both["ours"]["cpu_seconds_per_1000"] for both in rounds)
    record = {
        "machine": description(),
        "limits": best,
        "examples": len(rows),
        "mean_tokens": mean_tokens,
        "ratio_cpu": statistics.median(ratios),
        "share_of_matrix_rate": 1000 * mean_tokens * 6 * parameters / best["matrix_flops"] / ours,
        "rounds": rounds,
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"ours {ours:.2f} s of processor time per 1,000 examples, {record['ratio_cpu']:.2f} times as fast as TRL")
    print(f"record: {arguments.out}")


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1].endswith("settings.json"):
        chosen = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        result = run_trl(chosen) if TRL_SIDE else run_ours(chosen)
        Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
    else:
        main()
