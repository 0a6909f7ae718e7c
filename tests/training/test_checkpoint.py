"""Checkpoints: all or nothing, and back again."""

import pytest
import torch

from frugalrl.errors import OutputError
from frugalrl.training import checkpoint
from frugalrl.training.checkpoint import (
    TrainingState,
    checkpoint_name,
    latest_checkpoint,
    load_training_state,
    save_checkpoint,
    save_model,
)

STATE = TrainingState({"step": 7}, {"exp_avg/a": torch.arange(6.0).reshape(2, 3), "step/a": torch.tensor(7.0)})


def test_a_state_comes_back_as_it_was(policy, tmp_path):
    save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
    loaded = load_training_state(tmp_path / "step-000007")
    assert loaded.values == {"step": 7}
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in STATE.tensors.items())
    assert [path.name for path in tmp_path.iterdir()] == ["step-000007"]


def test_a_failure_in_the_middle_leaves_what_was_there(policy, tmp_path, monkeypatch):
    save_model(policy, tmp_path / "model", "old card")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_flush", fail)
    with pytest.raises(OutputError, match=r"No space left on device\. Free some space and resume"):
        save_model(policy, tmp_path / "model", "new card")
    assert (tmp_path / "model" / "README.md").read_text() == "old card"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_latest_checkpoint_is_the_newest_whole_one(policy, tmp_path):
    assert latest_checkpoint(tmp_path) is None
    for step in (50, 100):
        save_checkpoint(policy, STATE, tmp_path / checkpoint_name(step), "card")
    (tmp_path / "step-000100" / "training_state" / "state.json").unlink()
    assert latest_checkpoint(tmp_path).name == "step-000050"


def test_a_damaged_state_is_a_message(policy, tmp_path):
    save_checkpoint(policy, STATE, tmp_path / "step-000007", "card")
    tensors = tmp_path / "step-000007" / "training_state" / "optimizer.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:20])
    with pytest.raises(OutputError, match="cannot be resumed from"):
        load_training_state(tmp_path / "step-000007")
