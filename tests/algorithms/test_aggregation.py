"""How token losses add up: the three ways by hand, and that no cut of the batch changes them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.algorithms.aggregation import token_weights


def test_the_three_ways_by_hand():
    lengths = torch.tensor([1, 3])  # losses 6 for the one token, 2 for each of the three
    losses = [6.0, 2.0]
    expected = {
        "token": (6 + 2 + 2 + 2) / 4,
        "sequence": (6 + 2) / 2,
        "constant": (6 + 2 + 2 + 2) / (2 * 10),
    }
    for aggregation, value in expected.items():
        weights = token_weights(lengths, aggregation, constant_tokens=10)
        total = sum(float(w) * loss * int(n) for w, loss, n in zip(weights, losses, lengths, strict=True))
        assert total == pytest.approx(value)


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=64))
def test_token_and_sequence_weights_make_a_mean(lengths):
    for aggregation in ("token", "sequence"):
        weights = token_weights(torch.tensor(lengths), aggregation, constant_tokens=1)
        assert float((weights * torch.tensor(lengths)).sum()) == pytest.approx(1.0)


def test_an_empty_completion_gets_no_weight_and_breaks_nothing():
    weights = token_weights(torch.tensor([0, 2]), "sequence", constant_tokens=1)
    assert weights.tolist() == [0.0, 0.25]
    assert token_weights(torch.tensor([0, 0]), "token", constant_tokens=1).isfinite().all()
