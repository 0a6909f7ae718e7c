"""A run that several cards share: what one of them holds, and what sharing costs."""

import pytest

from frugalrl import api
from frugalrl.errors import ModelError, RecipeError, UserError
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.memory import memory_of
from frugalrl.planning.forecast.plan import Place, Plan, is_sharded, place_of, plan_run
from frugalrl.planning.forecast.several import LINK_BANDWIDTH, exchange_seconds
from frugalrl.planning.forecast.shape import KNOWN
from frugalrl.planning.forecast.work import memory_settings

PAPER = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]


def on(card: str, processes: int) -> Place:
    from dataclasses import replace

    return replace(place_of(card_named(card)), processes=processes)


def planned(card: str, processes: int, *sets: str) -> Plan:
    return plan_run(api.change(api.load_recipe("open-rs2"), list(sets)), PAPER, on(card, processes))


def test_the_placement_is_the_one_that_a_run_would_choose():
    """35.5 GB of states: less than half of an H200, more than half of an A40."""
    recipe = api.load_recipe("open-rs2")
    assert not is_sharded(recipe, PAPER, on("A40", 1))
    assert is_sharded(recipe, PAPER, on("A40", 4))
    assert not is_sharded(recipe, PAPER, on("H200", 4))
    assert not is_sharded(api.change(recipe, ["optimizer.offload=true"]), PAPER, on("A40", 4))


def test_replicas_hold_everything_and_a_part_of_the_cache():
    one, four = planned("H200", 1).memory, planned("H200", 4).memory
    assert four.held == one.held
    assert four.updating == one.updating
    assert four.sampling["cache"] < one.sampling["cache"]


def test_parts_are_quarters_and_two_gathered_layers():
    """The embedding, 151,936 x 1,536 in bf16, is the largest layer: 0.467 GB."""
    sets = ["distributed.weights=sharded", "algorithm.reference_place=device"]
    four = planned("H200", 4, *sets).memory
    whole = memory_of(PAPER, memory_settings(api.load_recipe("open-rs2"), PAPER, on_cpu=False, memory_gb=150.0))
    for name in ("weights", "fp32 masters", "moments"):
        assert four.held[name] == pytest.approx(whole.held[name] / 4)
    assert four.held["process"] == whole.held["process"]
    assert four.updating["gathered layers"] == pytest.approx(2 * 151_936 * 1536 * 2 / 1e9)
    assert four.updating["gradients"] == pytest.approx(whole.updating["gradients"] / 4)


def test_four_cards_take_less_time_than_one_and_more_than_a_quarter():
    one, four = planned("H200", 1), planned("H200", 4)
    assert 1 / 4 < four.hours.value / one.hours.value < 1
    assert four.training_tokens == one.training_tokens
    assert one.usd is not None
    assert four.usd is not None
    assert four.usd.value / one.usd.value == pytest.approx(4 * four.hours.value / one.hours.value)


def test_gradients_cross_twice_less_a_quarter_of_them():
    """An all-reduce of 7.1 GB among 4: 2 x 3/4 of it in and out of each card."""
    settings = memory_settings(api.load_recipe("open-rs2"), PAPER, on_cpu=False, memory_gb=150.0)
    seconds = exchange_seconds(PAPER, settings, 4, sharded=False, passes=4, micro_batches=9)
    assert seconds == pytest.approx(2 * 0.75 * 4 * PAPER.parameters / LINK_BANDWIDTH)


def test_the_command_names_the_cards_and_refuses_none(capsys):
    from frugalrl.cli import main

    assert main(["plan", "open-rs2", "--gpu", "A40", "--processes", "4"]) == 0
    assert capsys.readouterr().out.startswith("4 x A40")
    with pytest.raises(UserError, match="at least one process"):
        api.plan("open-rs2", gpus=["A40"], processes=0)


def test_a_list_of_gpus_that_train_says_how_many_cards_share_the_run():
    """Two by default where the recipe names two, and no other number."""
    listed = {"changes": ["devices.train=[0,1]"], "gpus": ["A40"], "instant": True}
    ((name, plan),) = api.plan("open-rs2", **listed)
    assert (name.split()[0], plan.cards) == ("2", 2)
    with pytest.raises(RecipeError, match=r"devices\.train names 2 GPUs, a process each, and the plan is to be for 4"):
        api.plan("open-rs2", **listed, processes=4)
    with pytest.raises(ModelError, match="devices names GPU 63"):
        api.plan("quickstart", changes=["devices.train=[63]"], measure=True)
