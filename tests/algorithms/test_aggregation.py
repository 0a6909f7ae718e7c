"""How token losses add up: the three ways by hand, and that no cut of the batch changes them."""

import itertools

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


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=20),
    st.sampled_from(["token", "sequence", "constant"]),
    st.integers(1, 100),
    st.randoms(),
)
def test_any_cut_and_any_order_adds_up_to_one_loss(lengths, aggregation, constant, random):
    """Weights are made once for the batch; the parts of the loss then add up however the batch is cut."""
    losses = [[random.uniform(-2, 2) for _ in range(length)] for length in lengths]
    weights = token_weights(torch.tensor(lengths), aggregation, constant).tolist()
    parts = [weight * sum(own) for weight, own in zip(weights, losses, strict=True)]
    own_means = [sum(own) / len(own) if own else 0.0 for own in losses]
    tokens = [value for own in losses for value in own]
    expected = {
        "token": sum(tokens) / max(1, len(tokens)),
        "sequence": sum(own_means) / len(lengths),
        "constant": sum(tokens) / (len(lengths) * constant),
    }[aggregation]
    order = list(range(len(lengths)))
    random.shuffle(order)
    cuts = sorted({0, len(order), *(random.randrange(len(order)) for _ in range(3))})
    micro_batches = [order[start:end] for start, end in itertools.pairwise(cuts)]
    total = sum(sum(parts[at] for at in batch) for batch in micro_batches)
    assert total == pytest.approx(expected, rel=1e-9, abs=1e-12)
