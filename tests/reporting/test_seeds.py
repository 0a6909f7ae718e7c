"""Runs that differ by their seed alone: the mean line, its band, and which runs those are."""

from frugalrl.reporting.figures import Point, Series
from frugalrl.reporting.run_page import run_page
from frugalrl.reporting.run_record import RunRecord
from frugalrl.reporting.seeds import are_seeds, with_band


def test_the_band_goes_from_the_lowest_to_the_highest_where_every_run_has_a_value():
    runs = [Series(f"seed {at}", [Point(1, 0.1 * at, 0.0, 1.0), Point(2, 0.4 * at)], at) for at in range(3)]
    cut = Series("seed 3", [Point(1, 0.9)], 3)
    *single, mean = with_band([*runs, cut], slot=4)
    assert [(point.x, round(point.y, 9), point.low, point.high) for point in mean.points] == [(1, 0.3, 0.0, 0.9)]
    assert all(point.low is None for one in single for point in one.points)
    assert (mean.slot, mean.label) == (4, "mean of 4 seeds; band: lowest to highest")


def test_only_runs_of_one_recipe_with_seeds_of_their_own_are_taken_together():
    recipes = [{"seed": at, "name": f"run {at}", "training": {"steps": 9}} for at in range(3)]
    assert are_seeds(recipes)
    assert not are_seeds(recipes[:2])
    assert not are_seeds([*recipes, {**recipes[0], "name": "again"}])
    assert not are_seeds([*recipes, {"seed": 9, "training": {"steps": 10}}])
    assert not are_seeds([{}, {}, {}])


def record(seed):
    steps = [(at, {"reward/mean": at * 0.1 + seed}) for at in (1, 2, 3)]
    looks = [(at, {"validation/avg_at_k": 0.2 * at + 0.1 * seed}) for at in (0, 1, 2)]
    recipe = {"name": f"s{seed}", "seed": seed, "rollout": {}}
    return RunRecord(f"s{seed}", "", recipe, steps, looks, [], {}, [], {}, [], [])


def test_the_page_of_seeds_has_the_band_in_its_charts_and_its_legend():
    page = run_page([record(seed) for seed in range(3)])
    assert page.count("mean of 3 seeds; band: lowest to highest, 1: 30.0 % [20.0 %, 40.0 %]") == 1, "accuracy, step 1"
    assert page.count('class="band c3"') == 2, "accuracy and reward"
    assert "mean of 3 seeds" not in run_page([record(seed) for seed in range(2)])
