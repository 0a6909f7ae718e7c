"""The work: models of three sizes, and prompts with forced lengths. Every side reads it, so no frugalrl here."""

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, int]] = {
    "1M": {
        "vocab_size": 512,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "10M": {
        "vocab_size": 2048,
        "hidden_size": 384,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
    },
    "100M": {
        "vocab_size": 16384,
        "hidden_size": 768,
        "intermediate_size": 2432,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
    },
}
"""Qwen2 with tied embeddings; 1M is the shape of the shipped model. Together with their heads 0.9, 10.2 and 98.7 M."""
GROUP = 8
PROMPT_TOKENS = (24, 64)


@dataclass(frozen=True)
class Case:
    """One batch."""

    size: str
    dtype: str
    sequences: int
    shortest: int
    longest: int
    """Completion tokens, spread evenly over the sequences."""

    @property
    def name(self) -> str:
        lengths = f"{self.shortest}-{self.longest}" if self.shortest < self.longest else f"{self.longest}"
        return f"{self.size} {self.dtype}, {self.sequences} x {lengths}"

    def to_json(self) -> dict[str, Any]:
        """For the worker of another environment."""
        return asdict(self)


def prompts(case: Case) -> list[list[int]]:
    """One for each group of GROUP completions; the same for every side."""
    rng = random.Random(case.sequences)
    vocabulary = SIZES[case.size]["vocab_size"]
    return [
        [rng.randrange(3, vocabulary) for _ in range(rng.randint(*PROMPT_TOKENS))]
        for _ in range(case.sequences // GROUP)
    ]


def lengths(case: Case) -> list[int]:
    """Of each completion, in order, in no order of length."""
    spread = case.longest - case.shortest
    even = [case.shortest + round(spread * i / max(1, case.sequences - 1)) for i in range(case.sequences)]
    random.Random(case.longest).shuffle(even)
    return even


def make_model(case: Case, folder: Path) -> None:
    """Random weights in Hub layout, if they are not there."""
    import torch
    import transformers

    if (folder / "config.json").is_file():
        return
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        **SIZES[case.size],
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, case.dtype))
    model.generation_config = transformers.GenerationConfig(pad_token_id=0)
    model.save_pretrained(folder)
