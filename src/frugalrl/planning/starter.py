"""A first recipe for a user's own model and data, after a look at both: what is there, what fits, what is missing.

Only the configuration of the model is read, and at most `LOOKED_AT` rows of the data; weights are not loaded.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frugalrl.config.schema import ProblemSource
from frugalrl.errors import DataError, ModelError
from frugalrl.tasks.loading import load_problems
from frugalrl.training.model.policy import resolve_model_path

LOOKED_AT = 200
_HELD_OUT = 128
_TINY_PARAMETERS = 50_000_000
_SUPPORTED = ("qwen2", "qwen3", "llama")


@dataclass(frozen=True)
class ModelFacts:
    """What a model's configuration says."""

    path: str
    context_tokens: int | None
    """None for a Hub id, whose configuration is read when the run starts."""
    parameters: int | None


@dataclass(frozen=True)
class DataFacts:
    """What a look at the data found."""

    source: str
    rows: int
    """That were looked at."""
    longest_chars: int
    without_gold: int


def look_at_model(path: str) -> ModelFacts:
    """Raises ModelError for a folder that is none, or a kind of model that is not supported."""
    place = resolve_model_path(path)
    if not isinstance(place, Path):
        return ModelFacts(path, None, None)
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{place / 'config.json'} cannot be read: {error}. Give a folder in Hub layout.") from None
    kind = config.get("model_type")
    if kind not in _SUPPORTED:
        raise ModelError(f"{path} is a model of type {kind!r}. Use {', '.join(_SUPPORTED[:-1])} or {_SUPPORTED[-1]}.")
    hidden, layers = config.get("hidden_size", 0), config.get("num_hidden_layers", 0)
    inner, words = config.get("intermediate_size", 0), config.get("vocab_size", 0)
    return ModelFacts(
        path, config.get("max_position_embeddings"), layers * hidden * (3 * inner + 3 * hidden) + words * hidden
    )


def look_at_data(source: str, say: Callable[[str], None]) -> DataFacts:
    """Read the first rows as a run would; `say` is told which columns were guessed. Raises DataError."""
    if source == "arithmetic":
        return DataFacts(source, LOOKED_AT, 120, 0)
    try:
        problems = load_problems(ProblemSource(source=source, limit=LOOKED_AT), note=say)
        missing = 0
    except DataError as error:
        if "no gold answer" not in str(error):
            raise
        problems = load_problems(ProblemSource(source=source, limit=LOOKED_AT, skip_without_gold=True))
        missing = LOOKED_AT - len(problems)
    return DataFacts(source, len(problems), max(len(one.text) for one in problems), missing)


def starter_recipe(name: str, model: ModelFacts, data: DataFacts, steps: int) -> dict[str, Any]:
    """The recipe: values that have worked for models of this size, and bounds that the model's context allows."""
    is_tiny = model.parameters is not None and model.parameters < _TINY_PARAMETERS
    prompt_tokens = 128 if is_tiny else 512
    cap = 128 if is_tiny else 2048
    if model.context_tokens is not None:
        cap = max(16, min(cap, model.context_tokens - prompt_tokens))
    is_task = data.source == "arithmetic"
    source: dict[str, Any] = {"source": data.source, "split": "train"}
    if data.without_gold:
        source["skip_without_gold"] = True
    held = {**source, "split": "validation"} if is_task else source
    return {
        "name": name,
        "model": {
            "path": model.path,
            "dtype": "float32" if is_tiny else "bfloat16",
            "gradient_checkpointing": not is_tiny,
        },
        "data": {
            "train": {**source, "limit": 4000} if is_task else source,
            "validation": {**held, "limit": _HELD_OUT if is_task else max(1, min(_HELD_OUT, data.rows // 4))},
            **({} if is_tiny else {"prompt": {"template": f"{{problem}}\n\n{_ASKED}"}}),
        },
        "rewards": [{"name": "accuracy", "weight": 1.0}, {"name": "format", "weight": 0.2}],
        "rollout": {
            "prompts_per_step": 8,
            "group_size": 8,
            "max_prompt_tokens": prompt_tokens,
            "skip_long_prompts": True,
            "max_completion_tokens": cap,
        },
        "optimizer": {"learning_rate": 4e-4 if is_tiny else 1e-6, "warmup_fraction": 0.05},
        "evaluation": {"every": max(1, min(25, steps // 2)), "samples_per_problem": 4},
        "training": {"steps": steps, "save_every": max(1, min(25, steps // 2)), "keep_last": 2},
        "selection": {"patience": 4},
    }


_ASKED = "Please reason step by step, and put your final answer within \\boxed{}."
