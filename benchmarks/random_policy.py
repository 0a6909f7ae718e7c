"""A policy over random weights, for benchmarks that compute and learn nothing."""

from collections.abc import Sequence
from typing import Any


def random_policy(name: str, shape: Sequence[int], vocabulary: int, most_tokens: int = 2048) -> Any:
    """A random fp32 Qwen2 with tied embeddings, the same at each call.

    shape: hidden and intermediate size, layers, heads, key-value heads.
    """
    import torch
    import transformers

    from frugalrl.training.model.policy import Policy

    hidden, intermediate, layers, heads, kv_heads = shape
    config = transformers.Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=True,
        max_position_embeddings=most_tokens,
    )
    torch.manual_seed(0)
    return Policy(transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval(), None, name)
