"""Prefill and decode of a Qwen2, Qwen3 or Llama model over a key/value cache that is allocated once.

The three architectures share their module names, so this walks the model's own modules (projections, norms,
rotary embedding, MLP) and replaces only attention. That keeps the weights shared with the trainer, and spares
the mask and cache machinery of transformers' forward pass, which at small sizes costs more than the model.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Layer index, queries [B, heads, T, D], keys and values [B, kv_heads, T, D] in; [B, heads, T, D] out."""


class KeyValueCache:
    """Keys and values of up to `rows` sequences of up to `tokens` tokens, for every layer."""

    def __init__(self, model: Any, rows: int, tokens: int) -> None:
        config = model.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (config.num_hidden_layers, rows, config.num_key_value_heads, tokens, head_dim)
        weight = model.model.embed_tokens.weight
        self.keys = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        self.values = torch.zeros_like(self.keys)

    @property
    def rows(self) -> int:
        return self.keys.shape[1]

    @property
    def tokens(self) -> int:
        return self.keys.shape[3]

    def move_rows(self, sources: Tensor, targets: Tensor) -> None:
        """Copy some rows onto others (no row may be in both)."""
        self.keys[:, targets] = self.keys[:, sources]
        self.values[:, targets] = self.values[:, sources]


def prefill(model: Any, cache: KeyValueCache, prompts: list[tuple[int, ...]], copies: list[int], row: int) -> Tensor:
    """Prefill each prompt once, and write it to as many consecutive cache rows as it has copies.

    row: the first row to write. Returns float32 logits [sum(copies), V] of the token after each prompt.
    """
    device = cache.keys.device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    width = max(map(len, prompts))
    padded = torch.tensor([prompt + (0,) * (width - len(prompt)) for prompt in prompts], device=device)
    repeats = torch.tensor(copies, device=device)
    end = row + sum(copies)

    def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        cache.keys[layer, row:end, :, :width] = keys.repeat_interleave(repeats, dim=0)
        cache.values[layer, row:end, :, :width] = values.repeat_interleave(repeats, dim=0)
        # Padding is on the right, so no real token attends to it under a causal mask alone.
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)

    positions = torch.arange(width, device=device).expand(len(prompts), width)
    hidden = _run_layers(model, padded, positions, attend)
    last = hidden[torch.arange(len(prompts), device=device), lengths - 1]
    logits: Tensor = _logits(model, last).repeat_interleave(repeats, dim=0)
    return logits


def decode(model: Any, cache: KeyValueCache, tokens: Tensor, positions: Tensor) -> Tensor:
    """Feed one token to each of the first B cache rows.

    tokens, positions: int64 [B]; a position is the number of tokens its row holds already.
    Returns float32 logits [B, V] of the tokens that follow.
    """
    batch = tokens.shape[0]
    rows = torch.arange(batch, device=tokens.device)
    width = int(positions.max()) + 1
    visible = (torch.arange(width, device=tokens.device) <= positions[:, None])[:, None, None]

    def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        cache.keys[layer, rows, :, positions] = keys.squeeze(2)
        cache.values[layer, rows, :, positions] = values.squeeze(2)
        past_keys = cache.keys[layer, :batch, :, :width]
        past_values = cache.values[layer, :batch, :, :width]
        # The query heads that share a key head are laid out like positions, so keys need not be repeated.
        grouped = queries.view(batch, past_keys.shape[1], -1, queries.shape[-1])
        attended = F.scaled_dot_product_attention(grouped, past_keys, past_values, attn_mask=visible)
        return attended.reshape(queries.shape)

    hidden = _run_layers(model, tokens[:, None], positions[:, None], attend)
    return _logits(model, hidden[:, 0])


def _run_layers(model: Any, input_ids: Tensor, positions: Tensor, attend: Attention) -> Tensor:
    """Final hidden states [B, T, H] before the last norm."""
    decoder = model.model
    hidden: Tensor = decoder.embed_tokens(input_ids)
    cos, sin = decoder.rotary_emb(hidden, positions)
    cos, sin = cos[:, None], sin[:, None]
    for index, layer in enumerate(decoder.layers):
        attention = layer.self_attn
        normed = layer.input_layernorm(hidden)
        queries = _heads(attention, "q", normed)
        keys = _heads(attention, "k", normed)
        values = _heads(attention, "v", normed)
        attended = attend(index, _rotate(queries, cos, sin), _rotate(keys, cos, sin), values)
        merged = attended.transpose(1, 2).reshape(*input_ids.shape, -1)
        hidden = hidden + attention.o_proj(merged)
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return hidden


def _heads(attention: Any, which: str, normed: Tensor) -> Tensor:
    """Projection [B, T, H] -> [B, heads, T, D], with Qwen3's norm on queries and keys."""
    projected: Tensor = getattr(attention, f"{which}_proj")(normed)
    heads = projected.view(*normed.shape[:-1], -1, attention.head_dim)
    norm = getattr(attention, f"{which}_norm", None)
    normed_heads: Tensor = heads if norm is None else norm(heads)
    return normed_heads.transpose(1, 2)


def _rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (RoFormer, arXiv 2104.09864) in the half-split layout of transformers."""
    half = states.shape[-1] // 2
    swapped = torch.cat((-states[..., half:], states[..., :half]), dim=-1)
    return states * cos + swapped * sin


def _logits(model: Any, hidden: Tensor) -> Tensor:
    return model.lm_head(model.model.norm(hidden)).float()  # type: ignore[no-any-return]
