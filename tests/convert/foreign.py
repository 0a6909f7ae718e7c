"""Recipes of other trainers, for tests: the keys and values of open-rs's released file, and the smallest of today."""

from typing import Any

_SYSTEM = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant "
    "first thinks about the reasoning process in the mind and then provides the user with the answer, "
    "and put your final "
    "answer within \\boxed{{}} . The reasoning process and answer are enclosed within <think> </think> and <answer> "
    "</answer> tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>."
)
_ENGLISH = " Note that respond by English, NOT use other languages."

OPEN_RS: dict[str, Any] = {
    "model_name_or_path": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    "model_revision": "main",
    "torch_dtype": "bfloat16",
    "attn_implementation": "flash_attention_2",
    "dataset_name": "knoveleng/open-rs",
    "system_prompt": _SYSTEM,
    "bf16": True,
    "use_vllm": True,
    "vllm_device": "auto",
    "vllm_enforce_eager": True,
    "vllm_gpu_memory_utilization": 0.7,
    "vllm_max_model_len": 4608,
    "do_eval": False,
    "output_dir": "data/OpenRS-GRPO",
    "overwrite_output_dir": True,
    "gradient_accumulation_steps": 4,
    "gradient_checkpointing": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": False},
    "hub_model_id": "OpenRS-GRPO",
    "hub_strategy": "every_save",
    "learning_rate": 1e-6,
    "log_completions": True,
    "log_level": "info",
    "logging_first_step": True,
    "logging_steps": 1,
    "logging_strategy": "steps",
    "lr_scheduler_type": "cosine_with_min_lr",
    "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
    "max_prompt_length": 512,
    "max_completion_length": 3584,
    "max_steps": 500,
    "num_generations": 6,
    "num_train_epochs": 1,
    "per_device_eval_batch_size": 6,
    "per_device_train_batch_size": 6,
    "push_to_hub": True,
    "report_to": ["wandb"],
    "reward_funcs": ["format", "accuracy"],
    "reward_weights": [1.0, 2.0],
    "save_strategy": "steps",
    "save_steps": 50,
    "seed": 42,
    "temperature": 0.7,
    "warmup_ratio": 0.1,
}

MINIMAL: dict[str, Any] = {
    "model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct", "dataset_name": "openai/gsm8k", "max_steps": 100,
    "reward_funcs": ["accuracy_reward"], "num_generations": 8, "per_device_train_batch_size": 8,
}  # fmt: skip


def released(experiment: int) -> dict[str, Any]:
    """The file with the values of one of the paper's experiments."""
    if experiment == 1:
        return {**OPEN_RS, "dataset_name": "knoveleng/open-s1", "max_completion_length": 4096}
    if experiment == 2:
        return OPEN_RS
    return {**OPEN_RS, "reward_funcs": ["format", "cosine"], "system_prompt": _SYSTEM + _ENGLISH}
