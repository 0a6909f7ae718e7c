"""What a key that a recipe leaves out meant in each release of TRL, and which releases know a key.

Read from `grpo_config.py`, `model_config.py` and the loss in `grpo_trainer.py` at the tags v0.14.0 to v1.9.0, and from
the wheels of 1.10 to 1.16. `system_prompt` and its like are keys of open-r1, whose last release of TRL was 0.18.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from frugalrl.errors import RecipeError

RELEASES: tuple[str, ...] = (*(f"0.{minor}" for minor in range(14, 30)), *(f"1.{minor}" for minor in range(17)))
"""From the first with GRPO, January 2025, to the newest that was read."""
_SINCE: Mapping[str, Mapping[str, Any]] = {
    "beta": {"0.14": 0.04, "0.19": 0.0},
    "loss_type": {"0.14": "grpo", "0.16": "bnpo", "0.22": "dapo"},
    "temperature": {"0.14": 0.9, "0.18": 1.0},
    "top_k": {"0.14": None, "0.16": 50, "0.18": None},
    "max_completion_length": {"0.14": 256, "1.10": 512},
    "max_prompt_length": {"0.14": 512, "0.26": None},
    "gradient_checkpointing": {"0.14": False, "0.22": True},
    "bf16": {"0.14": False, "0.19": True},
    "use_bias_correction_kl": {"0.14": None, "1.10": True},
    "ref_model_sync_steps": {"0.14": 64, "0.16": 512},
    "num_generations": {"0.14": 8},
    "scale_rewards": {"0.14": "group"},
    "learning_rate": {"0.14": 1e-6},
    "epsilon": {"0.14": 0.2},
    "num_iterations": {"0.14": 1},
    "lr_scheduler_type": {"0.14": "linear"},
    "warmup_ratio": {"0.14": 0.0},
    "per_device_train_batch_size": {"0.14": 1, "0.15": 8},
    "gradient_accumulation_steps": {"0.14": 8, "0.15": 1},
    "dtype": {"0.14": "float32"},
    "seed": {"0.14": 42},
}
"""By key, the value from that release on. `loss_type` before 0.17, which named it, is what the loss computed."""
_FIRST: Mapping[str, str] = {
    key: release
    for release, keys in {
        "0.15": "reward_weights sync_ref_model ref_model_sync_steps ref_model_mixup_alpha vllm_dtype "
        "vllm_max_model_len",
        "0.16": "epsilon epsilon_high num_iterations scale_rewards top_p top_k min_p repetition_penalty "
        "cache_implementation vllm_server_host vllm_server_port vllm_server_timeout",
        "0.17": "loss_type mask_truncated_completions shuffle_dataset use_liger_loss num_completions_to_print",
        "0.18": "delta generation_batch_size steps_per_generation vllm_mode vllm_tensor_parallel_size "
        "vllm_server_base_url",
        "0.19": "generation_kwargs",
        "0.20": "importance_sampling_level top_entropy_quantile use_transformers_paged",
        "0.21": "vllm_model_impl",
        "0.23": "dtype vllm_importance_sampling_correction vllm_importance_sampling_cap vllm_enable_sleep_mode",
        "0.25": "cast_lm_head_to_fp32 chat_template_kwargs",
        "0.26": "sapo_temperature_pos sapo_temperature_neg use_bias_correction_kl vllm_importance_sampling_mode "
        "vllm_max_model_length num_generations_eval",
        "0.27": "off_policy_mask_threshold multi_objective_aggregation max_tool_calling_iterations vllm_group_port",
        "0.28": "log_completions_hub_repo",
        "1.0": "pad_to_multiple_of vespo_k_pos vespo_k_neg vespo_lambda_pos vespo_lambda_neg",
        "1.9": "entropy_coef use_adaptive_entropy entropy_target vllm_importance_sampling_clip_max",
    }.items()
    for key in keys.split()
}
"""The release in which a key came."""
_LAST: Mapping[str, str] = {
    "vllm_device": "0.15", "vllm_dtype": "0.15", "vllm_max_model_len": "0.15", "vllm_enable_prefix_caching": "0.15",
    "system_prompt": "0.18", "dataset_prompt_column": "0.18", "benchmarks": "0.18", "callbacks": "0.18",
    "hub_model_revision": "0.18", "overwrite_hub_revision": "0.18", "push_to_hub_revision": "0.18",
    "torch_dtype": "0.26", "max_prompt_length": "0.27", "use_liger_loss": "0.27",
}  # fmt: skip
"""The last release in which a key had an effect."""


def release_named(text: str) -> str:
    """The release that a version belongs to: 0.15.2 is 0.15. Raises RecipeError for one that was not read."""
    found = ".".join(text.removeprefix("v").split(".")[:2])
    if found not in RELEASES:
        raise RecipeError(
            f"Defaults of TRL {text} are not known here. Give a version from {RELEASES[0]} to {RELEASES[-1]}."
        )
    return found


def releases_of(keys: Iterable[str]) -> tuple[str, ...]:
    """The releases that a file with these keys was written for; where they contradict, the last of the old ones."""
    keys = set(keys)
    last = min((RELEASES.index(_LAST[key]) for key in keys & _LAST.keys()), default=len(RELEASES) - 1)
    first = max((RELEASES.index(_FIRST[key]) for key in keys & _FIRST.keys()), default=0)
    return RELEASES[min(first, last) : last + 1]


def default_of(key: str, release: str) -> Any:
    """What a key meant that was left out; None for keys that this table does not have."""
    known = {since: value for since, value in _SINCE.get(key, {}).items() if _at(since) <= _at(release)}
    return known[max(known, key=_at)] if known else None


def history_of(key: str, releases: Iterable[str]) -> str:
    """How a default changed within these releases: `0.04, and 0.0 since 0.19`; empty if it did not."""
    found: list[tuple[str, Any]] = []
    for release in releases:
        value = default_of(key, release)
        if not found or found[-1][1] != value:
            found.append((release, value))
    if len(found) < 2:
        return ""
    return ", and ".join([f"{found[0][1]}", *(f"{value} since {release}" for release, value in found[1:])])


def _at(release: str) -> int:
    return RELEASES.index(release)
