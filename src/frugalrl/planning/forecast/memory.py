"""Peak memory of a run by phase, as a closed formula. Pure.

What is held follows from the code: weights and a reference in the compute dtype, fp32 masters beside bf16 weights
(`training.model.optimizer`), two fp32 moments, fp32 gradients; while sampling, and only then, the engine's copy of the
weights and its cache (`rollout.packed_weights`, `rollout.kv_cache`). What is transient is counted in values a token:

- with checkpointing, the input of every layer, and one layer's whole graph while it is computed again; its
  constants are those of the program's own code on fake tensors;
- of the head, two fp32 buffers of a chunk's logits, a third in 16 bits, its gradient's fp32 sum and what a chunk adds
  to it, and on a CPU its fp32 copy (`algorithms.logprobs`);
- of a reference that waits in host memory, nothing: it scores before there are gradients, which are larger;
- while a token is drawn, a row's logits three times in fp32 (`rollout.sampling`);
- in lanes (`training.gradients`), a micro-batch in each, and up to three gradients a lane: its own, and two that wait.
"""

import math
from dataclasses import dataclass, field, replace

from frugalrl.planning.forecast.shape import ModelShape

GB = 1e9
_LOGIT_COPIES = 2
_DRAW_BYTES = 12
"""Of a logit while a token is drawn: as computed, divided by the temperature, and its probability, each in fp32."""
_KEPT_HIDDEN, _KEPT_NORMED = {2: 8, 4: 6}, {2: 3, 4: 2}
"""Values that a layer's graph keeps for a token, in multiples of the hidden size, and of queries and keys where they
are normalised (Qwen3); by bytes of a value, since norms keep fp32 copies of 16-bit states. These and the next are the
exact growth of the code on fake tensors from layer to layer, on eight shapes."""
_KEPT_INTERMEDIATE, _KEPT_QUERIES, _KEPT_KEYS = 4, 3, 2
"""The same in multiples of the intermediate size, of all queries, and of all keys."""
_KEPT_FOR_NORMS = 2, 1
"""How much less of the first two where norms are not trained, as with adapters, which keep their own products."""
_BY_KERNELS = 4, 1, 3, 2
"""Of hidden size, normalised queries and keys, intermediate size and queries, what kernels of a CPU keep in fp32
(`frugalrl.kernels`): a norm its input, a gate its two operands, attention a rotation less."""
_ATTENTION_BLOCK = 32
"""Attention's kernels take heads of a multiple of it."""
_PASSING_INTERMEDIATE, _PASSING_HIDDEN = 3, {2: 5, 4: 0}
"""Gradients of the intermediate size that a layer's backward pass holds at once, and without checkpointing fp32 copies
of the hidden size."""
_BEFORE_HEAD = {2: 5, 4: 3.5}
"""Values of the hidden size that the last norm and the head's input keep until the head's backward pass is done."""
_EIGHT_BIT_MOMENTS = 2 * (1 + 4 / 256)
"""Two bytes a weight, and for each block of 256 the two scales."""
CHECKPOINT_COPY = "copy of a checkpoint"
NO_TENSORS = ("process", "oneDNN's programs", "kept by the C library", "other lanes", CHECKPOINT_COPY, "server")
"""What a plan has beside the tensors of one lane, by the names of its parts."""
_CONTEXT_GB, _PYTHON_GB = 0.45, 0.56
"""CUDA's context; Python on a CPU with torch, transformers, compiled kernels and this program after the first update,
less the tensors of the tiny model. Of it 0.1 are the kernels; in the run that compiles them, 0.17."""
_LIBRARIES_GB = 0.07
"""peft, bitsandbytes, or both."""
_LARGEST_KEPT = 32e6
"""Bytes: the C library gives a larger block back to the system when it is freed; a smaller one stays, as a gap that the
other phase hardly uses again. Seen in resident sets over time at 10 M and 97 M parameters (docs/lab-log.md)."""
_TEMPORARIES = 1.0
"""Gaps that are left between activations, as a share of them: with adapters by temporary tensors (1.1 of 10 M
parameters), in 16 bits by oneDNN's programs, which are made among them and stay (1.1; none where none is kept)."""
_PROGRAM_BYTES = 0.65e6, 0.92e6
"""Of what oneDNN keeps for a product of 16-bit operands of one shape, while decoding and in an update; measured on
layers of 384 and 512."""


