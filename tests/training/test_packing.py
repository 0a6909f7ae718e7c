"""Packing changes how examples lie beside each other, and nothing else."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.training.packing import Example, fill_rows, pack

EXAMPLES = [
    Example((5, 6, 7, 8, 9), 2),
    Example((20, 21, 22), 1),
    Example((30, 31, 32, 33, 34, 35, 36), 4),
    Example((40, 41), 1),
]


def losses(policy, rows, row_tokens):
    packed = pack(rows, row_tokens, policy.pad_token_id)
    logprobs, _ = policy.logprobs(packed.input_ids, packed.loss_mask, position_ids=packed.position_ids)
    return logprobs


def test_packed_examples_have_the_logprobs_and_gradients_of_lonely_ones(fresh_policy):
    packed = losses(fresh_policy, [EXAMPLES[:2], EXAMPLES[2:]], 12)
    packed.sum().backward()
    gradient = fresh_policy.model.model.embed_tokens.weight.grad.clone()
    fresh_policy.model.zero_grad()
    lonely = torch.cat([losses(fresh_policy, [[example]], len(example.token_ids)) for example in EXAMPLES])
    lonely.sum().backward()
    assert torch.allclose(packed, lonely, atol=1e-5)
    assert torch.allclose(gradient, fresh_policy.model.model.embed_tokens.weight.grad, atol=1e-4)


def test_a_neighbour_cannot_be_seen(policy):
    other = Example((99, 98, 97, 96, 95), 2)
    with torch.no_grad():
        one = losses(policy, [[EXAMPLES[0], EXAMPLES[1]]], 10)
        two = losses(policy, [[other, EXAMPLES[1]]], 10)
    assert torch.allclose(one[3:], two[3:], atol=1e-6)


def test_only_the_completion_is_learned():
    packed = pack([[EXAMPLES[0], EXAMPLES[1]]], 10, pad_id=0)
    assert packed.loss_mask[0].tolist() == [False, False, True, True, True, False, True, True, False, False]
    assert packed.position_ids[0].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 0, 1]


@given(st.lists(st.integers(1, 20), max_size=60))
def test_every_example_lies_in_one_row_in_order_and_no_row_overflows(lengths):
    rows = fill_rows(lengths, 20)
    assert [index for row in rows for index in row] == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= 20 for row in rows)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=20), st.integers(18, 40))
def test_packing_loses_no_token_and_learns_from_completions_only(sizes, row_tokens):
    """Prompt and completion sizes; every example is read back out of its row by its positions."""
    examples = [
        Example(tuple(range(100 * number, 100 * number + prompt + completion)), prompt)
        for number, (prompt, completion) in enumerate(sizes, start=1)
    ]
    rows = [[examples[at] for at in row] for row in fill_rows([len(one.token_ids) for one in examples], row_tokens)]
    packed = pack(rows, row_tokens, pad_id=0)
    unpacked = []
    for ids, positions, mask in zip(packed.input_ids, packed.position_ids, packed.loss_mask, strict=True):
        starts = (positions == 0).nonzero().squeeze(-1).tolist()
        for start, end in itertools.pairwise([*starts, row_tokens]):
            if ids[start] != 0:  # else the padding
                assert positions[start:end].tolist() == list(range(end - start))
                unpacked.append(Example(tuple(ids[start:end].tolist()), int((~mask[start:end]).sum())))
            else:
                assert not mask[start:end].any()
    assert unpacked == examples
    assert int(packed.loss_mask.sum()) == sum(completion for _, completion in sizes)


def test_an_example_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="21 tokens"):
        fill_rows([21], 20)
