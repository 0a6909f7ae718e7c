"""Causal attention of whole sequences: grouped heads are repeated heads, and on a GPU the backend is named."""

import pytest
import torch
from torch.backends.cuda import cudnn_sdp_enabled, flash_sdp_enabled, mem_efficient_sdp_enabled
from torch.nn.functional import scaled_dot_product_attention

from frugalrl.algorithms import causal_attention as module
from frugalrl.algorithms.causal_attention import causal_attention, named_backends, repeats_heads


@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_grouped_heads_are_repeated_heads(monkeypatch, repeated, kv_heads):
    monkeypatch.setattr(module, "repeats_heads", lambda device, dtype: repeated)
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 9, 8, generator=generator)
    k, v = (torch.randn(2, kv_heads, 9, 8, generator=generator, requires_grad=True) for _ in range(2))
    whole = scaled_dot_product_attention(
        q, k.repeat_interleave(4 // kv_heads, 1), v.repeat_interleave(4 // kv_heads, 1), is_causal=True, scale=0.3
    )
    ours = causal_attention(q, k, v, 0.3)
    assert torch.allclose(ours, whole, atol=1e-6)
    [expected], [got] = (torch.autograd.grad(one.square().sum(), [k]) for one in (whole, ours))
    assert torch.allclose(got, expected, atol=1e-5)


def test_on_a_gpu_cudnn_is_left_out_and_on_a_cpu_nothing_is_switched():
    before = cudnn_sdp_enabled(), flash_sdp_enabled(), mem_efficient_sdp_enabled()
    with named_backends("cuda"):
        assert (cudnn_sdp_enabled(), flash_sdp_enabled(), mem_efficient_sdp_enabled()) == (False, True, True)
    with named_backends("cpu"):
        assert (cudnn_sdp_enabled(), flash_sdp_enabled(), mem_efficient_sdp_enabled()) == before
    assert (cudnn_sdp_enabled(), flash_sdp_enabled(), mem_efficient_sdp_enabled()) == before


def test_only_fp32_on_a_gpu_repeats_heads():
    found = {
        (d, t): repeats_heads(d, t) for d in ("cuda", "cpu") for t in (torch.float32, torch.bfloat16, torch.float16)
    }
    assert [key for key, repeated in found.items() if repeated] == [("cuda", torch.float32)]
