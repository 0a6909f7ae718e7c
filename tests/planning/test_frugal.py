"""The recommended recipe keeps what it promises: one card of 48 GB, two dollars, and a reason beside every value."""

import re

import pytest

import frugalrl
from frugalrl.config.loading import find_recipe


def test_it_is_planned_to_fit_one_card_and_to_cost_less_than_two_dollars():
    ((_, found),) = frugalrl.plan("frugal", gpus=["A40"], usd_per_hour=0.44, instant=True)
    assert found.fits
    assert found.peak_gb < 0.9 * found.memory_gb, "by more than the formula and the code differ (test_traced.py)"
    assert found.usd is not None
    assert found.usd.high < 2.0, "the whole interval"
    assert not found.budget, "the plan lies within the recipe's own cap"


def test_a_dearer_price_is_seen():
    ((_, found),) = frugalrl.plan("frugal", gpus=["A40"], usd_per_hour=0.88, instant=True)
    assert found.usd is not None
    assert found.usd.high > 2.0


def test_it_leaves_nothing_to_defaults_that_decides_what_is_learned():
    recipe = frugalrl.load_recipe("frugal")
    chosen = recipe.model_dump(exclude_unset=True)
    assert {"rewards", "rollout", "algorithm", "optimizer", "evaluation", "selection", "budget"} <= chosen.keys()
    assert {"learning_rate", "schedule", "warmup_fraction", "min_lr_fraction"} == chosen["optimizer"].keys()


SECTIONS = ("data", "rewards", "rollout", "algorithm", "optimizer", "evaluation", "training", "selection", "budget")


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_says_where_its_values_come_from(section):
    text = find_recipe("frugal").read_text(encoding="utf-8")
    body = re.search(rf"^{section}:.*?(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    assert re.search(r"#.*(paper|money|memory|price|no evidence|in miniature)", body[0], re.IGNORECASE)
