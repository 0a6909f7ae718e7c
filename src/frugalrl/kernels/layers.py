"""A layer of a decoding step in fp32 as one call: between the kernels of a small model, Python took as long as they do.

It computes what `decoding` and `products` compute one after the other, so it has their bits.
"""

from frugalrl.kernels import decoding, products
from frugalrl.kernels.jit import Numbers, compiled

SOURCES_DIGEST = "dec8325c500cfbe9"
"""Of the files of this room that are imported here: numba uses what it kept on disk until this file changes."""


@compiled
def layer(
    input_norm: Numbers, query_norm: Numbers, key_norm: Numbers, post_norm: Numbers,
    qkv: Numbers, qkv_bias: Numbers, out: Numbers, out_bias: Numbers,
    gate_up: Numbers, gate_up_bias: Numbers, down: Numbers, down_bias: Numbers,
    rotations: Numbers, epsilon: float, keys: Numbers, values: Numbers, work: Numbers, nothing: Numbers,
    normed: Numbers, states: Numbers, attended: Numbers, between: Numbers, both: Numbers, gated: Numbers,
    index: int, positions: Numbers, hidden: Numbers,
) -> None:  # fmt: skip
    """Takes hidden states [N, H] to the next layer, in place.

    Norms as `decoding` wants them; projections as panels and bias, see `products.product`; rotary pairs are neighbours.
    rotations, keys, values, work, positions: see `decoding.attend`. nothing: [0, 1]. Then memory for what is made on
    the way, [N, width] each. index: of the layer in the cache.
    """
    rows = hidden.shape[0]
    decoding.norm(hidden, input_norm, epsilon, normed)
    products.product(normed, qkv, qkv_bias, nothing, states, 0, qkv.shape[0])
    decoding.attend(
        states, positions, rotations, True, False, query_norm, key_norm, epsilon, keys, values, index, attended,
        0, rows, work,
    )  # fmt: skip
    products.product(attended, out, out_bias, hidden, between, 0, out.shape[0])
    decoding.norm(between, post_norm, epsilon, normed)
    products.product(normed, gate_up, gate_up_bias, nothing, both, 0, gate_up.shape[0])
    decoding.gate(both, gated)
    products.product(gated, down, down_bias, between, hidden, 0, down.shape[0])


@compiled
def logits(
    norm: Numbers, head: Numbers, epsilon: float, nothing: Numbers, hidden: Numbers, normed: Numbers, out: Numbers
) -> None:
    """Of the tokens that follow hidden states [N, H]."""
    decoding.norm(hidden, norm, epsilon, normed)
    products.product(normed, head, nothing, nothing, out, 0, head.shape[0])
