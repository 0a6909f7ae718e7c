"""A model of an exact size with random weights, and a tokenizer that fits it: weights cannot be had everywhere."""

import json
import shutil
from pathlib import Path

import torch

from frugalrl.training.model.policy import quiet_transformers, resolve_model_path

R1_DISTILL_QWEN_1_5B = {
    "vocab_size": 151936,
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "max_position_embeddings": 131072,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
"""config.json of deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B; 1,777,088,000 parameters."""
_WORDS = 151_665
"""Tokens of its tokenizer; the rows above are padding."""


def make(folder: Path, dtype: torch.dtype, device: torch.device) -> None:
    """Write the 1.5B model: exact shapes, weights drawn with the usual spread of 0.02, a tokenizer of 151,665 ids."""
    import transformers

    quiet_transformers()
    tiny = Path(resolve_model_path("builtin:tiny"))
    folder.mkdir(parents=True)
    for name in ("tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(tiny / name, folder / name)
    tokenizer = json.loads((tiny / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    taken = {*vocabulary.values(), *(token["id"] for token in tokenizer["added_tokens"])}
    vocabulary.update({f"<|unused_{number}|>": number for number in range(_WORDS) if number not in taken})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    ends = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    config = transformers.Qwen2Config(
        **R1_DISTILL_QWEN_1_5B, bos_token_id=None, eos_token_id=ends["eos_token_id"], pad_token_id=ends["pad_token_id"]
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    shutil.copy(tiny / "generation_config.json", folder / "generation_config.json")
