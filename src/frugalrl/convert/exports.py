"""Our training recipes as configurations of TRL, verl and prime-rl, for those who outgrow one machine.

Each export says what has no counterpart there. Key names: TRL 1.16; verl's `main_ppo` (0.7); prime-rl's `rl.toml` of
late 2026.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from frugalrl.convert.report import KeyLine

Recipe = Mapping[str, Any]
_SCHEDULES = {"cosine": "cosine_with_min_lr", "constant": "constant_with_warmup", "linear": "linear"}
_LOSS_TYPES = {"token": "dapo", "sequence": "grpo", "constant": "dr_grpo"}
_VERL_AGGREGATION = {"token": "token-mean", "sequence": "seq-mean-token-mean", "constant": "seq-mean-token-sum-norm"}
_REWARDS = {
    "accuracy": "accuracy", "format": "format", "tag_count": "tag_count", "reasoning_steps": "reasoning_steps",
    "cosine": "cosine", "repetition": "repetition_penalty", "length": "length", "code": "code",
    "code_format": "code_format", "soft_overlong": "soft_overlong_punishment",
}  # fmt: skip


def to_trl(recipe: Recipe, processes: int) -> tuple[dict[str, Any], list[KeyLine]]:
    """Keys of TRL 1.16 (`trl grpo --config`), with open-r1's names of rewards."""
    rollout, loss, advantage = recipe["rollout"], recipe["algorithm"]["loss"], recipe["algorithm"]["advantage"]
    optimizer, training = recipe["optimizer"], recipe["training"]
    completions = rollout["prompts_per_step"] * rollout["group_size"]
    device = rollout["group_size"]
    floor = optimizer["min_lr_fraction"]
    values: dict[str, Any] = {
        "model_name_or_path": recipe["model"]["path"],
        "dtype": recipe["model"]["dtype"],
        "bf16": recipe["model"]["dtype"] == "bfloat16",
        "fp16": recipe["model"]["dtype"] == "float16" or None,
        "gradient_checkpointing": recipe["model"]["gradient_checkpointing"],
        "dataset_name": recipe["data"]["train"]["source"],
        "dataset_config": recipe["data"]["train"]["subset"],
        "dataset_train_split": recipe["data"]["train"]["split"],
        "num_generations": rollout["group_size"],
        "per_device_train_batch_size": device,
        "gradient_accumulation_steps": max(1, -(-completions // (device * processes))),
        "max_completion_length": rollout["max_completion_tokens"],
        "temperature": rollout["temperature"],
        "top_p": rollout["top_p"],
        "top_k": rollout["top_k"],
        "beta": loss["kl_coef"],
        "use_bias_correction_kl": loss["kl_estimator"] == "k3_unbiased" if loss["kl_coef"] else None,
        "epsilon": loss["clip_low"],
        "epsilon_high": loss["clip_high"],
        "delta": loss["delta"],
        "loss_type": loss["surrogate"] if loss["surrogate"] in ("cispo", "sapo") else _LOSS_TYPES[loss["aggregation"]],
        "importance_sampling_level": "sequence" if loss["surrogate"] == "gspo" else "token",
        "scale_rewards": "none" if _undivided(advantage) else "group",
        "mask_truncated_completions": recipe["algorithm"]["mask_truncated"],
        "num_iterations": recipe["algorithm"]["updates_per_batch"],
        "optim": "adamw_bnb_8bit" if optimizer["state_bits"] == 8 else None,
        "learning_rate": optimizer["learning_rate"],
        "lr_scheduler_type": _SCHEDULES[optimizer["schedule"]],
        "lr_scheduler_kwargs": {"min_lr_rate": floor} if optimizer["schedule"] == "cosine" else None,
        "warmup_steps": round(optimizer["warmup_fraction"] * training["steps"]),
        "weight_decay": optimizer["weight_decay"],
        "max_grad_norm": optimizer["max_grad_norm"],
        "max_steps": training["steps"],
        "save_strategy": "steps" if training["save_every"] else "no",
        "save_steps": training["save_every"],
        "save_total_limit": training["keep_last"],
        "seed": recipe["seed"],
        "reward_funcs": [_REWARDS.get(term["name"], term["name"]) for term in recipe["rewards"]],
        "reward_weights": [term["weight"] for term in recipe["rewards"]],
        "report_to": [tracker["name"] for tracker in recipe["trackers"]] or "none",
    }
    lines = [*_unmatched(recipe), *_prompt_lines(recipe)]
    if completions % (device * processes):
        whole = values["gradient_accumulation_steps"] * device * processes
        lines.append(KeyLine("rollout.prompts_per_step", "changed", f"{completions} completions become {whole}"))
    return {key: value for key, value in values.items() if value is not None}, lines


def to_verl(recipe: Recipe) -> tuple[dict[str, Any], list[KeyLine]]:
    """Overrides of verl's `main_ppo`, nested as in its YAML; `frugalrl export-data --to verl` writes the data."""
    rollout = recipe["rollout"]
    training, held = recipe["training"], recipe["data"]["validation"] or recipe["data"]["test"]
    values: dict[str, Any] = {
        "algorithm": {
            "adv_estimator": "grpo",
            "norm_adv_by_std_in_grpo": not _undivided(recipe["algorithm"]["advantage"]),
            "use_kl_in_reward": False,
        },
        "data": {
            "train_files": "train.parquet",
            "val_files": "validation.parquet" if held else "train.parquet",
            "train_batch_size": rollout["prompts_per_step"],
            "max_prompt_length": rollout["max_prompt_tokens"],
            "max_response_length": rollout["max_completion_tokens"],
            "filter_overlong_prompts": rollout["skip_long_prompts"],
            "truncation": "error",
            "seed": recipe["seed"],
        },
        "actor_rollout_ref": _verl_actor(recipe),
        "trainer": {
            "experiment_name": recipe["name"],
            "project_name": "frugalrl",
            "total_training_steps": training["steps"],
            "save_freq": training["save_every"] or -1,
            "test_freq": recipe["evaluation"]["every"] or -1,
            "n_gpus_per_node": 1,
            "nnodes": 1,
            "logger": ["console", *(tracker["name"] for tracker in recipe["trackers"])],
        },
    }
    return values, [*_unmatched(recipe), _one_reward(recipe)]


def _verl_actor(recipe: Recipe) -> dict[str, Any]:
    rollout, loss = recipe["rollout"], recipe["algorithm"]["loss"]
    optimizer, training = recipe["optimizer"], recipe["training"]
    return {
        "model": {
            "path": recipe["model"]["path"],
            "enable_gradient_checkpointing": recipe["model"]["gradient_checkpointing"],
        },
        "actor": {
            "ppo_mini_batch_size": rollout["prompts_per_step"],
            "ppo_epochs": recipe["algorithm"]["updates_per_batch"],
            "use_dynamic_bsz": True,
            "ppo_max_token_len_per_gpu": training["micro_batch_tokens"],
            "clip_ratio_low": loss["clip_low"],
            "clip_ratio_high": loss["clip_high"],
            "loss_agg_mode": _VERL_AGGREGATION[loss["aggregation"]],
            "use_kl_loss": loss["kl_coef"] > 0,
            "kl_loss_coef": loss["kl_coef"],
            "kl_loss_type": "low_var_kl" if loss["kl_estimator"].startswith("k3") else loss["kl_estimator"],
            "entropy_coeff": recipe["algorithm"]["entropy"]["coef"],
            "grad_clip": optimizer["max_grad_norm"],
            "optim": {
                "lr": optimizer["learning_rate"],
                "lr_warmup_steps_ratio": optimizer["warmup_fraction"],
                "min_lr_ratio": optimizer["min_lr_fraction"],
                "lr_scheduler_type": "constant" if optimizer["schedule"] == "constant" else "cosine",
                "weight_decay": optimizer["weight_decay"],
            },
        },
        "rollout": {
            "name": "vllm",
            "n": rollout["group_size"],
            "temperature": rollout["temperature"],
            "top_p": rollout["top_p"],
            "top_k": rollout["top_k"] or -1,
            "val_kwargs": {
                "n": recipe["evaluation"]["samples_per_problem"],
                "temperature": recipe["evaluation"]["temperature"],
                "top_p": recipe["evaluation"]["top_p"],
                "do_sample": recipe["evaluation"]["temperature"] > 0,
            },
        },
    }


def to_prime_rl(recipe: Recipe) -> tuple[dict[str, Any], list[KeyLine]]:
    """Tables of prime-rl's `rl.toml`."""
    rollout = recipe["rollout"]
    source = recipe["data"]["train"]
    arguments = {"id": "math-env", "dataset_name": source["source"], "dataset_split": source["split"]}
    if source["subset"]:
        arguments["dataset_subset"] = source["subset"]
    values: dict[str, Any] = {
        "max_steps": recipe["training"]["steps"],
        "seq_len": rollout["max_prompt_tokens"] + rollout["max_completion_tokens"],
        "deployment": {"num_train_gpus": 1, "num_infer_gpus": 1},
        "model": {"name": recipe["model"]["path"]},
        "orchestrator": {
            "batch_size": rollout["prompts_per_step"] * rollout["group_size"],
            "group_size": rollout["group_size"],
            "train": {
                "sampling": {
                    "max_completion_tokens": rollout["max_completion_tokens"],
                    "temperature": rollout["temperature"],
                },
                "env": [{"name": "math-env", "taskset": arguments}],
            },
        },
        "trainer": {"optim": {"lr": recipe["optimizer"]["learning_rate"]}},
        "ckpt": {"interval": recipe["training"]["save_every"]} if recipe["training"]["save_every"] else {},
        "inference": {},
    }
    lines = [
        *_unmatched(recipe),
        _one_reward(recipe),
        KeyLine(
            "algorithm.loss", "missing", "prime-rl has its own asynchronous loss; KL, clips and aggregation differ"
        ),
        KeyLine("optimizer.schedule", "missing", "see prime-rl's [trainer.scheduler]"),
    ]
    return values, lines


def toml_text(values: Mapping[str, Any], prefix: str = "") -> str:
    """Plain mappings, lists and values as TOML."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping) and not _is_tables(value)}
    parts = ["".join(f"{key} = {_toml(value)}\n" for key, value in plain.items())]
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            head = f"[{name}]\n" if not value or any(not isinstance(one, Mapping) for one in value.values()) else ""
            parts.append(head + toml_text(value, f"{name}."))
        elif _is_tables(value):
            parts += [
                f"[[{name}]]\n" + "".join(f"{inner} = {_toml(one)}\n" for inner, one in table.items())
                for table in value
            ]
    return "\n".join(part for part in parts if part)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


# ------------------------------------------------------------------------------------ what has no counterpart


def _undivided(advantage: Recipe) -> bool:
    return advantage["divisor"] == "none" or (advantage["divisor"] is None and advantage["preset"] == "dr_grpo")


_OWN: Sequence[tuple[str, Callable[[Recipe], bool], str]] = (
    ("guard", lambda recipe: bool(recipe["guard"]["enabled"]), "nothing watches the run there: look at "
                                                               "KL and accuracy"),
    ("selection", lambda recipe: True, "no checkpoint is chosen by a paired test; evaluate them with `frugalrl eval`"),
    ("budget", lambda recipe: any(recipe["budget"].values()), "there is no cap on hours or dollars"),
    ("length_schedule", lambda recipe: recipe["length_schedule"] is not None, "the cap on tokens does not move there"),
    ("rollout.max_extra_groups", lambda recipe: recipe["rollout"]["max_extra_groups"] > 0, "see its own"),
    (
        "rewards: gate_group_accuracy",
        lambda recipe: any(term["gate_group_accuracy"] is not None for term in recipe["rewards"]),
        "rewards are not gated there",
    ),
    ("data.sampler", lambda recipe: recipe["data"]["sampler"]["mode"] != "shuffle", "problems are shuffled there"),
)  # fmt: skip


def _unmatched(recipe: Recipe) -> list[KeyLine]:
    return [KeyLine(key, "missing", text) for key, applies, text in _OWN if applies(recipe)]


def _prompt_lines(recipe: Recipe) -> list[KeyLine]:
    prompt = recipe["data"]["prompt"]
    if prompt["system"] is None and prompt["template"] == "{problem}":
        return []
    text = "TRL takes prompts from the data: write them with `frugalrl export-data SOURCE --to trl --recipe RECIPE`"
    return [KeyLine("data.prompt", "missing", text)]


def _one_reward(recipe: Recipe) -> KeyLine:
    names = ", ".join(f"{term['weight']:g} x {term['name']}" for term in recipe["rewards"])
    return KeyLine(
        "rewards", "missing", f"{names}: write them as its reward function; frugalrl.verify judges one answer"
    )
