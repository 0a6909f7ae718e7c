"""Runs that differ by their seed alone: the mean line, its band, and which runs those are."""

import re

from frugalrl.reporting.figures import Point, Series
from frugalrl.reporting.run_page import run_page
from frugalrl.reporting.run_record import RunRecord
from frugalrl.reporting.seeds import Arm, arms, drawn


def test_the_band_goes_from_the_lowest_to_the_highest_where_every_run_has_a_value():
    runs = {at: Series(f"seed {at}", [Point(1, 0.1 * at, 0.0, 1.0), Point(2, 0.4 * at)], at) for at in range(3)}
    runs[3] = Series("seed 3", [Point(1, 0.9)], 3)
    (mean,), (_, *single) = drawn([Arm("all", (0, 1, 2, 3))], runs)
    assert [(point.x, round(point.y, 9), point.low, point.high) for point in mean.points] == [(1, 0.3, 0.0, 0.9)]
    assert [one.label for one in single] == [f"seed {at}" for at in range(4)], "the table has every run"
    assert all(point.low is None for one in single for point in one.points)
    thin = [(point.x, None if point.y is None else round(point.y, 9)) for point in mean.faint]
    assert thin == [
        (1, 0), (2, 0), (2, None), (1, 0.1), (2, 0.4), (2, None), (1, 0.2), (2, 0.8), (2, None), (1, 0.9), (1, None),
    ]  # fmt: skip


def test_only_runs_of_one_recipe_with_seeds_of_their_own_are_taken_together():
    recipes = [{"seed": at, "name": f"run {at}", "training": {"steps": 9}} for at in range(3)]

    def members(recipes):
        return [arm.runs for arm in arms(recipes, [f"r{at}" for at in range(len(recipes))])]

    assert members(recipes) == [(0, 1, 2)]
    assert members(recipes[:2]) == [(0,), (1,)]
    assert members([*recipes, {**recipes[0], "name": "again"}]) == [(0, 1, 2), (3,)], "a seed counts once"
    assert members([*recipes, {"seed": 9, "training": {"steps": 10}}]) == [(0, 1, 2), (3,)]
    assert members([{}, {}, {}]) == [(0,), (1,), (2,)], "nothing is known of them"


def test_arms_are_called_by_their_recipe_or_by_what_their_runs_names_share():
    own = [{"seed": at, "name": "mine", "steps": 9} for at in range(3)]
    other = [{"seed": at, "name": f"b-seed{at}", "steps": 8} for at in range(3)]
    labels = [*(f"x{at}" for at in range(3)), *(f"b-seed{at}" for at in range(3))]
    first, second = arms([*own, *other], labels)
    assert (first.label, second.label) == (
        "mine, mean of 3 seeds; band: lowest to highest",
        "b, mean of 3 seeds; band: lowest to highest",
    )
    assert [arm.label for arm in arms(own, labels[:3])] == ["mean of 3 seeds; band: lowest to highest"]


def record(seed, lr=1.0, name="s", gain=None):
    steps = [(at, {"reward/mean": at * 0.1 + seed}) for at in (1, 2, 3)]
    looks = [(at, {"validation/avg_at_k": 0.2 * at + 0.1 * seed}) for at in (0, 1, 2)]
    recipe = {"name": f"{name}{seed}", "seed": seed, "rollout": {}, "lr": lr}
    score = {"avg_at_k": 0.5, "n": 9, "k": 2}
    difference = {"value": gain, "ci_low": gain - 0.1, "ci_high": gain + 0.1} if gain is not None else None
    summary = {"base": score, "final": score, "difference": difference} if difference else {}
    return RunRecord(f"{name}{seed}", "", recipe, steps, looks, [], summary, [], {}, [], [])


def test_the_page_of_seeds_has_the_band_in_its_charts_and_its_legend():
    page = run_page([record(seed) for seed in range(3)])
    assert page.count('class="band c0"') == 2, "accuracy and reward"
    row = re.search(r"<tr><td>1</td>(.*?)</tr>", page)
    assert re.findall(r"<td>([\d.]+)</td>", row[1]) == ["30.00", "20.00", "40.00", "20.00", "30.00", "40.00"]
    assert page.count('<li data-slot="0">') == 1
    assert "mean of 3 seeds" not in run_page([record(seed) for seed in range(2)])


def test_arms_have_a_colour_each_and_a_verdict_in_common():
    gains = (0.3, 0.2, 0.01)
    page = run_page(
        [record(at, 1.0, "a", gains[at]) for at in range(3)] + [record(at, 2.0, "b", -0.3) for at in range(3)]
    )
    assert 'class="band c0"' in page
    assert 'class="band c1"' in page
    assert "a, 3 seeds: 2 better, 1 inconclusive. The mean difference is +17.0 points, from +1.0 to +30.0." in page
    assert '<p class="finding bad">b, 3 seeds: 3 worse.' in page
    assert page.count('<span class="badge good">better</span>') == 2
    assert page.count('<span class="badge bad">worse</span>') == 3