@dataclass(frozen=True)
class MemorySettings:
    """What memory depends on beside the model."""

    value_bytes: int
    """Of the compute dtype: 2 or 4."""
    trained: int
    """Parameters that are trained: all, or those of adapters."""
    has_reference: bool
    """Whether a second copy of the weights is held."""
    trains_head: bool
    checkpointing: bool
    rollout_rows: int
    """0 if servers sample."""
    rollout_tokens: int
    """Of prompt and completion at their longest."""
    evaluation_rows: int
    evaluation_tokens: int
    update_tokens: int
    """Of prompt and completion at their longest in training."""
    micro_batch_tokens: int
    """That are computed at once; a prompt that rows share counts once."""
    loss_tokens: int
    """Of a micro-batch: those of completions."""
    logits_chunk: int
    state_bits: int = 32
    """Of each of AdamW's moments; 8: of matrices but the embedding."""
    offload: bool = False
    """Whether masters and moments are in host memory."""
    reference_waits: bool = False
    """Whether the reference's weights are in host memory but while they score a batch."""
    on_cpu: bool = False
    """Whether host memory is all there is."""
    adapted_values: int = 0
    """Rank times targets of adapters; 0 where all weights are trained."""
    merged_parameters: int = 0
    """Of the matrices that have adapters, which are merged for an evaluation, and in fp32 for any sampling."""
    by_prompt: tuple[int, ...] = ()
    """Completions of each prompt of the largest micro-batch; empty: full of rows with a prompt of their own each."""
    lanes: int = 1
    """Threads that each compute a micro-batch (`frugalrl.lanes`)."""
    products: tuple[int, int] = (0, 0)
    """Shapes of 16-bit products that oneDNN keeps a program for: of decoding, and of updates."""
    saves_reference: bool = False
    """Whether the reference moves, and so is part of a checkpoint."""
    copy_share: float = 0.0
    """Of free host memory, which the copy of a checkpoint that is being written may take
    (`training.state.background`); 0: there is none."""
    free_gb: float = math.inf
    """Host memory before the run."""


@dataclass(frozen=True)
class MemoryPlan:
    """Gigabytes (10^9 bytes)."""

    held: dict[str, float]
    """What is there all the time, by name."""
    sampling: dict[str, float]
    """What is there besides while completions are sampled, for training or for an evaluation."""
    updating: dict[str, float]
    """What is there besides at the peak of the update."""
    on_host: dict[str, float] = field(default_factory=dict)
    """What lies in host memory beside a GPU, by name."""

    @property
    def rollout_gb(self) -> float:
        """At the peak of a rollout or an evaluation after the first update."""
        return sum(self.held.values()) + sum(self.sampling.values())

    @property
    def update_gb(self) -> float:
        """At the peak of the update."""
        return sum(self.held.values()) + sum(self.updating.values())

    @property
    def peak_gb(self) -> float:
        """The larger of both phases."""
        return max(self.rollout_gb, self.update_gb)

    @property
    def copy_gb(self) -> float:
        """What the copy of a checkpoint adds to a rollout on a CPU."""
        return self.sampling.get(CHECKPOINT_COPY, 0.0)

    @property
    def needed_gb(self) -> float:
        """The peak without that copy, which a run makes only where it has the memory."""
        return max(self.rollout_gb - self.copy_gb, self.update_gb)


