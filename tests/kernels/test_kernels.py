"""Kernels against the same formula in fp64, and a model that computes by them against transformers' own modules."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from frugalrl.kernels import functions, jit
from frugalrl.kernels.attention import attended
from frugalrl.kernels.functions import fits_kernels, gated, normed
from frugalrl.planning.forecast.storage_meter import StorageMeter, metered
from frugalrl.training.model.policy import Policy
from tests.conftest import random_model
from tests.training.test_layout import distance, ours, some_rows


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype("float32")).requires_grad_()


def gradients(out, inputs):
    """Of a sum with different weights everywhere."""
    weights = torch.linspace(-1, 2, out.numel(), dtype=torch.float64).view(out.shape)
    return torch.autograd.grad((out.double() * weights).sum(), inputs)


def largest_difference(ours, exact):
    """Relative to the largest number; fp32 has 6e-8 a rounding."""
    ours, exact = ours.detach().double(), exact.detach()
    return float((ours - exact).abs().max() / exact.abs().max())


def plain_norm(x, weight):
    return weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


def plain_gate(gate, up):
    return F.silu(gate) * up


@pytest.mark.parametrize("shape", [(1, 7), (3, 130, 48), (300, 128)])
@pytest.mark.parametrize(
    ("kernel", "plain", "second"),
    [
        (lambda x, y: normed(x, y, 1e-6), plain_norm, lambda shape: shape[-1:]),
        (gated, plain_gate, lambda shape: shape),
    ],
    ids=["norm", "gate"],
)
def test_norm_and_gate_are_those_of_fp64_but_for_rounding(kernel, plain, second, shape):
    inputs = (drawn(*shape), drawn(*second(shape), seed=1))
    wide = tuple(one.detach().double().requires_grad_() for one in inputs)
    out, exact = kernel(*inputs), plain(*wide)
    assert largest_difference(out, exact) < 1e-6
    for one, other in zip(gradients(out, inputs), gradients(exact, wide), strict=True):
        assert largest_difference(one, other) < 4e-6


def test_a_gate_takes_any_number():
    """silu of -1,000 is nothing and of 1,000 itself; what is not a number stays that."""
    gate = torch.tensor([-1000.0, -90.0, 0.0, 1000.0, float("nan"), float("inf")])
    out = gated(gate, torch.ones(6))
    torch.testing.assert_close(out, F.silu(gate), rtol=1e-6, atol=1e-30, equal_nan=True)


SEQUENCES = (
    ((0, 0, 40), (40, 70, 5), (40, 75, 64), (40, 139, 1)),
    ((0, 40, 30), (30, 140, 33), (30, 173, 90)),
)
"""Two prompts of 40 and 30 tokens, with three and two completions."""
TOKENS = 263


def attention_inputs(heads=4, kv_heads=2, dim=32):
    positions = np.empty(TOKENS)
    for group in SEQUENCES:
        for before, first, count in group:
            positions[first : first + count] = np.arange(before, before + count)
    angles = positions[:, None] * (100.0 ** -np.linspace(0, 1, dim // 2))
    turn = np.concatenate([angles, angles], 1).astype("float32")
    rotation = (torch.from_numpy(np.cos(turn)), torch.from_numpy(np.sin(turn)))
    queries, keys, values = (
        drawn(TOKENS, heads, dim),
        drawn(TOKENS, kv_heads, dim, seed=1),
        drawn(TOKENS, kv_heads, dim, seed=2),
    )
    return queries, keys, values, *rotation


def plain_attention(queries, keys, values, cosines, sines, scale):
    """One sequence after the other, all scores at once."""

    def turned(x):
        one, two = x.chunk(2, -1)
        return x * cosines[:, None] + torch.cat((-two, one), -1) * sines[:, None]

    groups = queries.shape[1] // keys.shape[1]
    queries, keys = turned(queries), turned(keys).repeat_interleave(groups, 1)
    values, out = values.repeat_interleave(groups, 1), torch.zeros_like(queries)
    for group in SEQUENCES:
        for before, first, count in group:
            seen = torch.cat([torch.arange(group[0][1], group[0][1] + before), torch.arange(first, first + count)])
            scores = torch.einsum("qhd,khd->hqk", queries[first : first + count], keys[seen]) * scale
            later = torch.arange(before + count) > before + torch.arange(count)[:, None]
            shares = scores.masked_fill(later, -torch.inf).softmax(-1)
            out[first : first + count] = torch.einsum("hqk,khd->qhd", shares, values[seen])
    return out


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(4, 2, 32), (3, 3, 64), (6, 1, 96)])
def test_attention_is_that_of_fp64_but_for_rounding(heads, kv_heads, dim):
    inputs = attention_inputs(heads, kv_heads, dim)
    wide = tuple(one.detach().double().requires_grad_() for one in inputs)
    out, exact = attended(*inputs, 0.2, SEQUENCES), plain_attention(*wide, 0.2)
    assert largest_difference(out, exact) < 2e-6
    for one, other in zip(gradients(out, inputs[:3]), gradients(exact, wide[:3]), strict=True):
        assert largest_difference(one, other) < 5e-6


def test_a_query_that_is_no_number_spoils_its_own_output_only():
    queries, *others = attention_inputs()
    with torch.no_grad():
        queries[80, 1, 3] = float("nan")
    spoiled = attended(queries, *others, 0.2, SEQUENCES).isnan().any(-1).nonzero().tolist()
    assert spoiled == [[80, 1]]


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads, torch_threads):
    x, weight, gate, up = drawn(900, 160), drawn(160, seed=1), drawn(700, 200), drawn(700, 200, seed=1)
    inputs = attention_inputs()

    def everything():
        results = [normed(x, weight, 1e-6), gated(gate, up), attended(*inputs, 0.2, SEQUENCES)]
        for out, of in zip(list(results), ((x, weight), (gate, up), inputs[:3]), strict=True):
            results += gradients(out, of)
        return results

    torch_threads(1)
    alone = everything()
    torch_threads(threads)
    for one, other in zip(alone, everything(), strict=True):
        assert torch.equal(one, other)


def model_with_wide_heads(architecture, tokenizer):
    """Heads of 32, which attention's kernels take."""
    import transformers

    small = random_model(architecture, tokenizer).config.to_dict()
    config = type(random_model(architecture, tokenizer).config)(
        **{**small, "hidden_size": 128, "head_dim": 32, "initializer_range": 0.1}
    )
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
def test_a_model_has_the_same_gradient_with_kernels_as_without(architecture, tokenizer, monkeypatch):
    policy, rows = Policy(model_with_wide_heads(architecture, tokenizer), tokenizer, "random"), some_rows(seed=5)
    asked = []
    monkeypatch.setattr(functions, "fits_kernels", lambda *given: asked.append(given) or fits_kernels(*given))
    gradient, metrics = ours(policy, rows, 200)
    assert {len(given) for given in asked} == {2, 3}  # norms and gates, and attention
    monkeypatch.setattr(functions, "fits_kernels", lambda *given: False)
    plain_gradient, plain = ours(policy, rows, 200)
    assert not torch.equal(gradient, plain_gradient)  # the kernels were at work
    assert distance(gradient, plain_gradient) < 1e-5
    assert metrics == pytest.approx(plain, rel=1e-5, abs=1e-6)


