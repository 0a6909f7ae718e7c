"""Peak memory of a run by phase, as a closed formula. Pure.

What is held follows from the code: weights and a reference in the compute dtype, fp32 masters beside bf16 weights
(`training.model.optimizer`), two fp32 moments, fp32 gradients, the engine's cache, allocated once and kept
(`rollout.decoder`). What is transient is counted in values a token. The counts were fitted to a run of the
program's own code on fake tensors (R1-Distill-Qwen-1.5B, five settings; docs/plan.md has the differences):

- with checkpointing, the input of every layer, and one layer's whole graph while it is computed again;
- the head's chunk of logits in four and a half fp32 copies at once (`algorithms.logprobs`);
- in a rollout, a row of logits in fp32 twice and in fp64 twice (`rollout.sampling`).
"""

from dataclasses import dataclass

from frugalrl.planning.forecast.shape import ModelShape

GB = 1e9
_LOGIT_COPIES = 4.5
_DRAW_BYTES = 24
"""Of a logit while a token is drawn: fp32 twice, fp64 softmax and sum."""
_PER_HIDDEN, _PER_INTERMEDIATE = 16.0, 4.03
"""Values that a layer's graph keeps for a token, in multiples of the hidden and the intermediate size. With them the
formula gives the 26.1 GB that R1-Distill-Qwen-1.5B needs more without checkpointing (8,192 tokens, bf16)."""
_HOST_GB = 0.45
"""CUDA context, or Python with torch and transformers."""


@dataclass(frozen=True)
class MemorySettings:
    """What memory depends on beside the model."""

    value_bytes: int
    """Of the compute dtype: 2 or 4."""
    trained: int
    """Parameters that are trained: all, or those of adapters."""
    has_reference: bool
    """Whether a second copy of the weights is held."""
    checkpointing: bool
    rollout_rows: int
    rollout_tokens: int
    """Of prompt and completion at their longest."""
    evaluation_rows: int
    """Of an engine of its own for evaluations; 0 if one engine serves both."""
    evaluation_tokens: int
    micro_batch_tokens: int
    logits_chunk: int


@dataclass(frozen=True)
class MemoryPlan:
    """Gigabytes (10^9 bytes)."""

    parts: dict[str, float]
    """What is held at the peak of the update, by name."""
    rollout_gb: float
    """At the peak of a rollout after the first update."""
    update_gb: float

    @property
    def peak_gb(self) -> float:
        """The larger of both phases."""
        return max(self.rollout_gb, self.update_gb)


def memory_of(shape: ModelShape, settings: MemorySettings) -> MemoryPlan:
    """The closed formula."""
    width, weights = settings.value_bytes, shape.parameters
    total = weights + (settings.trained if settings.trained < weights else 0)
    held = {
        "weights": total * width,
        "reference": weights * width if settings.has_reference else 0,
        "fp32 masters": settings.trained * 4 if width < 4 else 0,
        "moments": settings.trained * 8,
        "cache": _cache(shape, settings.rollout_rows, settings.rollout_tokens, width),
        "cache of evaluations": _cache(shape, settings.evaluation_rows, settings.evaluation_tokens, width),
        "process": _HOST_GB * GB,
    }
    rows = max(settings.rollout_rows, settings.evaluation_rows)
    drawing = rows * shape.vocabulary * _DRAW_BYTES
    update = {
        "gradients": settings.trained * 4,
        "activations": activation_bytes(shape, settings),
        "head": _LOGIT_COPIES * min(settings.logits_chunk, settings.micro_batch_tokens) * shape.vocabulary * 4,
    }
    parts = {name: size / GB for name, size in {**held, **update}.items() if size}
    base = sum(held.values())
    return MemoryPlan(parts, (base + drawing) / GB, (base + sum(update.values())) / GB)


def activation_bytes(shape: ModelShape, settings: MemorySettings) -> float:
    """What the graph of a micro-batch keeps."""
    tokens = settings.micro_batch_tokens
    layer = tokens * (_PER_HIDDEN * shape.hidden + _PER_INTERMEDIATE * shape.intermediate) * settings.value_bytes
    if not settings.checkpointing:
        return shape.layers * layer
    return shape.layers * tokens * shape.hidden * settings.value_bytes + layer


def _cache(shape: ModelShape, rows: int, tokens: int, width: int) -> float:
    """Keys and values, and the random numbers, tokens and log-probs of each row."""
    return rows * (-(-tokens // 64) * 64) * (shape.cache_values_per_token * width + 20)
