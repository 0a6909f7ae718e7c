"""Checkpoints that a thread writes: the same files as in the foreground, and no error is lost."""

import threading
import time

import pytest
import torch

from frugalrl.config.schema import OptimizerSettings
from frugalrl.errors import OutputError
from frugalrl.training import saving
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.state import background
from frugalrl.training.state.background import CheckpointWriter, snapshot
from frugalrl.training.state.checkpoint import TrainingState, save_checkpoint
from frugalrl.training.state.pointers import latest_checkpoint, saved_steps
from tests.training.test_failures import recipe, run

PLENTY = 10**12


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_copy_is_written_as_the_original_would_have_been_whatever_is_trained_meanwhile(fresh_policy, tmp_path):
    optimizer = MasterOptimizer(fresh_policy.model, OptimizerSettings(learning_rate=0.1))
    for parameter in fresh_policy.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(1.0)
    state = TrainingState({"step": 1}, {"optimizer": optimizer.state_tensors(), "reference": {"a": torch.ones(3)}})
    save_checkpoint(fresh_policy, state, tmp_path / "now", "a card")
    copied = snapshot(fresh_policy, state, PLENTY)
    for parameter in fresh_policy.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(1.0)
    save_checkpoint(*copied, tmp_path / "later", "a card")
    assert contents(tmp_path / "later") == contents(tmp_path / "now")
    assert not copied[0].model.training


def test_there_is_no_copy_where_memory_does_not_hold_it(fresh_policy):
    state = TrainingState({}, {"optimizer": {"a": torch.zeros(250)}})
    size = sum(parameter.nbytes for parameter in fresh_policy.model.parameters()) + 1000
    size += sum(buffer.nbytes for buffer in fresh_policy.model.buffers())
    assert snapshot(fresh_policy, state, size - 1) is None
    assert snapshot(fresh_policy, state, size) is not None


def test_what_a_container_grants_bounds_the_copy(tmp_path):
    before = background.free_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    assert background.free_bytes(tmp_path) == pytest.approx(before, rel=0.2)
    (tmp_path / "memory.max").write_text(f"{500 << 20}\n")
    (tmp_path / "memory.stat").write_text(f"anon {400 << 20}\nfile 12345\n")
    assert background.free_bytes(tmp_path) <= 80 << 20


def test_the_next_one_waits_and_an_error_is_raised_once():
    writer, order, release = CheckpointWriter(), [], threading.Event()

    def first():
        release.wait(20)
        order.append("first")
        raise OutputError("full")

    writer.begin(first, time.monotonic())
    writer.check()
    release.set()
    with pytest.raises(OutputError, match="full"):
        writer.begin(lambda: order.append("second"), time.monotonic())
    writer.begin(lambda: order.append("third"), time.monotonic())
    writer.settle()
    writer.check()
    assert order == ["first", "third"]
    assert writer.seconds is not None


@pytest.mark.parametrize("is_short", [False, True])
def test_a_run_ends_the_same_with_and_without_memory_for_copies(tmp_path, monkeypatch, is_short):
    """And a save that fails ends the run with its sentence; what is complete by then is saved."""
    monkeypatch.setattr(background, "free_bytes", lambda: 0 if is_short else PLENTY)
    threads, failures = set(), iter([False, True])

    def save(*arguments):
        threads.add(threading.current_thread().name)
        if next(failures, False):
            raise OutputError("The disk is full. Free some space and resume.")
        save_checkpoint(*arguments)

    monkeypatch.setattr(saving, "save_checkpoint", save)
    with pytest.raises(OutputError, match="The disk is full"):
        run(tmp_path / "run", recipe(training={"save_every": 1}))
    assert threads == {"MainThread" if is_short else "checkpoint"}
    checkpoints = tmp_path / "run" / "checkpoints"
    steps = saved_steps(checkpoints)
    assert latest_checkpoint(checkpoints).name == f"step-{steps[-1]:06d}"
    assert steps[0] == 1
    assert run(tmp_path / "run", recipe(training={"save_every": 1}), resume=True)[0] is not None
