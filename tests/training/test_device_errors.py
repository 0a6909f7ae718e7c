"""What a device's own errors mean to the user."""

import pytest
import torch

from frugalrl.errors import ModelError
from frugalrl.training import step as step_module
from frugalrl.training.device_errors import as_user_error
from tests.training.test_failures import recipe, run


def test_memory_and_a_device_that_failed_are_said_with_what_to_do():
    full = as_user_error(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\nmore"))
    assert isinstance(full, ModelError)
    assert "Tried to allocate 2.00 GiB. GPU 0 has. Take memory off" in str(full)
    lost = as_user_error(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    assert "illegal memory access was encountered. Resume with --resume" in str(lost)
    other = ValueError("other")
    assert as_user_error(other) is other


def test_an_update_of_a_single_completion_that_does_not_fit_ends_the_run_with_advice(tmp_path, monkeypatch):
    def no_memory(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(step_module, "update_policy", no_memory)
    with pytest.raises(ModelError, match=r"optimizer\.offload=true"):
        run(tmp_path / "run", recipe())