def memory_of(shape: ModelShape, settings: MemorySettings) -> MemoryPlan:
    """The closed formula."""
    width, weights = settings.value_bytes, shape.parameters
    total = weights + (settings.trained if settings.trained < weights else 0)
    on_host = {
        "reference": weights * width if settings.has_reference and settings.reference_waits else 0,
        "fp32 masters": settings.trained * 4 if settings.offload else 0,
        "moments": moment_bytes(shape, settings) if settings.offload else 0,
    }
    held = {
        "weights": total * width,
        "reference": weights * width if settings.has_reference and not settings.reference_waits else 0,
        "fp32 masters": settings.trained * 4 if width < 4 and not settings.offload else 0,
        "moments": 0 if settings.offload else moment_bytes(shape, settings),
        "process": _process_gb(settings) * GB,
        "oneDNN's programs": sum(a * b for a, b in zip(settings.products, _PROGRAM_BYTES, strict=True)),
    }
    if settings.on_cpu:
        held, on_host = {name: size + on_host.get(name, 0) for name, size in held.items()}, {}
    caches = (
        _cache(shape, settings.rollout_rows, settings.rollout_tokens, width),
        _cache(shape, settings.evaluation_rows, settings.evaluation_tokens, width),
    )
    rows = max(settings.rollout_rows, settings.evaluation_rows)
    merged = settings.merged_parameters * width if rows else 0
    sampling = {
        "copy of the weights": _engine_bytes(shape, settings) if rows else 0,
        "merged adapters": merged,
        "cache": max(caches),
        "logits": rows * shape.vocabulary * _DRAW_BYTES,
    }
    updating = {
        "gradients": settings.trained * 4,
        "activations": kept_activations(shape, settings),
        **_passing(shape, settings),
    }
    if settings.on_cpu:
        updating["other lanes"] = (settings.lanes - 1) * (2 * settings.trained * 4 + sum(updating.values()))
        cached = 0 if max(caches) / 2 > _LARGEST_KEPT else max(caches)  # keys and values have a block each
        left_by_sampling = sum(sampling.values()) - sampling["cache"] + cached
        sampling["kept by the C library"] = sum(updating.values())
        temporaries = _TEMPORARIES * (settings.adapted_values > 0 or width < 4) * updating["activations"]
        updating["kept by the C library"] = left_by_sampling + temporaries
    return _with_copy(MemoryPlan(_in_gb(held), _in_gb(sampling), _in_gb(updating), _in_gb(on_host)), shape, settings)


def _with_copy(memory: MemoryPlan, shape: ModelShape, settings: MemorySettings) -> MemoryPlan:
    """With the copy of a checkpoint, which is written while the next rollout goes on.

    It is made at the end of an update and takes the place of what that has freed, as far as that goes. One that the
    memory does not hold beside the peak is not made.
    """
    copy = saved_bytes(shape, settings) / GB
    if settings.copy_share == 0 or copy > settings.copy_share * (settings.free_gb - memory.peak_gb * settings.on_cpu):
        return memory
    if not settings.on_cpu:
        return replace(memory, on_host={**memory.on_host, CHECKPOINT_COPY: copy})
    beyond = copy - memory.sampling.get("kept by the C library", 0.0)
    return replace(memory, sampling={**memory.sampling, CHECKPOINT_COPY: beyond}) if beyond > 0 else memory


def _engine_bytes(shape: ModelShape, settings: MemorySettings) -> float:
    """Of the engine's weights: the head is always its own, and on a CPU in fp32."""
    others = shape.parameters - (0 if shape.tied else shape.embedding)
    return others * settings.value_bytes + shape.embedding * (4 if settings.on_cpu else settings.value_bytes)


def _process_gb(settings: MemorySettings) -> float:
    """What is there before any tensor: of the device's memory."""
    if not settings.on_cpu:
        return _CONTEXT_GB
    return _PYTHON_GB + _LIBRARIES_GB * (settings.adapted_values > 0 or settings.state_bits == 8)


def moment_bytes(shape: ModelShape, settings: MemorySettings) -> float:
    """AdamW's two moments of what is trained. Vectors, which keep 32 bits, are too few to count."""
    if settings.state_bits == 32:
        return settings.trained * 8
    kept = min(shape.embedding, settings.trained) if settings.trains_head else 0
    return kept * 8 + (settings.trained - kept) * _EIGHT_BIT_MOMENTS


