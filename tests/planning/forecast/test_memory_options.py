"""The plan's memory with 8-bit states, states on the host and a reference that waits, against what the code holds."""

import pytest

from frugalrl import api
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.config.schema import ModelSettings
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.memory import held_through_a_step, memory_of, moment_bytes
from frugalrl.planning.forecast.plan import place_of, plan_run
from frugalrl.planning.forecast.shape import KNOWN, shape_of
from frugalrl.planning.forecast.work import checkpoint_bytes, memory_settings
from frugalrl.training.model.held import held_bytes
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import load_policy

PAPER = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
OPTIONS = [{}, {"state_bits": 8}, {"offload": True}, {"state_bits": 8, "offload": True}]


def tiny(optimizer, **model):
    return api.load_recipe(
        "quickstart", {"optimizer": optimizer, "model": model, "algorithm": {"loss": {"kl_coef": 0.1}}}
    )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_what_is_held_and_saved_is_what_the_optimizer_makes(options):
    """The tiny model in bf16 after one step: the moments, all that a step holds, and a checkpoint, within 2 %."""
    recipe, policy = tiny(options, dtype="bfloat16"), load_policy(ModelSettings(dtype="bfloat16", device="cpu"))
    shape = shape_of(ModelSettings())
    settings = memory_settings(recipe, shape, on_cpu=False, memory_gb=1.0)
    optimizer = MasterOptimizer(policy.model, OptimizerSettings(**options))
    optimizer.step(1.0)
    tensors = optimizer.state_tensors()
    moments = sum(one.nbytes for name, one in tensors.items() if not name.startswith("master/"))
    assert moment_bytes(shape, settings) == pytest.approx(moments, rel=0.02)
    assert held_through_a_step(shape, settings) == pytest.approx(held_bytes(policy, True, recipe.optimizer), rel=0.02)
    saved = sum(one.nbytes for one in tensors.values()) + sum(p.nbytes for p in policy.model.parameters())
    assert checkpoint_bytes(recipe, shape) == pytest.approx(saved, rel=0.02)


def planned(card, *sets):
    return plan_run(api.change(api.load_recipe("open-rs2"), list(sets)), PAPER, place_of(card_named(card))).memory


def test_masters_and_moments_go_to_the_host_and_nothing_is_lost():
    """1.777 G weights: 4 + 8 bytes each."""
    plain, offloaded = planned("H200"), planned("H200", "optimizer.offload=true")
    assert offloaded.on_host == pytest.approx({"fp32 masters": 7.108, "moments": 14.217}, rel=1e-3)
    assert plain.peak_gb - offloaded.peak_gb == pytest.approx(21.33, rel=1e-3)


def test_moments_of_8_bits_save_three_quarters_of_all_but_the_embedding():
    """Embedding 0.233 G x 8 bytes, the rest 1.544 G x 2.03 instead of 8."""
    assert planned("H200", "optimizer.state_bits=8").held["moments"] == pytest.approx(1.867 + 3.136, rel=1e-3)


@pytest.mark.parametrize(("card", "waits"), [("H200", False), ("A100-80GB", False), ("A40", True), ("L4", True)])
def test_the_reference_waits_on_a_card_of_which_more_than_half_would_be_taken(card, waits):
    """2 x 3.55 + 28.4 for gradients, masters and moments: 35.5 GB."""
    memory = planned(card)
    assert ("reference" in memory.on_host, "reference" in memory.held) == (waits, not waits)


def test_a_cpu_has_no_other_memory_to_put_things_in():
    recipe, shape = tiny({"offload": True}), shape_of(ModelSettings())
    memory = memory_of(shape, memory_settings(recipe, shape, on_cpu=True, memory_gb=1e-3))
    plain = memory_of(shape, memory_settings(tiny({}), shape, on_cpu=True, memory_gb=1e-3))
    assert memory.on_host == {}
    assert memory.peak_gb - plain.peak_gb == pytest.approx(4 * shape.parameters / 1e9, rel=1e-6)  # a master is a copy


def test_a_card_of_24_gb_is_advised_to_keep_states_on_the_host():
    plan = plan_run(api.load_recipe("open-rs2"), PAPER, place_of(card_named("RTX-4090")))
    assert any(advice.sets == ("optimizer.offload=true",) for advice in plan.advice)