def test_other_types_are_left_to_transformers(tokenizer):
    model = random_model("qwen2", tokenizer)
    expected = copy.deepcopy(model).double()(torch.tensor([[5, 6, 7]])).logits
    policy = Policy(model, tokenizer, "random")
    assert torch.equal(policy.model.double()(torch.tensor([[5, 6, 7]])).logits, expected)
    assert not fits_kernels(torch.zeros(3, dtype=torch.bfloat16))
    assert not fits_kernels(torch.zeros(0, 4))


def held(meter, inputs):
    """Bytes after the forward pass, and at the peak of the backward pass, of the three kernels one after the other."""
    seen = []
    x, weight, gate, up, *heads = inputs
    for function, given in ((partial(normed, epsilon=1e-6), (x, weight)), (gated, (gate, up)),
                            (partial(attended, scale=0.2, sequences=SEQUENCES), heads)):  # fmt: skip
        meter.from_here()
        before = meter.live
        out = function(*given)
        forward = meter.live - before
        made = torch.autograd.grad(out.sum(), [one for one in given if one.requires_grad])
        seen.append((forward, meter.peak - before))
        del out, made
    return seen


def test_fake_tensors_are_held_by_kernels_as_real_ones_are():
    """So that a plan counts what a run will hold. A norm of 300 x 128 keeps its result and a scale a row."""
    inputs = (drawn(300, 128), drawn(128), drawn(50, 40), drawn(50, 40), *attention_inputs())
    with StorageMeter() as meter:
        for one in inputs:
            meter._count(one)
        real = held(meter, inputs)
    with metered() as (meter, fake):
        assert fits_kernels(fake(inputs[0]))
        traced = held(meter, fake(inputs))
    assert traced == [pytest.approx(one, rel=0.01) for one in real]  # a norm copies its weight for a moment
    assert traced[0][0] == 4 * (300 * 128 + 300)


def test_a_copy_of_a_model_computes_with_its_own_weights(tokenizer):
    policy = Policy(random_model("qwen2", tokenizer), tokenizer, "random")
    twin = copy.deepcopy(policy.model)
    with torch.no_grad():
        twin.model.norm.weight.mul_(0)
    ids = torch.tensor([[5, 6, 7]])
    assert twin(ids).logits.abs().max() == 0
    assert policy.model(ids).logits.abs().max() > 0


def test_kernels_are_compiled_without_a_folder_to_keep_them(monkeypatch):
    real = jit.numba.njit

    def refusing(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(jit.numba, "njit", refusing)
    assert jit.compiled(lambda x: x + 1)(2) == 3