def saved_bytes(shape: ModelShape, settings: MemorySettings) -> float:
    """Of a checkpoint: what is trained in the compute dtype, masters, moments, and a reference that is not the base."""
    masters = settings.trained * 4 * (settings.value_bytes < 4 or settings.offload)
    reference = shape.parameters * settings.value_bytes * settings.saves_reference
    return settings.trained * settings.value_bytes + masters + moment_bytes(shape, settings) + reference


def held_through_a_step(shape: ModelShape, settings: MemorySettings) -> float:
    """Bytes of weights, reference, gradients and optimizer states, as `training.model.held` counts them."""
    states = (
        0 if settings.offload else moment_bytes(shape, settings) + settings.trained * 4 * (settings.value_bytes < 4)
    )
    copies = 2 if settings.has_reference else 1
    return shape.parameters * settings.value_bytes * copies + settings.trained * 4 + states


def _in_gb(parts: dict[str, float]) -> dict[str, float]:
    return {name: size / GB for name, size in parts.items() if size}


def _layer_bytes(shape: ModelShape, settings: MemorySettings) -> float:
    """Of a layer's graph."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    of_hidden, of_normed, of_intermediate, of_queries = _kept_of(shape, settings)
    values = of_hidden * shape.hidden + of_intermediate * shape.intermediate + of_queries * queries + _KEPT_KEYS * keys
    values += shape.head_norms * of_normed * (queries + keys)
    return settings.micro_batch_tokens * (values + settings.adapted_values) * settings.value_bytes


def _kept_of(shape: ModelShape, settings: MemorySettings) -> tuple[int, int, int, int]:
    """Multiples of hidden size, normalised queries and keys, intermediate size, and queries."""
    width, adapted = settings.value_bytes, settings.adapted_values > 0
    if settings.on_cpu and width == 4:
        hidden, normed, intermediate, of_queries = _BY_KERNELS
        return hidden, normed, intermediate, _KEPT_QUERIES if shape.head_dim % _ATTENTION_BLOCK else of_queries
    hidden, normed = _KEPT_HIDDEN[width], _KEPT_NORMED[width]
    norms, head_norms = _KEPT_FOR_NORMS
    return hidden - adapted * norms, normed - adapted * head_norms, _KEPT_INTERMEDIATE, _KEPT_QUERIES


def kept_activations(shape: ModelShape, settings: MemorySettings) -> float:
    """What the graph of a micro-batch keeps from the forward pass on."""
    if not settings.checkpointing:
        return shape.layers * _layer_bytes(shape, settings)
    return shape.layers * settings.micro_batch_tokens * shape.hidden * settings.value_bytes


def _passing(shape: ModelShape, settings: MemorySettings) -> dict[str, float]:
    """What comes and goes beside it: first the head's buffers, then those of the backward pass of a layer. The larger.

    With checkpointing a layer's graph is made again for its backward pass."""
    width = settings.value_bytes
    chunk = min(settings.logits_chunk, settings.loss_tokens)
    head: float = chunk * shape.vocabulary * (4 * _LOGIT_COPIES + (width if width < 4 else 0))
    head += settings.trains_head * 2 * shape.embedding * 4
    head += shape.embedding * 4 if settings.on_cpu and width < 4 else 0
    head += _BEFORE_HEAD[width] * settings.micro_batch_tokens * shape.hidden * width
    norms = 0 if settings.checkpointing else _PASSING_HIDDEN[width]
    passing = _PASSING_INTERMEDIATE * shape.intermediate + norms * shape.hidden
    layer: float = settings.micro_batch_tokens * passing * width
    layer += _layer_bytes(shape, settings) if settings.checkpointing else 0.0
    return {"head": head} if head >= layer else {"a layer's backward pass": layer}


def _cache(shape: ModelShape, rows: int, tokens: int, width: int) -> float:
    """Keys and values, and the random numbers, tokens and log-probs of each row."""
    return rows * (-(-tokens // 64) * 64) * (shape.cache_values_per_token * width + 20)
