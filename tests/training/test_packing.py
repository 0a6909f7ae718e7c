"""Packing changes how examples lie beside each other, and nothing else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.training.packing import Example, fill_rows, side_by_side

EXAMPLES = [
    Example((5, 6, 7, 8, 9), 2),
    Example((20, 21, 22), 1),
    Example((30, 31, 32, 33, 34, 35, 36), 4),
    Example((40, 41), 1),
]


def logprobs(policy, examples, most_tokens):
    batches = side_by_side(examples, most_tokens, policy.device)
    return torch.cat([policy.batch_logprobs(batch)[0] for batch in batches])


@pytest.mark.parametrize("most_tokens", [12, 100])
def test_packed_examples_have_the_logprobs_and_gradients_of_transformers_one_at_a_time(fresh_policy, most_tokens):
    packed = logprobs(fresh_policy, EXAMPLES, most_tokens)
    packed.sum().backward()
    gradient = fresh_policy.model.model.embed_tokens.weight.grad.clone()
    fresh_policy.model.zero_grad()
    lonely = []
    for example in EXAMPLES:
        ids = torch.tensor([example.token_ids])
        rows = fresh_policy.model(ids).logits.log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None]).squeeze(-1)
        lonely.append(rows[example.prompt_tokens - 1 :])
    torch.cat(lonely).sum().backward()
    assert torch.allclose(packed, torch.cat(lonely), atol=1e-5)
    assert torch.allclose(gradient, fresh_policy.model.model.embed_tokens.weight.grad, atol=1e-4)


def test_a_neighbour_cannot_be_seen(policy):
    other = Example((99, 98, 97, 96, 95), 2)
    with torch.no_grad():
        one = logprobs(policy, [EXAMPLES[0], EXAMPLES[1]], 10)
        two = logprobs(policy, [other, EXAMPLES[1]], 10)
    assert torch.allclose(one[3:], two[3:], atol=1e-6)


def test_a_prompt_is_read_once_for_its_examples():
    both = [Example((5, 6, 7, 8), 2), Example((5, 6, 9), 2)]
    (batch,) = side_by_side(both, 100, torch.device("cpu"))
    assert batch.input_ids.tolist() == [5, 6, 7, 8, 9]
    assert batch.targets.tolist() == [7, 8, 9]


@given(st.lists(st.integers(1, 20), max_size=60))
def test_every_example_lies_in_one_row_in_order_and_no_row_overflows(lengths):
    rows = fill_rows(lengths, 20)
    assert [index for row in rows for index in row] == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= 20 for row in rows)


def test_an_example_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="21 tokens"):
        fill_rows([21], 20)
