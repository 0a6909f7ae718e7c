"""The learning-rate schedule against transformers' own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_cosine_with_min_lr_schedule_with_warmup

from frugalrl.training.schedule import lr_factor


def test_cosine_with_floor_follows_transformers():
    """Transformers starts its warm-up at zero and ends one step later; between, the curves are one."""
    steps, warmup = 100, 10
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = get_cosine_with_min_lr_schedule_with_warmup(optimizer, warmup, steps - 1, min_lr_rate=0.1)
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = [lr_factor(step, steps, "cosine", 0.1, 0.1) for step in range(steps)]
    assert ours[warmup:] == pytest.approx(theirs[warmup:], abs=1e-9)
    assert ours[: warmup - 1] == pytest.approx(theirs[1:warmup], abs=1e-9)


@given(st.integers(1, 500), st.sampled_from(["cosine", "linear", "constant"]), st.floats(0, 1), st.floats(0, 1))
def test_the_factor_stays_between_zero_and_one(steps, schedule, warmup, floor):
    factors = [lr_factor(step, steps, schedule, warmup, floor) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors[:-1])
    assert 0 <= factors[-1] <= 1


def test_linear_ends_at_its_floor_and_constant_does_not_fall():
    assert lr_factor(99, 100, "linear", 0.0, 0.25) == pytest.approx(0.25)
    assert lr_factor(99, 100, "constant", 0.1, 0.25) == 1.0
