"""Norms, gates and attention of a transformers model on a CPU, computed by kernels of our own in place of its modules.

A module keeps its weights, its name and its hooks and gets a subclass of its class, which computes by kernels what they
can compute (fp32, in one piece) and leaves the rest to the class it had: 16 bits, fp64, tensors that are only traced.
"""

from typing import Any

from torch import Tensor, nn

from frugalrl.types import AttentionLayout

NORMS = ("Qwen2RMSNorm", "Qwen3RMSNorm", "LlamaRMSNorm")
MLPS = ("Qwen2MLP", "Qwen3MLP", "LlamaMLP")
ATTENTIONS = ("Qwen2Attention", "Qwen3Attention", "LlamaAttention")
GATES = ("SiLUActivation", "SiLU")


def use_kernels(model: nn.Module) -> None:
    """Let the modules of a model that lies on a CPU compute by kernels. Its outputs stay the same but for rounding."""
    if next(model.parameters()).device.type != "cpu":
        return
    for module in model.modules():
        name = type(module).__name__
        if hasattr(module, "plain_forward"):
            continue
        if name in NORMS:
            _give(module, _norm)
        elif name in ATTENTIONS:
            _give(module, _attention)
        elif name in MLPS and type(module.act_fn).__name__ in GATES:
            _give(module, _mlp)


def has_kernels(model: nn.Module) -> bool:
    """Whether kernels compute parts of it."""
    return any(hasattr(module, "plain_forward") for module in model.modules())


def _give(module: nn.Module, forward: Any) -> None:
    """A subclass of the module's class, with its name, and that forward pass."""
    own = type(module)
    module.__class__ = type(own.__name__, (own,), {"forward": forward, "plain_forward": own.forward})


def _norm(self: Any, hidden_states: Tensor) -> Tensor:
    from frugalrl.kernels.functions import fits_kernels, normed

    if fits_kernels(hidden_states, self.weight):
        return normed(hidden_states, self.weight, self.variance_epsilon)
    return self.plain_forward(hidden_states)  # type: ignore[no-any-return]


def _mlp(self: Any, x: Tensor) -> Tensor:
    from frugalrl.kernels.functions import fits_kernels, gated

    gate, up = self.gate_proj(x), self.up_proj(x)
    hidden = gated(gate, up) if fits_kernels(gate, up) else self.act_fn(gate) * up
    return self.down_proj(hidden)  # type: ignore[no-any-return]


def _attention(
    self: Any,
    hidden_states: Tensor,
    position_embeddings: tuple[Tensor, Tensor],
    *others: Any,
    layout: AttentionLayout | None = None,
    **more: Any,
) -> Any:
    """With a layout by kernels; without one, or where they do not fit, as the class does."""
    from frugalrl.kernels.attention import attended, suits_attention
    from frugalrl.kernels.functions import fits_kernels

    if layout is None:
        return self.plain_forward(hidden_states, position_embeddings, *others, **more)
    suits = suits_attention(self.head_dim, self.config.num_key_value_heads, layout.sequences)
    if not suits or not fits_kernels(hidden_states, *position_embeddings):
        return self.plain_forward(hidden_states, position_embeddings, *others, layout=layout, **more)
    projections = (self.q_proj, self.k_proj, self.v_proj)
    queries, keys, values = (one(hidden_states[0]).unflatten(1, (-1, self.head_dim)) for one in projections)
    if hasattr(self, "q_norm"):
        queries, keys = self.q_norm(queries), self.k_norm(keys)
    cosines, sines = (one[0] for one in position_embeddings)
    out = attended(queries, keys, values, cosines, sines, self.scaling, layout.sequences)
    return self.o_proj(out.flatten(1)[None]), None
