"""Advice: ten recipes of different kinds, each line applied and planned again."""

import re
from dataclasses import replace

import pytest

from frugalrl import api
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.plan import place_of, plan_run
from frugalrl.planning.forecast.shape import KNOWN

PAPER = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
LONG = ("rollout.max_completion_tokens=16384", "training.micro_batch_tokens=16896")
EVALUATED = ("evaluation.every=5", "evaluation.samples_per_problem=16", "data.validation.limit=500")
KINDS = {
    "too large": ("open-rs2", "RTX-3090", 1, ()),
    "too large by far": ("open-rs2", "L4", 1, ("model.dtype=float32", "model.gradient_checkpointing=false")),
    "just too large": ("open-rs2", "A40", 1, ("rollout.group_size=24",)),
    "too slow": ("open-rs2", "L40S", 1, ("rollout.max_sequences=4",)),
    "evaluations": ("open-rs2", "H100", 1, EVALUATED),
    "evaluations with a long cap": ("open-rs2", "H200", 1, ("evaluation.max_completion_tokens=32768",)),
    "a long cap": ("open-rs2", "A100-80GB", 1, LONG),
    "adapters": ("open-rs2-lora", "RTX-4090", 1, ("training.steps=400",)),
    "several cards": ("open-rs2-4gpu", "A40", 4, ()),
    "a server": ("open-rs2-server", "A40", 1, ()),
    "states on the host": ("open-rs2-24gb", "H100", 1, ()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_advice_brings_what_it_says(kind):
    name, card, processes, sets = KINDS[kind]
    recipe = api.change(api.load_recipe(name), list(sets))
    place = replace(place_of(card_named(card), 1.0), processes=processes)
    plan = plan_run(recipe, PAPER, place)
    assert plan.advice
    for advice in plan.advice:
        again = plan_run(api.change(recipe, list(advice.sets)), PAPER, place)
        if plan.fits:
            share, dollars = re.match(r"(\d+)% less time \(\$([\d.]+)\)", advice.effect).groups()
            assert again.fits
            assert 1 - again.hours.value / plan.hours.value == pytest.approx(int(share) / 100, abs=0.0051)
            assert plan.usd.value - again.usd.value == pytest.approx(float(dollars), abs=0.0051)
        else:
            said = float(re.search(r"([\d.]+) GB", advice.effect).group(1))
            assert again.peak_gb == pytest.approx(said, abs=0.051)
            assert again.fits == ("take a larger card" not in advice.effect)


def test_where_the_code_takes_more_than_the_formula_says_advice_is_by_the_code():
    """As if the trace were 20 % above the formula: what it advises has to hold with that."""
    from frugalrl.planning.forecast.traced import TracedMemory

    recipe, place = api.load_recipe("open-rs2"), place_of(card_named("RTX-4090"))
    formula = plan_run(recipe, PAPER, place)
    traced = TracedMemory(1.2 * formula.update_gb, None)
    plan = plan_run(recipe, PAPER, place, traced=traced)
    apart = plan.peak_gb / formula.peak_gb
    for advice in plan.advice:
        again = plan_run(api.change(recipe, list(advice.sets)), PAPER, place)
        assert apart * again.peak_gb <= 0.97 * place.memory_gb
