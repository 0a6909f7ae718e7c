"""Memory from the program's own code on fake tensors: the meter against sizes one can count, and the closed formula."""

import pytest
import torch

from frugalrl import api
from frugalrl.planning.forecast.memory import NO_TENSORS, memory_of
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.planning.forecast.storage_meter import metered
from frugalrl.planning.forecast.traced import traced_memory
from frugalrl.planning.forecast.work import memory_settings

TINY = ModelShape(2, 128, 384, 4, 2, 32, 512, tied=True, biased=True, head_norms=False)
WIDE = ModelShape(2, 384, 1024, 6, 2, 64, 8192, tied=False, biased=False, head_norms=True)
LLAMA = ModelShape(3, 256, 704, 4, 4, 64, 2048, tied=True, biased=False, head_norms=False)
NARROW = ModelShape(2, 192, 512, 4, 2, 48, 1024, tied=True, biased=True, head_norms=False)
"""With heads that attention's kernels do not take."""
IN_16_BITS = {"model.dtype": "bfloat16", "algorithm.loss.kl_coef": 0.04}


def test_a_storage_counts_once_for_all_its_views_until_nobody_holds_it():
    with metered() as (meter, _):
        first = torch.zeros(1000)
        view = first[10:]
        assert meter.live == 4000
        second = first + 1.0
        assert meter.live == 8000
        del first
        assert meter.live == 8000, "the view holds it"
        del view, second
    assert (meter.live, meter.peak) == (0, 8000)


def test_what_autograd_keeps_counts():
    """x, w, x w, its exponential and its cube root's input: exp keeps its result, and the product its operands."""
    with metered() as (meter, _):
        weights = torch.ones(100, 100, requires_grad=True)
        made = (torch.ones(50, 100) @ weights).exp()
        assert meter.live == 4 * (10_000 + 5_000 + 5_000)
        made.sum().backward()
        assert weights.grad.shape == (100, 100)


def tensors(planned, phase):
    return sum(size for name, size in {**planned.held, **phase}.items() if name not in NO_TENSORS)


@pytest.mark.parametrize(
    ("shape", "changes", "on_cpu"),
    [
        (NARROW, {}, True),
        (WIDE, {"algorithm.loss.kl_coef": 0.04}, True),
        (LLAMA, {**IN_16_BITS, "model.gradient_checkpointing": True}, False),
        (WIDE, {**IN_16_BITS, "training.logits_chunk_tokens": 256}, False),
        (LLAMA, {"model.gradient_checkpointing": True}, True),
        (LLAMA, {"model.lora": {}}, True),
        (WIDE, {**IN_16_BITS, "model.lora": {}}, False),
        (LLAMA, {**IN_16_BITS, "optimizer.offload": True, "optimizer.state_bits": 8}, False),
        (WIDE, {"optimizer.state_bits": 8}, True),
    ],
)
def test_formula_and_code_are_within_five_percent_of_each_other(shape, changes, on_cpu):
    recipe = api.load_recipe("quickstart", changes)
    settings = memory_settings(recipe, shape, on_cpu, memory_gb=1e6)
    planned, traced = memory_of(shape, settings), traced_memory(recipe, shape, settings)
    assert tensors(planned, planned.updating) == pytest.approx(traced.update_gb, rel=0.05)
    assert tensors(planned, planned.sampling) == pytest.approx(traced.rollout_gb, rel=0.05)


def test_a_cpu_is_planned_with_the_micro_batch_that_it_makes():
    """64 rows of 52 + 128 tokens, at most 2,048 at once: six even micro-batches of 11 rows, of which one has three
    prompts. A GPU's is full."""
    recipe = api.load_recipe("quickstart")
    cut = memory_settings(recipe, TINY, True, memory_gb=1e6)
    assert sum(cut.by_prompt) == 11
    assert cut.loss_tokens == 11 * 128
    assert cut.micro_batch_tokens == 11 * 128 + 3 * 52
    assert memory_settings(recipe, TINY, False, memory_gb=1e6).micro_batch_tokens == 16_384


def test_what_one_phase_frees_on_a_cpu_the_other_hardly_uses_again():
    recipe = api.load_recipe("quickstart", {"evaluation.max_sequences": 8})  # no block of 32 MB
    memory = memory_of(TINY, memory_settings(recipe, TINY, True, memory_gb=1e6))
    kept = "kept by the C library"
    assert memory.updating[kept] == pytest.approx(sum(memory.sampling.values()) - memory.sampling[kept])
    assert memory.sampling[kept] == pytest.approx(sum(memory.updating.values()) - memory.updating[kept])


def test_sixteen_bits_on_a_cpu_are_sampled_from_blocked_weights_which_have_no_fake_form():
    recipe = api.load_recipe("quickstart", IN_16_BITS)
    traced = traced_memory(recipe, TINY, memory_settings(recipe, TINY, True, memory_gb=1e6))
    assert traced.rollout_gb is None


def test_a_plan_says_where_its_peak_is_from():
    ((_, plan),) = api.plan("quickstart", gpus=["L4"])
    ((_, instant),) = api.plan("quickstart", gpus=["L4"], instant=True)
    assert instant.traced is None
    assert plan.traced is not None
    assert plan.update_gb == pytest.approx(instant.update_gb, rel=0.05)


def test_a_plan_of_replicas_has_the_trace_of_one_of_them():
    """64 rows, and 32 in each of two."""
    few = {"evaluation.max_sequences": 1}
    ((_, plan),) = api.plan("quickstart", changes=few, gpus=["L4"], processes=2)
    ((_, one),) = api.plan("quickstart", changes=few, gpus=["L4"])
    assert plan.traced is not None
    assert plan.traced.update_gb == pytest.approx(one.traced.update_gb, rel=0.01)
    assert plan.traced.rollout_gb < one.traced.rollout_gb


def test_without_the_library_that_a_recipe_needs_the_formula_alone_answers(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for changes in ({"model.lora": {}}, {"optimizer.state_bits": 8}):
        recipe = api.load_recipe("quickstart", changes)
        assert traced_memory(recipe, TINY, memory_settings(recipe, TINY, on_cpu=True, memory_gb=1e6)) is None
