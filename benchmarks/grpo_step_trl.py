"""TRL's side of `grpo_step.py`, run in TRL's own environment: JSON settings in, JSON times out.

`GRPOTrainer.train()` with its own generation (transformers.generate, no server), reward, reference and update; only the
time between its steps is written down. It imports nothing of frugalrl.
"""

import importlib.metadata
import importlib.util
import json
import resource
import sys
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any


def main() -> None:
    """Settings from the file named first, times into the file named second."""
    settings: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import torch
    import transformers
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(settings["threads"])
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    stamps: list[float] = []
    cpu: list[float] = []

    class Clock(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            stamps.append(time.perf_counter())
            cpu.append(time.process_time())

    found = importlib.util.spec_from_file_location("step_reward", settings["reward"])
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    rows = settings["prompts_per_step"] * settings["group_size"]
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=transformers.AutoModelForCausalLM.from_pretrained(settings["model"], dtype=torch.float32),
            reward_funcs=module.reward,
            processing_class=transformers.AutoTokenizer.from_pretrained(settings["model"]),
            train_dataset=Dataset.from_dict({"prompt": settings["prompts"]}),
            callbacks=[Clock()],
            args=GRPOConfig(
                output_dir=folder,
                beta=settings["kl_coef"],
                num_generations=settings["group_size"],
                per_device_train_batch_size=settings["rows_per_forward"],
                gradient_accumulation_steps=rows // settings["rows_per_forward"],
                max_completion_length=settings["max_completion_tokens"],
                max_steps=settings["steps"],
                learning_rate=settings["learning_rate"],
                lr_scheduler_type="constant",
                temperature=1.0,
                top_k=0,
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                report_to="none",
                save_strategy="no",
                logging_strategy="steps",
                logging_steps=1,
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    logged = [row for row in trainer.state.log_history if "completions/mean_length" in row]
    result = {
        "step_seconds": [after - before for before, after in pairwise(stamps)],
        "step_cpu_seconds": [after - before for before, after in pairwise(cpu)],
        "mean_tokens": sum(row["completions/mean_length"] for row in logged[1:]) / len(logged[1:]),
        "max_tokens": max(row["completions/max_length"] for row in logged),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": {name: importlib.metadata.version(name) for name in ("trl", "transformers", "torch")},
    }
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
