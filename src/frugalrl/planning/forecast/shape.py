"""The numbers of a model that memory and time depend on, from its configuration alone.

Nothing but config.json is read. The paper's own model is here by name, so that its plan needs no network.
"""

from dataclasses import dataclass
from typing import Any

from frugalrl.config.schema import ModelSettings
from frugalrl.errors import ModelError
from frugalrl.training.model.policy import resolve_model_path


@dataclass(frozen=True)
class ModelShape:
    """A Qwen2, Qwen3 or Llama model."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    biased: bool
    """Whether queries, keys and values have biases (Qwen2)."""
    head_norms: bool
    """Whether queries and keys are normalised (Qwen3)."""

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, which is also the head's number."""
        return self.vocabulary * self.hidden

    @property
    def per_layer(self) -> int:
        """Parameters of a layer."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = self.hidden * (2 * queries + 2 * keys) + self.biased * (queries + 2 * keys)
        norms = 2 * self.hidden + self.head_norms * 2 * self.head_dim
        return attention + 3 * self.hidden * self.intermediate + norms

    @property
    def parameters(self) -> int:
        """All of them; a tied head counts once."""
        return self.layers * self.per_layer + self.hidden + self.embedding * (1 if self.tied else 2)

    @property
    def in_products(self) -> int:
        """Parameters that every token is multiplied with: all but the embedding's look-up."""
        return self.layers * self.per_layer + self.embedding

    @property
    def cache_values_per_token(self) -> int:
        """Numbers in the key/value cache for a token."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def to_config(self, positions: int) -> Any:
        """A transformers configuration of this shape, for so many positions."""
        import transformers

        kind = transformers.Qwen2Config if self.biased else transformers.LlamaConfig
        own = {} if self.biased else {"head_dim": self.head_dim}
        return (transformers.Qwen3Config if self.head_norms else kind)(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            max_position_embeddings=positions,
            tie_word_embeddings=self.tied,
            **own,
        )


KNOWN = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": ModelShape(
        28, 1536, 8960, 12, 2, 128, 151_936, tied=False, biased=True, head_norms=False
    )
}


def shape_of(settings: ModelSettings) -> ModelShape:
    """From config.json. Raises ModelError if it cannot be had, or is of another architecture."""
    import transformers

    if settings.path in KNOWN:
        return KNOWN[settings.path]
    source = str(resolve_model_path(settings.path))
    try:
        config = transformers.AutoConfig.from_pretrained(source, revision=settings.revision)
    except Exception as error:  # transformers raises many kinds, all about this configuration
        raise ModelError(
            f"The configuration of {settings.path!r} cannot be read: {str(error).splitlines()[0]} Give a folder with "
            "config.json, or a Hub id that can be reached."
        ) from error
    return shape_of_config(config)


def shape_of_config(config: Any) -> ModelShape:
    """From a transformers configuration. Raises ModelError for another architecture."""
    if config.model_type not in ("qwen2", "qwen3", "llama"):
        raise ModelError(f"A plan is for Qwen2, Qwen3 and Llama, not {config.model_type!r}. Use such a checkpoint.")
    heads = int(config.num_attention_heads)
    return ModelShape(
        layers=int(config.num_hidden_layers),
        hidden=int(config.hidden_size),
        intermediate=int(config.intermediate_size),
        heads=heads,
        kv_heads=int(config.num_key_value_heads),
        head_dim=int(getattr(config, "head_dim", None) or config.hidden_size // heads),
        vocabulary=int(config.vocab_size),
        tied=bool(config.tie_word_embeddings),
        biased=config.model_type == "qwen2",
        head_norms=config.model_type == "qwen3",
    )
