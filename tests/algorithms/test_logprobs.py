"""Chunked log-probabilities against torch's own, values and gradients."""

import pytest
import torch

from frugalrl.algorithms.logprobs import token_logprobs


def inputs(tokens=37, hidden=16, vocabulary=53):
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(tokens, hidden, generator=generator, requires_grad=True)
    head = torch.randn(vocabulary, hidden, generator=generator, requires_grad=True)
    return states, head, torch.randint(vocabulary, (tokens,), generator=generator)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("chunk_tokens", [5, 37, 1000])
def test_values_and_gradients_equal_log_softmax_of_the_whole(temperature, chunk_tokens):
    states, head, targets = inputs()
    whole = torch.log_softmax(states @ head.T / temperature, -1)
    expected = whole.gather(-1, targets[:, None]).squeeze(-1)
    expected_gradients = torch.autograd.grad(expected.square().sum(), (states, head))
    logprobs, entropy = token_logprobs(states, head, targets, temperature, chunk_tokens)
    gradients = torch.autograd.grad(logprobs.square().sum(), (states, head))
    assert torch.allclose(logprobs, expected, atol=1e-5)
    assert torch.allclose(entropy, torch.distributions.Categorical(logits=whole).entropy(), atol=1e-5)
    assert not entropy.requires_grad
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("chunk_tokens", [5, 1000])
def test_in_16_bits_only_inputs_and_the_finished_gradients_are_rounded(dtype, chunk_tokens):
    """Logits, sums over the vocabulary and over chunks are fp32: what is left is one rounding of each gradient."""
    states, head, targets = (value.detach().to(dtype) if value.is_floating_point() else value for value in inputs())
    states.requires_grad_()
    head.requires_grad_()
    logprobs, _ = token_logprobs(states, head, targets, chunk_tokens=chunk_tokens)
    wide_states, wide_head = states.detach().double().requires_grad_(), head.detach().double().requires_grad_()
    whole = torch.log_softmax(wide_states @ wide_head.T, -1).gather(-1, targets[:, None]).squeeze(-1)
    assert logprobs.dtype == torch.float32
    assert torch.allclose(logprobs.double(), whole, atol=1e-5)
    gradients = torch.autograd.grad(logprobs.sum(), (states, head))
    exact = torch.autograd.grad(whole.sum(), (wide_states, wide_head))
    for ours, theirs in zip(gradients, exact, strict=True):
        assert ours.dtype == dtype
        assert torch.allclose(ours.double(), theirs, rtol=torch.finfo(dtype).eps, atol=1e-5)


def test_all_logits_never_exist_at_once():
    """The largest tensor that autograd keeps is the hidden states, not tokens x vocabulary."""
    states, head, targets = inputs(tokens=64, hidden=4, vocabulary=4096)
    sizes: list[int] = []

    def record(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        token_logprobs(states, head, targets, chunk_tokens=8)
    assert max(sizes) <= head.numel()


def test_no_tokens_give_no_logprobs():
    states, head, targets = inputs()
    logprobs, entropy = token_logprobs(states[:0], head, targets[:0])
    assert logprobs.shape == entropy.shape == (0,)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("chunk_tokens", [5, 1000])
def test_entropy_has_torchs_gradient_when_asked_for(temperature, chunk_tokens):
    states, head, targets = (value.detach().double() if value.is_floating_point() else value for value in inputs())
    states.requires_grad_()
    head.requires_grad_()
    whole = torch.distributions.Categorical(logits=states @ head.T / temperature).entropy()
    expected = torch.autograd.grad(whole.square().sum(), (states, head))
    _, entropy = token_logprobs(states, head, targets, temperature, chunk_tokens, entropy_gradient=True)
    gradients = torch.autograd.grad(entropy.square().sum(), (states, head))
    for ours, theirs in zip(gradients, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)


def test_asking_for_the_gradient_of_entropy_changes_no_value():
    plain = token_logprobs(*inputs(), chunk_tokens=5)
    with_gradient = token_logprobs(*inputs(), chunk_tokens=5, entropy_gradient=True)
    assert all(torch.equal(one, other) for one, other in zip(plain, with_gradient, strict=True))


def test_the_gradient_of_entropy_keeps_no_logits_either():
    states, head, targets = inputs(tokens=64, hidden=4, vocabulary=4096)
    sizes: list[int] = []

    def record(tensor):
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        token_logprobs(states, head, targets, chunk_tokens=8, entropy_gradient=True)
    assert max(sizes) <= head.numel()
