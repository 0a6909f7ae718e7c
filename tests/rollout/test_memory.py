"""How many rows a rollout takes, and which errors mean that memory ran out."""

import logging

import pytest
import torch

from frugalrl.rollout import torch_engine
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.kv_cache import cache_row_bytes, make_cache
from frugalrl.rollout.memory import affordable_rows, free_bytes, is_out_of_memory
from frugalrl.rollout.packed_weights import model_shape
from frugalrl.rollout.torch_engine import TorchEngine


@pytest.mark.parametrize(
    ("wanted", "row_bytes", "free", "rows"),
    [(72, 100, None, 72), (72, 100, 10_000, 72), (72, 100, 5_000, 45), (72, 100, 50, 1), (72, 100, 0, 1)],
)
def test_rows_fit_the_free_memory_and_there_is_always_one(wanted, row_bytes, free, rows):
    assert affordable_rows(wanted, row_bytes, free) == rows


def test_nobody_knows_the_limit_of_a_cpu():
    assert free_bytes(torch.device("cpu")) is None


def test_only_memory_errors_are_retried():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def test_a_row_of_a_cache_takes_what_is_said(policy):
    shape = model_shape(policy.model.config)
    for dtype in (torch.float32, torch.bfloat16):
        cache = make_cache(shape, 3, 64, dtype, torch.device("cpu"), "efficient")
        held = sum(tensor.nbytes for tensor in (cache._keys, cache._values))
        assert held == 3 * cache_row_bytes(shape, 64, dtype)


def test_a_device_with_little_memory_samples_the_same_with_fewer_rows(policy, monkeypatch, caplog):
    requests = [RolloutRequest((5, 6, 7), tuple(range(9)))]
    expected = TorchEngine(policy.model, frozenset({1}), 9).generate(requests, SamplingParams(8))
    row = cache_row_bytes(model_shape(policy.model.config), 64, torch.float32) + 4 * torch_engine.LOGIT_COPIES * 300
    monkeypatch.setattr(torch_engine, "free_bytes", lambda device: int(4.5 * row / 0.9))
    with caplog.at_level(logging.INFO):
        got = TorchEngine(policy.model, frozenset({1}), 9).generate(requests, SamplingParams(8))
    assert got == expected
    assert "The free memory holds 4 sequences at once, of 9." in caplog.text
