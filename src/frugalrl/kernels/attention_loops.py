"""Causal attention of sequences that share a prompt, forward and backward, over flat rows of tokens, with rotation.

A kernel computes one head of keys and values for a prompt and the sequences that go on from it. The prompt's tokens
ask as a sequence of their own; those of the others ask the prompt's keys and their own before them. Queries are taken
32 at a time: their scores of all keys that one of them sees, a softmax, their outputs. The five products of the
backward pass and the two of the forward pass are one function (`attention_blocks`). Every sum is made in an order that
lengths alone decide.
"""

import numpy as np
from numpy import float32 as f32

from frugalrl.kernels.attention_blocks import (
    BLOCK,
    add_rows,
    add_transposed_products,
    dot,
    padded,
    products_with_panels,
    products_with_rows,
    read_rows,
    read_turned,
    rows_to_panels,
    slopes_of,
    softmax,
    turn_back,
    write_rows,
)
from frugalrl.kernels.jit import Floats, Integers, compiled

SOURCES_DIGEST = "748a23b3950051a0"
"""Of the files of this room that are imported here: numba uses what it kept on disk until this file changes."""


@compiled
def _rooms(size: int) -> tuple[Floats, Floats, Floats]:
    return np.zeros(size, f32), np.zeros(size, f32), np.zeros(size, f32)


@compiled
def attend(
    sequences: Integers,
    head: int,
    queries: Floats,
    keys: Floats,
    values: Floats,
    cosines: Floats,
    sines: Floats,
    scale: np.float32,
    out: Floats,
    logsums: Floats,
) -> None:
    """One head of keys and values, for one prompt.

    sequences [S, 3]: tokens before its own that it sees, its first token, its number of tokens. The first is the
    prompt. queries, out [N, heads, D]; keys, values [N, kv_heads, D]; cosines, sines [N, D]. logsums [N, heads]: log of
    the sum of the exponentials of a query's scores, for the backward pass.
    """
    dim, heads = queries.shape[2], queries.shape[1] // keys.shape[1]
    longest = padded((sequences[:, 0] + sequences[:, 2]).max())
    key_rows, value_rows, panels = _rooms(longest * dim)
    scores, asked, attended = np.zeros(BLOCK * longest, f32), np.zeros(BLOCK * dim, f32), np.zeros(BLOCK * dim, f32)
    for prefix, first, count in sequences:
        read_turned(keys, head, first, count, cosines, sines, f32(1), key_rows, prefix)
        rows_to_panels(key_rows, prefix, count, dim, panels)
        read_rows(values, head, first, count, value_rows, prefix)
        for asking in range(head * heads, (head + 1) * heads):
            for start in range(0, count, BLOCK):
                token, here = first + start, min(BLOCK, count - start)
                seen = prefix + start + here
                width = padded(seen)
                read_turned(queries, asking, token, here, cosines, sines, scale, asked, 0)
                products_with_panels(asked, here, panels, width, dim, scores)
                for row in range(here):
                    logsums[token + row, asking] = softmax(scores, row * width, prefix + start + row + 1, width)
                products_with_rows(scores, here, width, value_rows, seen, dim, attended)
                write_rows(attended, 0, here, out, asking, token)


@compiled
def attend_backward(
    sequences: Integers,
    head: int,
    queries: Floats,
    keys: Floats,
    values: Floats,
    cosines: Floats,
    sines: Floats,
    scale: np.float32,
    out: Floats,
    logsums: Floats,
    gradient: Floats,
    for_queries: Floats,
    for_keys: Floats,
    for_values: Floats,
) -> None:
    """See `attend`. Gradients have the shapes of what they belong to; those of the prompt's keys and values add up."""
    dim, heads = queries.shape[2], queries.shape[1] // keys.shape[1]
    longest = padded((sequences[:, 0] + sequences[:, 2]).max())
    key_rows, key_panels, key_sums = _rooms(longest * dim)
    value_rows, value_panels, value_sums = _rooms(longest * dim)
    shares, slopes = np.zeros(BLOCK * longest, f32), np.zeros(BLOCK * longest, f32)
    asked, arriving, back = _rooms(BLOCK * dim)
    attended = np.zeros(BLOCK * dim, f32)
    for number in range(sequences.shape[0]):
        prefix, first, count = sequences[number]
        read_turned(keys, head, first, count, cosines, sines, f32(1), key_rows, prefix)
        rows_to_panels(key_rows, prefix, count, dim, key_panels)
        read_rows(values, head, first, count, value_rows, prefix)
        rows_to_panels(value_rows, prefix, count, dim, value_panels)
        key_sums[prefix * dim :] = f32(0)
        value_sums[prefix * dim :] = f32(0)
        for asking in range(head * heads, (head + 1) * heads):
            for start in range(0, count, BLOCK):
                token, here = first + start, min(BLOCK, count - start)
                seen = prefix + start + here
                width = padded(seen)
                read_turned(queries, asking, token, here, cosines, sines, scale, asked, 0)
                read_rows(gradient, asking, token, here, arriving, 0)
                read_rows(out, asking, token, here, attended, 0)
                products_with_panels(asked, here, key_panels, width, dim, shares)
                products_with_panels(arriving, here, value_panels, width, dim, slopes)
                for row in range(here):
                    mean = dot(arriving, row * dim, attended, row * dim, dim)
                    logsum = logsums[token + row, asking]
                    slopes_of(shares, slopes, row * width, prefix + start + row + 1, width, logsum, mean)
                add_transposed_products(shares, here, width, arriving, seen, dim, value_sums)
                add_transposed_products(slopes, here, width, asked, seen, dim, key_sums)
                products_with_rows(slopes, here, width, key_rows, seen, dim, back)
                turn_back(back, 0, here, token, cosines, sines, scale)
                write_rows(back, 0, here, for_queries, asking, token)
        turn_back(key_sums, prefix, count, first, cosines, sines, f32(1))
        write_rows(key_sums, prefix, count, for_keys, head, first)
        write_rows(value_sums, prefix, count, for_values, head, first)
        if number == 0:
            key_sums[:] = f32(0)
            value_sums[:] = f32(0)
    if sequences.shape[0] > 1:
        _, first, count = sequences[0]
        turn_back(key_sums, 0, count, first, cosines, sines, f32(1))
        add_rows(key_sums, 0, count, for_keys, head, first)
        add_rows(value_sums, 0, count, for_values, head, first)
