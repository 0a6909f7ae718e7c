"""The rule that keeps a checkpoint: by hand, on the published numbers, and where there is nothing to find."""

import json
import math
from importlib import resources

import numpy as np
import pytest

from frugalrl.errors import DataError
from frugalrl.statistics.intervals import Estimate
from frugalrl.statistics.paired_tests import Difference, permutation_p_value, unpaired
from frugalrl.statistics.selection import select, stop_step


def right(count, n=100):
    """One sample of n problems, the first `count` of them right."""
    return [[number < count] for number in range(n)]


def test_the_highest_accuracy_is_kept_and_claimed_where_it_is_shown():
    selection = select(right(40), {10: right(60), 20: right(70), 30: right(65)}, "validation")
    assert (selection.step, selection.claims_improvement, selection.stopped_at) == (20, True, None)
    assert selection.adjusted_p_values[20] < 0.001
    assert "Step 20 is kept" in selection.reasons[0]
    assert "better than the base: p < 0.001 after correction for the 3 checkpoints" in selection.reasons[1]


def test_of_equals_the_earlier_is_kept():
    assert select(right(40), {10: right(60), 20: right(60)}, "validation").step == 10


def test_keeping_is_not_claiming():
    selection = select(right(40), {10: right(42), 20: right(41)}, "validation")
    assert (selection.step, selection.claims_improvement) == (10, False)
    assert "not shown" in selection.reasons[1]


def test_no_checkpoint_better_than_the_base_keeps_the_base():
    selection = select(right(40), {10: right(40), 20: right(39)}, "validation")
    assert (selection.step, selection.claims_improvement) == (0, False)
    assert selection.differences[20].value == pytest.approx(-0.01)
    assert "No checkpoint is better than the base" in selection.reasons[0]
    assert select(right(40), {}, "validation").step == 0


def test_looking_at_more_checkpoints_asks_for_more():
    """Five more problems right of 100: p = 2 / 2^6 = 0.03 alone, and above 5 % among four checkpoints."""
    alone = select(right(40), {10: right(46)}, "validation")
    among = select(right(40), {10: right(46), 20: right(45), 30: right(45), 40: right(44)}, "validation", None)
    assert (alone.adjusted_p_values[10], alone.claims_improvement) == (pytest.approx(2 / 2**6), True)
    assert (among.adjusted_p_values[10], among.claims_improvement) == (pytest.approx(4 * 2 / 2**6), False)


def test_patience_waits_for_a_plateau_and_not_for_a_collapse():
    plateau = {10: right(60), 20: right(59), 30: right(58), 40: right(59), 50: right(99)}
    assert stop_step(right(40), plateau, 3)[0] == 40
    assert select(right(40), plateau, "validation", 3).step == 10
    assert select(right(40), plateau, "validation", None).step == 50
    fallen = {10: right(60), 20: right(40), 30: right(99)}
    step, why = stop_step(right(40), fallen, 3)
    assert (step, "worse than step 10 (-20.0 points" in why) == (20, True)


@pytest.mark.parametrize("split", ["test", "math500", "aime24"])
def test_a_test_set_may_not_choose(split):
    with pytest.raises(DataError, match=f"may not be chosen on '{split}'"):
        select(right(40), {10: right(60)}, split)


def test_the_base_is_no_checkpoint():
    with pytest.raises(ValueError, match="the base is no checkpoint"):
        select(right(40), {0: right(40)}, "validation")


@pytest.mark.parametrize(("experiment", "latest_kept"), [("Experiment 2", 150), ("Experiment 3", 200)])
@pytest.mark.parametrize("patience", [2, 3, 4])
def test_on_the_released_math500_numbers_it_stops_before_the_money_is_gone(experiment, latest_kept, patience):
    text = (resources.files("frugalrl") / "assets/paper/open_rs.json").read_text(encoding="utf-8")
    paper = json.loads(text)
    math500 = paper["checkpoint_benchmarks"].index("MATH-500")
    rows = next(one["rows"] for one in paper["checkpoints"] if one["experiment"] == experiment)
    base = next(one["percent"][1] for one in paper["results"] if "base" in one["model"])
    shares = {row["step"]: row["percent"][math500] / 100 for row in rows}
    selection = select(base / 100, shares, "validation", patience, lambda a, b, level: unpaired(a, b, 500, level))
    assert selection.stopped_at <= 250
    assert 0 < selection.step <= latest_kept
    assert not selection.claims_improvement


def permutation_only(before, after, level):
    """The test that `paired` makes, without the time that its interval takes."""
    value = float(np.mean(after) - np.mean(before))
    return Difference(Estimate(value, math.nan, math.nan), permutation_p_value(before, after), level)


def test_where_nothing_is_to_be_found_it_claims_in_at_most_5_percent_and_the_maximum_in_most():
    """Eight checkpoints as good as the base, 200 problems; benchmarks/selection.py has more runs and more samples."""
    rng = np.random.default_rng(0)
    claims, naive, runs = 0, 0, 200
    for _ in range(runs):
        chance = rng.random((200, 1))
        base, *checkpoints = ((rng.random((200, 1)) < chance).tolist() for _ in range(9))
        claims += select(base, dict(enumerate(checkpoints, 1)), "validation", None, permutation_only).claims_improvement
        naive += max(map(np.mean, checkpoints)) > np.mean(base)
    assert claims / runs <= 0.05
    assert naive / runs > 0.8
