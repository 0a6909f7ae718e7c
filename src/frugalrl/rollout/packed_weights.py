"""A Qwen2, Qwen3 or Llama model's weights laid out for decoding, filled from tensors by their Hub names.

The copy belongs to the engine, so it can be filled from anything that yields `(name, tensor)`: a model in this
process, a checkpoint's files, gathered shards, merged adapters. The three architectures share their tensor names; which
of them a model has (biases, norms of queries and keys, a head of its own) is read from the names themselves.

Decisions:
- q, k and v are one projection, gate and up another: fewer and larger matrix products.
- In fp32, rotary pairs (i, i + D/2) of queries and keys are made neighbours, so that a rotation is one complex product.
  Their dot products do not change by it, but for the order of the sum.
- In 16 bits the decoder rounds where the trainer rounds, so nothing is fused that would round less often: what matters
  there is the distance between engine and trainer.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from frugalrl.errors import ModelError
from frugalrl.rollout.projections import Adapted, AddedColumns, Layout, Projection, WideProducts, layout_for

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of each tensor of a model, by its name in a Hub checkpoint; a tied head has none."""
Adapters = Mapping[str, tuple[Tensor, Tensor]]
"""LoRA by the path of its layer: A [rank, inputs] and B [outputs, rank] with the scaling in it."""


