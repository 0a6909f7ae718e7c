"""A GRPO recipe of TRL being read: which keys were taken, the defaults of its time, and a line for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from frugalrl.convert.report import Fate, KeyLine

Era = Literal["2025-02", "2025-06", "1.16"]
_LATEST: Mapping[str, Any] = {
    "beta": 0.0, "loss_type": "dapo", "temperature": 1.0, "max_completion_length": 512, "num_generations": 8,
    "scale_rewards": "group", "learning_rate": 1e-6, "epsilon": 0.2, "num_iterations": 1, "lr_scheduler_type": "linear",
    "warmup_ratio": 0.0, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1,
    "gradient_checkpointing": True, "dtype": "float32", "max_grad_norm": 1.0, "seed": 42,
}  # fmt: skip
DEFAULTS: Mapping[Era, Mapping[str, Any]] = {
    "1.16": _LATEST,
    "2025-06": {**_LATEST, "loss_type": "bnpo", "max_completion_length": 256, "gradient_checkpointing": False},
    "2025-02": {
        **_LATEST, "beta": 0.04, "loss_type": "grpo", "temperature": 0.9, "max_completion_length": 256,
        "gradient_checkpointing": False,
    },
}  # fmt: skip
"""What a key that is left out meant, by the TRL of the time."""
_OF_FEBRUARY = {"vllm_device", "vllm_enforce_eager", "vllm_max_model_len"}
_OF_2025 = {"torch_dtype", "max_prompt_length", "overwrite_output_dir", "warmup_ratio", "system_prompt"}


@dataclass(frozen=True)
class Circumstances:
    """What a recipe file does not say."""

    processes: int | None = None
    """Training processes it was started with, without the one that serves vLLM."""
    rows: int | None = None
    """Of the training data, to turn epochs into steps."""
    defaults: Era | None = None
    name: str = "converted"


def era_of(values: Mapping[str, Any]) -> Era:
    """The TRL that a file was written for, by its keys."""
    if values.keys() & _OF_FEBRUARY:
        return "2025-02"
    return "2025-06" if values.keys() & _OF_2025 else "1.16"


class Reading:
    """A file being read: which keys were taken, and the line for each."""

    def __init__(self, values: dict[str, Any], era: Era) -> None:
        self.values, self.era = values, era
        self.lines: list[KeyLine] = []
        self.taken: set[str] = set()

    def take(self, key: str, where: str, fate: Fate = "translated", why: str = "") -> Any:
        """The value of a key, or its default of the time, with a line that says where it went."""
        self.taken.add(key)
        if key in self.values:
            text = f"{short(self.values[key])} -> {where}"
            self.lines.append(KeyLine(key, fate, f"{text}. {why}" if why else text))
            return self.values[key]
        default = DEFAULTS[self.era].get(key)
        if default is not None:
            text = f"not set, {short(default)} by default in TRL ({self.era}) -> {where}"
            self.lines.append(KeyLine(key, "added", f"{text}. {why}" if why else text))
        return default

    def optional(self, key: str, where: str, why: str = "", fate: Fate = "translated") -> Any:
        """The value of a key that may be left out without a word; None then."""
        if self.values.get(key) is None:
            self.taken.add(key)
            return None
        return self.take(key, where, fate, why)

    def say(self, key: str, fate: Fate, text: str) -> None:
        self.taken.add(key)
        self.lines.append(KeyLine(key, fate, text))


def short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
