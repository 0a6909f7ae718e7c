"""Kernels for decoding on a CPU against torch's own operations, and the engine with them against the one without."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from frugalrl.kernels import decoding, jit
from frugalrl.rollout import torch_engine
from frugalrl.rollout.blocked_cache import BlockedCache, as_array, kernels_fit
from frugalrl.rollout.cpu_layers import takes_coarse_exp
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.kv_cache import SdpaCache, make_cache
from frugalrl.rollout.packed_weights import ModelShape
from frugalrl.rollout.torch_engine import TorchEngine
from tests.conftest import random_model

NOTHING = np.empty(0, np.float32)
LENGTHS = (1, 2, 15, 16, 17, 31, 33, 64, 100, 127)
COLUMNS = 128


def numbers(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(
    ("kv_heads", "group", "dim"), [(1, 1, 16), (2, 2, 32), (2, 3, 64), (1, 7, 64), (2, 4, 128), (3, 1, 24), (2, 5, 20)]
)
def test_attention_is_that_of_torch(kv_heads, group, dim, normed, dtype):
    """Of rows of many lengths, after the rotation and the norms, with what stands in the cache and the new token."""
    rows, heads, neighbours = len(LENGTHS), kv_heads * group, dtype == torch.float32
    positions = torch.tensor(LENGTHS) - 1
    states = numbers(rows, heads + 2 * kv_heads, dim, dtype=dtype)
    angles = numbers(COLUMNS, dim // 2, seed=1)
    norms = [numbers(dim, seed=seed).abs() + 0.5 if normed else None for seed in (2, 3)]
    keys, values = (numbers(rows, kv_heads, COLUMNS, dim, seed=seed, dtype=dtype) for seed in (4, 5))
    cache = BlockedCache(shape_of(kv_heads, group, dim, layers=2), rows, COLUMNS, dtype)
    cache.write_prompts(1, 0, [1] * rows, keys.transpose(1, 2), values.transpose(1, 2))
    out = torch.empty(rows, heads * dim, dtype=dtype)
    rotations = F.pad(torch.stack((angles.cos(), angles.sin()), 1).to(dtype).float(), (0, -(dim // 2) % 16))
    decoding.attend(
        as_array(states.flatten(1)), positions.numpy(), rotations.numpy(), neighbours,
        takes_coarse_exp(dtype), *(NOTHING if one is None else padded(one.to(dtype).float()) for one in norms), 1e-6,
        cache.keys, cache.values, 1, as_array(out), 0, rows,
        np.empty(decoding.work_numbers(group, COLUMNS, dim), np.float32),
    )  # fmt: skip
    queries, own_keys, own_values = states.split([heads, kv_heads, kv_heads], 1)
    queries, own_keys = (
        turned(normed_as_trained(part, norm), angles[positions], neighbours)
        for part, norm in zip((queries, own_keys), norms, strict=True)
    )
    expected = []
    for row, position in enumerate(positions.tolist()):
        keys[row, :, position], values[row, :, position] = own_keys[row], own_values[row]
        past = keys[row : row + 1, :, : position + 1], values[row : row + 1, :, : position + 1]
        expected.append(F.scaled_dot_product_attention(queries[row].view(1, kv_heads, group, dim), *past).flatten())
    limit = 2e-5 if dtype == torch.float32 else 0.02
    assert torch.allclose(out, torch.stack(expected), atol=limit, rtol=limit)
    assert (out != torch.stack(expected)).float().mean() < (1 if dtype == torch.float32 else 0.1)


def normed_as_trained(states, weight):
    if weight is None:
        return states
    plain = F.rms_norm(states.float(), (len(weight),), None, 1e-6).to(states.dtype)
    return plain * weight.to(states.dtype)


def turned(states, angles, neighbours):
    cos, sin = angles.cos().to(states.dtype)[:, None], angles.sin().to(states.dtype)[:, None]
    if neighbours:
        x, y = states[..., ::2], states[..., 1::2]
        return torch.stack((x * cos - y * sin, y * cos + x * sin), -1).flatten(-2)
    x, y = states.chunk(2, -1)
    return torch.cat((x * cos - y * sin, y * cos + x * sin), -1)


def padded(weight):
    return F.pad(weight, (0, -len(weight) % 16)).numpy()


def shape_of(kv_heads, group, dim, layers=1, hidden=32, intermediate=48):
    return ModelShape(layers, hidden, kv_heads * group, kv_heads, dim, intermediate, 100, 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norms_and_gates_are_those_of_the_trainer(dtype):
    """In bf16 to the bit: it rounds where the trainer rounds."""
    states, weight, both = (
        numbers(9, 48, dtype=dtype),
        numbers(48, seed=1, dtype=dtype),
        20 * numbers(9, 96, dtype=dtype),
    )
    both[0, :6] = torch.tensor([0.0, -0.0, 1e4, -1e4, 90.0, -90.0])
    out, gated = torch.empty_like(states), torch.empty_like(states)
    decoding.norm(as_array(states), as_array(weight), 1e-6, as_array(out))
    decoding.gate(as_array(both), as_array(gated))
    gate, up = both.chunk(2, -1)
    limit = 3e-6 if dtype == torch.float32 else 0
    assert torch.allclose(out, normed_as_trained(states, weight), rtol=limit, atol=limit)
    assert torch.allclose(gated, F.silu(gate) * up, rtol=limit, atol=max(limit, 1e-30))  # of gates below -88


def test_what_is_not_finite_stays_so():
    both = torch.ones(1, 32)
    both[0, :2] = torch.tensor([float("nan"), float("inf")])
    out = torch.empty(1, 16)
    decoding.gate(as_array(both), as_array(out))
    assert out[0, 0].isnan()
    assert out[0, 1].isinf()
    narrow = torch.tensor([float("nan"), float("inf"), -float("inf")]).repeat(1, 11)[:, :32].bfloat16()
    halves = torch.empty(1, 32, dtype=torch.bfloat16)
    decoding.norm(as_array(narrow), as_array(torch.ones(32).bfloat16()), 1e-6, as_array(halves))
    assert halves.isnan().all()


@pytest.mark.parametrize("architecture", ["qwen2", "qwen3", "llama"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_engine_with_kernels_samples_what_one_without_does(architecture, dtype, tokenizer, monkeypatch):
    """With more completions than rows, so that rows are refilled and moved."""
    model = random_model(architecture, tokenizer).to(dtype)
    requests = [RolloutRequest(tuple(range(3, 3 + length)), (1, 2, 3)) for length in (1, 4, 16, 40)]
    ends = frozenset(range(0, 300, 60))
    made = []
    for cache in (make_cache, SdpaCache):
        monkeypatch.setattr(torch_engine, "make_cache", cache)
        made.append(TorchEngine(model, ends, 5).generate(requests, SamplingParams(30)))
    pairs = [pair for groups in zip(*made, strict=True) for pair in zip(*groups, strict=True)]
    same = [(one, other) for one, other in pairs if one.token_ids == other.token_ids]
    assert len(same) >= (len(pairs) if dtype == torch.float32 else 0.6 * len(pairs))
    gaps = torch.tensor([a - b for one, other in same for a, b in zip(one.logprobs, other.logprobs, strict=True)]).abs()
    assert gaps.max() < (2e-5 if dtype == torch.float32 else 0.2)
    assert gaps.mean() < (5e-6 if dtype == torch.float32 else 5e-3)


def test_rows_that_threads_share_have_the_same_bits(policy, monkeypatch):
    requests = [RolloutRequest((5, 6, 7), tuple(range(29)))]
    made = []
    for threads in (1, 3):

        def shared(shape, rows, tokens, dtype, *rest, threads=threads):
            return BlockedCache(shape, rows, tokens, dtype, threads)

        monkeypatch.setattr(torch_engine, "make_cache", shared)
        made.append(TorchEngine(policy.model, frozenset({1}), 29).generate(requests, SamplingParams(20)))
    assert made[0] == made[1]
    cache = BlockedCache(shape_of(1, 1, 16), 40, 64, torch.float32, threads=3)
    assert cache.shares(2) == [(0, 2)]
    assert cache.shares(20) == [(0, 10), (10, 20)]
    assert cache.shares(40) == [(0, 14), (14, 27), (27, 40)]


def test_widths_that_vectors_do_not_divide_are_left_to_torch():
    cpu = torch.device("cpu")
    assert kernels_fit(shape_of(2, 2, 32), torch.bfloat16, cpu)
    for shape in (
        shape_of(2, 2, 8),
        shape_of(2, 2, 18),
        shape_of(2, 2, 32, hidden=40),
        shape_of(1, 1, 16, intermediate=50),
    ):
        assert not kernels_fit(shape, torch.float32, cpu)
        assert isinstance(make_cache(shape, 2, 64, torch.float32, cpu, "efficient"), SdpaCache)
    assert not kernels_fit(shape_of(2, 2, 32), torch.float16, cpu)
    assert not kernels_fit(shape_of(2, 2, 32), torch.float32, torch.device("cuda"))


def test_kernels_work_where_nothing_can_be_kept_on_disk(monkeypatch):
    def njit(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'f': no locator available")
        return lambda function: ("compiled", function)

    monkeypatch.setattr(jit.numba, "njit", njit)
    assert jit.compiled(len) == ("compiled", len)