@dataclass(frozen=True)
class ModelShape:
    """What of a model's configuration decoding needs."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    epsilon: float
    """Of the RMS norms."""

    @property
    def query_width(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.head_dim


def model_shape(config: Any) -> ModelShape:
    """From a transformers configuration."""
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        intermediate=config.intermediate_size,
        vocabulary=config.vocab_size,
        epsilon=config.rms_norm_eps,
    )


@dataclass(frozen=True)
class PackedLayer:
    """One decoder layer."""

    input_norm: Tensor
    qkv: Projection
    query_norm: Tensor | None
    key_norm: Tensor | None
    out: Projection
    post_norm: Tensor
    gate_up: Projection
    down: Projection


class PackedWeights:
    """The layers in order, the embedding [V, H], the last norm and the head."""

    def __init__(
        self,
        shapes: Shapes,
        shape: ModelShape,
        dtype: torch.dtype,
        device: torch.device,
        adapters: Adapters,
        laid_out_for: torch.device | None = None,
    ) -> None:
        """adapters: added to projections as the trainer adds them, not merged. laid_out_for: a forecast on another
        device asks for the layouts of this one; None: the device's own."""
        self._adapters = adapters
        self.shape = shape
        self.dtype = dtype
        self.pairs_together = dtype == torch.float32
        self._shapes, self._device = shapes, device
        self._modules: dict[str, Callable[[Tensor, Tensor | None], None]] = {}
        kind = laid_out_for or device
        self._layout: Layout = layout_for(self.dtype, kind)
        self.head_dtype = torch.float32 if kind.type == "cpu" else dtype
        """Of the head's operands. Its products are added up and given out in fp32, as the trainer's are."""
        self._tied = "lm_head.weight" not in shapes
        self.layers = [self._layer(index) for index in range(shape.layers)]
        self.norm = self._norm("model.norm")
        head_layout = layout_for(self.head_dtype, kind) if self.head_dtype == torch.float32 else WideProducts
        self.head = head_layout(shape.hidden, (shape.vocabulary,), False, self.head_dtype, device)
        self._modules["lm_head"] = self._putter(self.head, 0, rotary=False)
        self._modules["model.embed_tokens"] = self._put_embedding
        self.embedding = torch.empty(0)

    def fill(self, tensors: Iterable[tuple[str, Tensor]]) -> None:
        """Take every weight of the model, once, in any order; the caller's tensors are only read.

        The tensors of one module (a weight and its bias, and where projections are blocked together their weights) are
        held until all have come; nothing else is, so a caller may gather one tensor at a time. Raises ModelError if a
        tensor is unknown, has another shape, or is missing at the end: then the weights must not be used.
        """
        missing, held = set(self._shapes), dict[str, dict[str, Tensor]]()
        for name, tensor in tensors:
            if name == "lm_head.weight" and self._tied:
                continue
            refuse_unfit({name: tuple(tensor.shape)}, {name: self._shapes[name]} if name in self._shapes else {})
            missing.discard(name)
            module, _, kind = name.rpartition(".")
            own = held.setdefault(module, {})
            own[kind] = tensor.detach()
            if len(own) == 1 + (f"{module}.bias" in self._shapes):
                self._modules[module](own["weight"], own.get("bias"))
                del held[module]
        refuse_unfit({}, {name: self._shapes[name] for name in missing})
        self._modules.clear()  # they know this object: a cycle, which would outlive its last user by many steps

    def _layer(self, index: int) -> PackedLayer:
        at, shape = f"model.layers.{index}", self.shape
        attention = [f"{at}.self_attn.{which}_proj" for which in "qkvo"]
        mlp = [f"{at}.mlp.{which}_proj" for which in ("gate", "up", "down")]
        normed = f"{at}.self_attn.q_norm.weight" in self._shapes
        outputs = (shape.query_width, shape.kv_width, shape.kv_width)
        return PackedLayer(
            input_norm=self._norm(f"{at}.input_layernorm"),
            qkv=self._fused(attention[:3], shape.hidden, outputs, rotary_parts=2),
            query_norm=self._norm(f"{at}.self_attn.q_norm", rotary=True) if normed else None,
            key_norm=self._norm(f"{at}.self_attn.k_norm", rotary=True) if normed else None,
            out=self._fused(attention[3:], shape.query_width, (shape.hidden,)),
            post_norm=self._norm(f"{at}.post_attention_layernorm"),
            gate_up=self._fused(mlp[:2], shape.hidden, (shape.intermediate,) * 2),
            down=self._fused(mlp[2:], shape.intermediate, (shape.hidden,)),
        )

    def _fused(
        self, modules: Iterable[str], inputs: int, outputs: tuple[int, ...], rotary_parts: int = 0
    ) -> Projection:
        """rotary_parts: how many of the parts, from the first, are rotated."""
        names = list(modules)
        projection = self._layout(inputs, outputs, f"{names[0]}.bias" in self._shapes, self.dtype, self._device)
        for part, name in enumerate(names):
            self._modules[name] = self._putter(projection, part, rotary=part < rotary_parts)
        added = [
            self._adapter(name, sum(outputs[:part]), rotary=part < rotary_parts)
            for part, name in enumerate(names)
            if name in self._adapters
        ]
        return Adapted(projection, added) if added else projection

    def _adapter(self, name: str, first: int, rotary: bool) -> AddedColumns:
        down, up = (one.detach().to(self._device, self.dtype) for one in self._adapters[name])
        up = self._pairs_together(up) if rotary else up
        return AddedColumns(first, down.t().contiguous(), up.t().contiguous())

    def _putter(self, projection: Projection, part: int, rotary: bool) -> Callable[[Tensor, Tensor | None], None]:
        def put(weight: Tensor, bias: Tensor | None) -> None:
            if rotary:
                weight = self._pairs_together(weight)
                bias = None if bias is None else self._pairs_together(bias)
            projection.put(part, weight, bias)

        return put

    def _norm(self, module: str, rotary: bool = False) -> Tensor:
        own = torch.empty(self._shapes[f"{module}.weight"], dtype=self.dtype, device=self._device)

        def put(weight: Tensor, bias: Tensor | None) -> None:
            own.copy_(self._pairs_together(weight) if rotary else weight)

        self._modules[module] = put
        return own

    def _put_embedding(self, weight: Tensor, bias: Tensor | None) -> None:
        """A copy in the model's own dtype: it is only looked up."""
        self.embedding = weight.to(self._device, copy=True)
        if self._tied:
            self.head.put(0, self.embedding, None)

    def _pairs_together(self, weight: Tensor) -> Tensor:
        """Of each head's D outputs, (0 .. D-1) -> (0, D/2, 1, D/2 + 1, ...)."""
        if not self.pairs_together:
            return weight
        half = self.shape.head_dim // 2
        return weight.reshape(-1, 2, half, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


def refuse_unfit(given: Shapes, own: Shapes) -> None:
    """Raise ModelError, naming up to three, if tensors are missing, unknown or of another shape."""
    wrong = dict.fromkeys(own.keys() - given.keys(), "missing")
    wrong |= dict.fromkeys(given.keys() - own.keys(), "unknown")
    wrong |= {name: "of another shape" for name in own.keys() & given.keys() if own[name] != given[name]}
    if wrong:
        shown = ", ".join(f"{name} is {what}" for name, what in sorted(wrong.items())[:3])
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ModelError(
            f"The weights do not fit the engine's model: {shown}{more}. Give all of its tensors, by their names in a "
            "checkpoint in Hub layout."
        )
