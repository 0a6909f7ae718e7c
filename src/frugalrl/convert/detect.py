"""Whose recipe a mapping is: ours of some kind, or another trainer's."""

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["train", "sft", "curate", "trl-grpo", "trl-sft", "verl", "prime-rl", "accelerate", "unknown"]

_TRL = {"model_name_or_path", "per_device_train_batch_size", "gradient_accumulation_steps", "output_dir"}
_GRPO = {
    "num_generations", "max_completion_length", "reward_funcs", "reward_weights", "beta", "num_iterations",
    "max_prompt_length", "generation_batch_size", "loss_type", "use_vllm",
}  # fmt: skip
NAMES: Mapping[Kind, str] = {
    "train": "a training recipe",
    "sft": "a recipe of supervised fine-tuning",
    "curate": "a curation spec",
    "trl-grpo": "a GRPO recipe of TRL or open-r1",
    "trl-sft": "a fine-tuning recipe of TRL or open-r1",
    "verl": "a configuration of verl",
    "prime-rl": "a configuration of prime-rl",
    "accelerate": "a configuration of accelerate, which says how processes are started",
}
"""In words, with an article."""


def kind_of(values: object) -> Kind:
    """Whose recipe this is, from the names of its keys."""
    if not isinstance(values, Mapping):
        return "unknown"
    keys = set(map(str, values))
    if "pools" in keys and "steps" in keys:
        return "curate"
    if "phases" in keys:
        return "sft"
    if {"actor_rollout_ref"} <= keys or any(key.startswith("actor_rollout_ref.") for key in keys):
        return "verl"
    if "orchestrator" in keys or {"trainer", "inference"} <= keys:
        return "prime-rl"
    if {"compute_environment", "distributed_type"} <= keys:
        return "accelerate"
    if keys & _TRL and not _is_ours(values):
        return "trl-grpo" if keys & _GRPO else "trl-sft"
    if keys & _GRPO and not _is_ours(values):
        return "trl-grpo"
    return "train" if _is_ours(values) else "unknown"


def _is_ours(values: Mapping[Any, Any]) -> bool:
    """Whether one of our sections is there as a section."""
    return any(isinstance(values.get(name), Mapping) for name in ("data", "rollout", "training", "algorithm")) or (
        isinstance(values.get("rewards"), list)
    )


def advice(found: Kind, wanted: Kind, source: str) -> str | None:
    """What to do with a recipe that a command does not take; None if the command takes it, or nobody knows it."""
    if found in (wanted, "unknown"):
        return None
    what = NAMES[found]
    if found in ("train", "sft", "curate"):
        return f"{source} is {what}, not {NAMES[wanted]}. Run: frugalrl {found} {source}"
    if found == "trl-grpo":
        return f"{source} is {what}. Run: frugalrl convert {source} --out recipe.yaml"
    if found == "trl-sft":
        return f"{source} is {what}. Write an SFT recipe of frugalrl, such as recipes/tiny-base.yaml, with its values."
    if found == "accelerate":
        return f"{source} is {what}. frugalrl needs none: give a training recipe."
    return (
        f"{source} is {what}. It can be written (frugalrl convert RECIPE --to {found}) but not read: start with init."
    )
