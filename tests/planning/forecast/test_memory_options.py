"""The plan's memory with 8-bit states, states on the host and a reference that waits, against what the code holds."""

from dataclasses import replace

import pytest

from frugalrl import api
from frugalrl.config.optimizer_schema import OptimizerSettings
from frugalrl.config.schema import ModelSettings
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.clock import Machine
from frugalrl.planning.forecast.memory import held_through_a_step, memory_of, moment_bytes, saved_bytes
from frugalrl.planning.forecast.plan import Place, place_of, plan_run
from frugalrl.planning.forecast.shape import KNOWN, shape_of
from frugalrl.planning.forecast.work import checkpoint_bytes, memory_settings
from frugalrl.training.model.held import held_bytes
from frugalrl.training.model.optimizer import MasterOptimizer
from frugalrl.training.model.policy import load_policy
from frugalrl.training.state.background import snapshot
from frugalrl.training.state.checkpoint import TrainingState

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
    assert offloaded.on_host == pytest.approx(
        {"fp32 masters": 7.108, "moments": 14.217, "copy of a checkpoint": 24.879}, rel=1e-3
    )
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


BIG = replace(PAPER, layers=14, hidden=768, intermediate=2304, heads=12, kv_heads=4, head_dim=64, vocabulary=512)
"""About 97 M parameters."""


def on_a_cpu(memory_gb, *sets, processes=1):
    few = ("rollout.prompts_per_step=1", "evaluation.samples_per_problem=1", "data.validation.limit=16")
    recipe = api.change(api.load_recipe("quickstart"), [*few, "data.test=null", *sets])
    place = Place(Machine("this machine", 1e-5, 1e10, 1e12, 1e12), memory_gb, None, "", on_cpu=True)
    return plan_run(recipe, BIG, replace(place, processes=processes))


def test_a_checkpoints_copy_is_as_large_as_the_one_that_a_run_makes():
    """With as much as it needs free it is made, and with a hundredth less it is not."""
    policy, shape = load_policy(ModelSettings(device="cpu")), shape_of(ModelSettings())
    optimizer = MasterOptimizer(policy.model, OptimizerSettings())
    optimizer.step(1.0)
    state = TrainingState({}, {"optimizer": optimizer.state_tensors()})
    planned = saved_bytes(shape, memory_settings(tiny({}), shape, on_cpu=True, memory_gb=1.0))
    assert snapshot(policy, state, int(1.01 * planned)) is not None
    assert snapshot(policy, state, int(0.99 * planned)) is None


def test_the_copy_counts_where_it_is_made_and_never_keeps_a_run_from_fitting():
    """12 bytes a weight: it takes the place of what an update has freed, and the rest is added to the rollout."""
    plan = on_a_cpu(22.0)
    whole = 12 * BIG.parameters / 1e9
    freed = plan.memory.sampling["kept by the C library"]
    assert plan.memory.copy_gb == pytest.approx(whole - freed, rel=1e-3)
    assert plan.memory.copy_gb > 0.2
    assert plan.peak_gb == pytest.approx(plan.needed_gb + plan.memory.copy_gb)
    for other in (on_a_cpu(22.0, "model.lora={}"), on_a_cpu(22.0, processes=2)):
        assert other.memory.copy_gb == 0
    tight = on_a_cpu(plan.needed_gb + 1.0)  # 0.8 of 1 GB does not hold it
    assert (tight.memory.copy_gb, tight.fits) == (0, True)
    just = on_a_cpu((plan.needed_gb + 0.01) / 0.97)
    assert just.fits


def test_a_gpus_copy_lies_in_host_memory():
    """1.777 G weights: 2 bytes, 4 of the master and 8 of the moments; open-rs2 adapted has none."""
    assert planned("H200").on_host["copy of a checkpoint"] == pytest.approx(24.88, rel=1e-3)
    assert "copy of a checkpoint" not in planned("H200", "model.lora={}").on_host


def test_a_run_in_bf16_on_a_cpu_keeps_a_program_for_each_shape_of_a_product():
    """Sixteen rows that decode have four products each, a few micro-batches fifteen; there are 1,024 at most."""
    name = "oneDNN's programs"
    assert name not in on_a_cpu(22.0).memory.held
    short = on_a_cpu(22.0, "model.dtype=bfloat16", "training.steps=1").memory.held[name]
    assert short == pytest.approx(4 * 16 * 0.65e-3 + 15 * 0.92e-3, rel=0.35)
    full = on_a_cpu(22.0, "model.dtype=bfloat16", "training.steps=1000").memory.held[name]
    assert full == pytest.approx(4 * 16 * 0.65e-3 + (1024 - 4 * 16) * 0.92e-3)
