"""When a run ends so that it closes within its budget, by numbers one can check by eye."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import RecipeError
from frugalrl.training.limits.budget import (
    END_MARGIN,
    Budget,
    Cost,
    most_expensive,
    reason_to_end,
    usd,
    used_fraction,
)
from frugalrl.training.limits.spending import Spending

STEP, END = Cost(10.0, 100), Cost(80.0, 800)  # with the margin the end takes 100 s and 1000 tokens


def test_open_rs_paid_42_dollars_for_a_day():
    """4 A40s at $0.44 an hour each for 24 hours (the paper's 42 dollars)."""
    assert usd(24 * 3600, 4 * 0.44) == pytest.approx(42.24)


@pytest.mark.parametrize(
    ("budget", "spent", "ends"),
    [
        (Budget(), Cost(1e9, 10**9), None),
        (Budget(hours=1.0), Cost(3490.0, 0), None),  # 3490 + 10 + 100 = 3600
        (Budget(hours=1.0), Cost(3490.5, 0), "budget.hours: 3490 of 3600 seconds are spent"),
        (Budget(usd=2.0, usd_per_hour=4.0), Cost(1690.0, 0), None),  # half an hour: 1800
        (Budget(usd=2.0, usd_per_hour=4.0), Cost(1691.0, 0), r"budget.usd: 1691 of 1800 seconds ($1.88) are spent"),
        (Budget(hours=0.1, usd=2.0, usd_per_hour=4.0), Cost(300.0, 0), "budget.hours: 300 of 360"),
        (Budget(usd_per_hour=4.0), Cost(1e9, 0), None),  # a price is no cap
        (Budget(tokens=10_000), Cost(0.0, 8_900), None),  # 8900 + 100 + 1000
        (Budget(tokens=10_000), Cost(0.0, 8_901), "budget.tokens: 8,901 of 10,000 are sampled"),
        (Budget(steps=50), Cost(0.0, 0), "budget.steps: 50 of 50"),
        (Budget(steps=51), Cost(0.0, 0), None),
    ],
)
def test_a_run_ends_while_the_end_still_fits(budget, spent, ends):
    reason = reason_to_end(budget, spent, 50, STEP, END)
    assert reason is None if ends is None else reason.startswith(ends)


@given(
    cap=st.floats(100, 1e6),
    steps=st.lists(st.floats(0.1, 100), min_size=1, max_size=60),
    end_of_run=st.floats(0, 1000),
    growth=st.floats(0, END_MARGIN - 1),
)
def test_a_run_whose_steps_get_no_more_expensive_never_exceeds_its_cap(cap, steps, end_of_run, growth):
    """Simulated to its end: steps of falling cost, and an end more expensive than measured by up to the margin."""
    budget, spent, done = Budget(hours=cap / 3600), end_of_run, []
    for seconds in sorted(steps, reverse=True):
        if reason_to_end(budget, Cost(spent, 0), len(done), most_expensive(done), Cost(end_of_run, 0)) is not None:
            break
        if not done and spent + seconds + end_of_run * END_MARGIN > cap:
            return  # the first step cannot be foreseen
        spent += seconds
        done.append(Cost(seconds, 0))
    if done:
        assert spent + end_of_run * (1 + growth) <= cap * (1 + 1e-9)


def test_the_share_that_is_used_is_that_of_the_nearest_cap():
    budget = Budget(hours=1.0, tokens=1000, steps=10)
    assert used_fraction(budget, Cost(1800.0, 900), 3) == 0.9
    assert used_fraction(budget, Cost(1800.0, 100), 8) == 0.8
    assert used_fraction(Budget(usd_per_hour=1.0), Cost(1800.0, 100), 8) is None


def test_the_next_step_is_taken_to_cost_what_the_most_expensive_of_the_last_ten_did():
    assert most_expensive([]) == Cost(0.0, 0)
    assert most_expensive([Cost(99.0, 9), *[Cost(1.0, 5)] * 9, Cost(2.0, 4)]) == Cost(2.0, 5)


def test_an_account_comes_back_from_json_as_it_was():
    account = Spending().after_evaluation("test", 20.0, 500).after_step(10.0, 100).after_save(3.0)
    assert (account.tokens, account.save_seconds) == (600, 3.0)
    assert Spending.from_json(json.loads(json.dumps(account.to_json()))) == account


def test_the_end_of_a_run_is_evaluating_loading_and_saving_and_loading_stands_in_for_saving():
    budget = Budget(hours=1.0)

    def reason(account: Spending, seconds: float) -> str | None:
        return account.reason_to_end(budget, seconds, 5.0, 1, evaluates_next=False, saves_next=False)

    # Nothing saved yet: 1.25 x (5 to load + 5 to save) = 12.5 are needed.
    assert reason(Spending(), 3600 - 12.5) is None
    assert reason(Spending(), 3600 - 12.4) is not None
    measured = Spending().after_evaluation("test", 20.0, 500).after_step(10.0, 100).after_save(3.0)
    # The next step of 10, and 1.25 x (20 + 5 + 3) = 35.
    assert reason(measured, 3600 - 45.0) is None
    assert reason(measured, 3600 - 44.9) is not None


def test_a_budget_in_dollars_needs_a_price_and_nothing_is_guessed():
    recipe = {"name": "b", "data": {"train": {"limit": 4}}, "rewards": [{"name": "accuracy"}], "training": {"steps": 2}}
    assert parse_recipe({**recipe, "budget": {"usd": 5, "usd_per_hour": 0.5}}, TrainRecipe).budget.usd == 5
    with pytest.raises(RecipeError, match="give usd_per_hour"):
        parse_recipe({**recipe, "budget": {"usd": 5}}, TrainRecipe)
    with pytest.raises(RecipeError, match="Did you mean 'hours'"):
        parse_recipe({**recipe, "budget": {"hour": 5}}, TrainRecipe)
    with pytest.raises(RecipeError, match=r"budget\.tokens"):
        parse_recipe({**recipe, "budget": {"tokens": 0}}, TrainRecipe)
