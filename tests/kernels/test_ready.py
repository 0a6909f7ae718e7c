"""Kernels are compiled before a run begins, by one process, and kept on disk where that can be."""

import copy
import fcntl
import importlib.util
import sys
import threading
from pathlib import Path

import numba
import pytest
import torch
from numba.core import caching
from numba.core.dispatcher import Dispatcher

from frugalrl.config.schema import OptimizerSettings
from frugalrl.errors import ModelError
from frugalrl.kernels import attention_loops, decoding, drawing, elementwise, layers, products, ready
from frugalrl.kernels.warm_up import Part
from frugalrl.planning.doctor.environment_checks import device_finding
from frugalrl.rollout.engine import RolloutRequest, SamplingParams
from frugalrl.rollout.projections import AsStored, layout_for
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.training.batching import TrainingRow, micro_batches
from frugalrl.training.model.kernels import ready_kernels
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import Policy
from frugalrl.training.update import update_policy
from tests.training.test_update import SETTINGS

SOURCE = "import numba\n\n\n@numba.njit(cache=True)\ndef twice(x):\n    return 2 * x\n"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A part of one small kernel, in a folder of its own; called, it is as in a new process."""
    (tmp_path / "small.py").write_text(SOURCE)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(ready, "_folder", lambda: tmp_path / "__pycache__")

    def new_process():
        spec = importlib.util.spec_from_file_location("small", tmp_path / "small.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(ready, "PARTS", {"small": Part(3.0, lambda: module.twice(21))})
        return module.twice

    return new_process


def made_ready():
    said = []
    return ready.make_ready(["small"], said.append), said


def test_a_kernel_is_compiled_once_and_that_is_said(small):
    kernel = small()
    seconds, said = made_ready()
    assert seconds > 0
    assert said == ["Compiling kernels for this processor, once on this machine: about 3 seconds."]
    assert len(kernel.signatures) == 1
    assert made_ready() == (0.0, [])
    small()
    assert made_ready() == (0.0, [])


def test_a_damaged_file_is_replaced(small, tmp_path):
    small()
    made_ready()
    for file in (tmp_path / "__pycache__").glob("*.nbi"):
        file.write_bytes(file.read_bytes()[:20])
    small()
    assert made_ready()[1]
    small()
    assert made_ready() == (0.0, [])


def test_without_a_folder_it_is_said_that_every_process_compiles(small, monkeypatch):
    small()
    monkeypatch.setattr(ready, "_folder", lambda: None)
    _, (said,) = made_ready()
    assert said == (
        "Compiling kernels for this processor, in every process, for no folder can be written to keep them; "
        "NUMBA_CACHE_DIR names one: about 3 seconds."
    )


def test_on_a_full_disk_kernels_are_ready_but_not_kept(small, monkeypatch):
    def full(self, key, data):
        raise OSError(28, "No space left on device")

    kernel = small()
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    _, said = made_ready()
    assert len(kernel.signatures) == 1
    assert "(No space left on device): the next run compiles them again." in said[1]
    assert made_ready() == (0.0, [])


def test_a_process_waits_for_another_one_that_compiles(small, tmp_path):
    small()
    made_ready()
    kernel, said = small(), []
    for file in (tmp_path / "__pycache__").glob("*.nbi"):
        kept = file.rename(file.with_suffix(".kept"))
    with (tmp_path / "__pycache__" / ready._LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Event()

        def heard(line):
            said.append(line)
            waiting.set()

        other = threading.Thread(target=lambda: ready.make_ready(["small"], heard))
        other.start()
        assert waiting.wait(20)
        kept.rename(kept.with_suffix(".nbi"))  # the other one has compiled it
    other.join(20)
    assert said == ["Another process is compiling kernels for this processor; waiting for it."]
    assert len(kernel.signatures) == 1


@pytest.mark.parametrize(("dtype", "count"), [(torch.float32, 9), (torch.bfloat16, 3)])
def test_nothing_is_left_to_compile_for_sampling_and_an_update(dtype, count, tiny_policy):
    """Of what a process has loaded nothing is used but what was made ready."""
    kernels = [
        one
        for room in (attention_loops, decoding, drawing, elementwise, layers, products)
        for one in vars(room).values()
    ]
    kernels = [one for one in kernels if isinstance(one, Dispatcher)]
    for kernel in kernels:
        kernel._reset_overloads()
    policy = Policy(copy.deepcopy(tiny_policy.model).to(dtype), tiny_policy.tokenizer, "copy")
    ready_kernels(policy, print, learns=True)
    loaded = {kernel: list(kernel.signatures) for kernel in kernels}
    assert sum(map(len, loaded.values())) >= count  # and parts of theirs, where they were compiled just now
    engine = TorchEngine(policy.model, frozenset(), 4)
    (answers,) = engine.generate([RolloutRequest((1, 2, 3), (0, 1, 2))], SamplingParams(5))
    signs = (1.0, -1.0, 0.5)
    rows = [
        TrainingRow((1, 2, 3), one.token_ids, one.logprobs, sign, 1 / 15, one.loss_mask, one.policy_versions)
        for one, sign in zip(answers, signs, strict=True)
    ]
    batches = micro_batches(rows, 100, policy.device)
    update_policy(policy, policy, MasterOptimizer(policy.model, OptimizerSettings()), batches, SETTINGS, 1.0)
    assert {kernel: list(kernel.signatures) for kernel in kernels} == loaded


def test_what_another_version_left_is_not_taken_for_what_was_just_compiled(small, tmp_path, monkeypatch):
    """A full disk, on which the small index could be written and the code could not: its place holds older code."""

    def full(self, name, data):
        raise OSError(28, "No space left on device")

    small()
    made_ready()
    (tmp_path / "small.py").write_text(SOURCE.replace("2 * x", "3.0 * x"))
    kernel = small()
    with monkeypatch.context() as patch:
        patch.setattr(caching.IndexDataCacheFile, "_save_data", full)
        made_ready()
    assert kernel(21) == 63
    kernel = small()
    assert made_ready()[1]
    assert kernel(21) == 63


def test_where_numba_cannot_be_used_it_is_said_in_a_sentence(small, monkeypatch, policy):
    small()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(ModelError, match=r"^NUMBA_DISABLE_JIT is set, .* Unset it\.$"):
        made_ready()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)

    def uncompiled():
        raise numba.core.errors.TypingError("Failed in nopython mode\nwith much detail")

    monkeypatch.setattr(ready, "PARTS", {"small": Part(1.0, uncompiled)})
    monkeypatch.setattr(ready, "_is_loaded", lambda name: False)
    with pytest.raises(ModelError, match=r"^numba \S+ cannot compile the kernels: [^\n]* pip install numba==\S+$"):
        made_ready()
    monkeypatch.setitem(sys.modules, "frugalrl.kernels.ready", None)
    with pytest.raises(ModelError, match=r"^numba, which computes on a CPU, cannot be loaded: .* pip install"):
        ready_kernels(policy, print)


def test_the_numba_that_is_advised_is_the_one_that_is_tested():
    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    assert f"numba=={ready.TESTED_NUMBA}" in constraints


def test_a_dtype_that_the_processor_cannot_multiply_is_named(tiny_policy, monkeypatch):
    """Without its instructions torch took 11 times as long for bf16 as for fp32."""
    said, narrow = [], Policy(copy.deepcopy(tiny_policy.model).bfloat16(), tiny_policy.tokenizer, "copy")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    ready_kernels(narrow, said.append)
    ready_kernels(tiny_policy, said.append)
    slow = [line for line in said if "multiply" in line]
    assert slow == [
        "This processor cannot multiply bfloat16: a step takes some ten times as long as in float32. Take that."
    ]
    cpu = torch.device("cpu")
    assert isinstance(layout_for(torch.bfloat16, cpu)(32, (32,), False, torch.bfloat16, cpu), AsStored)
    finding = device_finding(cpu, 1_000_000, "bfloat16")
    assert "cannot multiply it" in finding.message
    assert finding.fix == "--set model.dtype=float32"
