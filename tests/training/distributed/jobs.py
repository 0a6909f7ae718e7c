"""Runs that are made by one process and by several, and compared: what each of them is, and one launch that makes all.

    python -m tests.training.distributed.jobs FOLDER                             in one process
    torchrun --nproc-per-node 2 -m tests.training.distributed.jobs FOLDER sharded [NAME ...]

Each run leaves beside its folder the gradient of its first update.
"""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch

from frugalrl.config.distributed_schema import DistributedSettings
from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.training.distributed.folder import open_shared_folder
from frugalrl.training.distributed.group import join_world
from frugalrl.training.guard import rules
from frugalrl.training.hooks import guard as guard_hook
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.parts import whole
from frugalrl.training.model.policy import quiet_transformers
from frugalrl.training.sft import run_sft
from frugalrl.training.trainer import train

GRPO = {
    "name": "grpo",
    "seed": 5,
    "model": {"device": "cpu"},
    "data": {"train": {"limit": 60}, "validation": {"split": "validation", "limit": 5}},
    "rewards": [{"name": "accuracy"}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 3, "group_size": 4, "max_prompt_tokens": 128, "max_completion_tokens": 40},
    "algorithm": {"loss": {"kl_coef": 0.04}},
    "optimizer": {"learning_rate": 1e-4, "schedule": "constant", "warmup_fraction": 0.0},
    "evaluation": {"every": 2, "samples_per_problem": 1},
    "training": {"steps": 3, "micro_batch_tokens": 384, "save_every": 1},
}
ROLLOUT = GRPO["rollout"]
CHANGES = {
    "grpo": {  # groups without a signal are replaced, and the cap on completions moves after each step
        "rollout": {**ROLLOUT, "max_extra_groups": 1.0},
        "length_schedule": {"every": 1, "least_tokens": 32, "most_tokens": 64},
    },
    "few": {  # one group of three for up to four processes, in one micro-batch; two updates; no reference
        "rollout": {**ROLLOUT, "prompts_per_step": 1, "group_size": 3},
        "algorithm": {"updates_per_batch": 2, "entropy": {"coef": 0.01}},
        "training": {**GRPO["training"], "micro_batch_tokens": 4096},
        "model": {"device": "cpu", "gradient_checkpointing": True},
    },
    "lora": {  # the reference is the model without its adapters, and after step 2 with those of then
        "model": {"device": "cpu", "lora": {"rank": 4, "alpha": 8.0, "target": ["q_proj", "o_proj", "up_proj"]}},
        "algorithm": {"loss": {"kl_coef": 0.04}, "reference_reset_every": 2},
        "optimizer": {**GRPO["optimizer"], "learning_rate": 3e-4},
    },
    "adapters": {  # which alone are sent to a server
        "rollout": {**ROLLOUT, "prompts_per_step": 1, "engine": {"weights": "adapter"}},
        "model": {"device": "cpu", "lora": {"rank": 2, "alpha": 4.0, "target": ["q_proj"]}},
        "algorithm": {},
        "evaluation": {"samples_per_problem": 1},
    },
    "ahead": {  # from a server, one step off policy
        "rollout": {**ROLLOUT, "prompts_per_step": 2, "one_step_off": True, "engine": {}},
        "algorithm": {"loss": {"mismatch": "tis"}},
        "evaluation": {"samples_per_problem": 1},
    },
    "guard": {  # a rollback that is made before the third step: see `falling`
        "guard": {"confirm_steps": 1, "max_rollbacks": 1, "evaluation_share": 1.0},
        "evaluation": {"samples_per_problem": 1},
    },
}
SFT = {
    "name": "sft",
    "model": {"device": "cpu"},
    "phases": [{"limit": 60, "mix": "skill"}],
    "validation": {"limit": 10, "split": "validation", "mix": "skill"},
    "optimizer": {"learning_rate": 1e-4, "schedule": "constant", "warmup_fraction": 0.0},
    "training": {"batch_tokens": 1536, "pack_tokens": 512, "rows_per_forward": 1, "log_every": 1, "save_every": 2},
}
SERVED = ("adapters", "ahead")
URL = "FRUGALRL_TEST_SERVER"
"""The variable that names the server of the runs that are served."""
NAMES = (*(name for name in CHANGES if name not in SERVED), "sft")


def recipe_of(name: str, weights: str, **changes: object) -> TrainRecipe | SftRecipe:
    """A job's recipe. weights: replicated or sharded; ignored in one process."""
    shared = {"name": name, "distributed": {"weights": weights}, **changes}
    if name == "sft":
        return parse_recipe({**SFT, **shared}, SftRecipe)
    values = {**GRPO, **CHANGES[name], **shared}
    if name in SERVED:
        engine = {"kind": "vllm", "url": os.environ[URL], "probe_completions": 1, **values["rollout"]["engine"]}
        values["rollout"] = {**values["rollout"], "engine": engine}
    return parse_recipe(values, TrainRecipe)


@contextlib.contextmanager
def falling():
    """Every evaluation after the base's finds a policy that gets nothing right, and a sign is seen at every step: the
    fall is found after step 1 and confirmed after step 2; the rollback is made before step 3."""
    judge, nonfinite = rules.judge, rules.nonfinite

    def judge_fallen(state, look, rule):
        wrong, right = [[False]] * 200, [[True]] * 200
        fallen = dataclasses.replace(look, correct=right if look.step == 0 else wrong, best=right if look.best else [])
        return judge(state, fallen, rule)

    guard_hook.judge, rules.nonfinite = judge_fallen, lambda metrics: "made up"
    try:
        yield
    finally:
        guard_hook.judge, rules.nonfinite = judge, nonfinite


@contextlib.contextmanager
def first_gradient_kept(path: Path, is_main: bool):
    """Write the gradients of the first update, added up and before they are clipped."""
    clip, kept = MasterOptimizer._clip, []

    def keeping(optimizer, gradients):
        if not kept:
            kept.append({str(number): whole(gradient).clone() for number, gradient in enumerate(gradients)})
        return clip(optimizer, gradients)

    MasterOptimizer._clip = keeping
    try:
        yield
    finally:
        MasterOptimizer._clip = clip
    if is_main:
        safetensors.torch.save_file(kept[0], path)


def make(world, name: str, weights: str, folder: Path) -> None:
    """One run, in all processes."""
    recipe = recipe_of(name, weights)
    around = falling() if name == "guard" else contextlib.nullcontext()
    gradients = first_gradient_kept(folder.with_suffix(".gradients"), world.rank == 0)
    with open_shared_folder(world, recipe, folder, False) as opened, around, gradients:
        run = run_sft if name == "sft" else train
        assert run(recipe, opened.path, opened.checkpoint, world=world) is not None


def make_all(folder: Path, weights: str = "replicated", names: Sequence[str] = NAMES) -> None:
    """Some jobs: `FOLDER/NAME-WEIGHTS-N`."""
    quiet_transformers()
    torch.set_num_threads(1)
    with join_world(DistributedSettings(timeout_seconds=120.0), "cpu") as world:
        for name in names:
            make(world, name, weights, folder / f"{name}-{weights}-{world.size}")


if __name__ == "__main__":
    chosen = sys.argv[2] if len(sys.argv) > 2 else "replicated"
    make_all(Path(sys.argv[1]), chosen, sys.argv[3:] or NAMES)
