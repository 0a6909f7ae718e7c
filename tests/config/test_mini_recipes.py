"""The experiments in miniature keep the structure of the full-size recipes."""

from collections import Counter
from pathlib import Path

import pytest

from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.tasks.loading import load_problems

RECIPES = Path(__file__).parents[2] / "recipes"
MINI = {path.stem: load_recipe(path, TrainRecipe) for path in sorted((RECIPES / "mini").glob("*.yaml"))}
FULL = {name: load_recipe(RECIPES / f"{name}.yaml", TrainRecipe) for name in ("open-rs1", "open-rs2", "open-rs3")}


@pytest.mark.parametrize("name", FULL)
def test_rewards_batch_loss_and_schedule_are_those_of_the_full_size_recipe(name):
    mini, full = MINI[name], FULL[name]
    assert [(term.name, term.weight) for term in mini.rewards] == [(term.name, term.weight) for term in full.rewards]
    assert mini.algorithm == full.algorithm
    rate = {"learning_rate": full.optimizer.learning_rate}
    assert mini.optimizer.model_copy(update=rate) == full.optimizer
    assert (mini.rollout.prompts_per_step, mini.rollout.group_size, mini.rollout.temperature) == (12, 6, 0.7)
    assert (full.rollout.prompts_per_step, full.rollout.group_size, full.rollout.temperature) == (12, 6, 0.7)
    assert (mini.evaluation.temperature, mini.evaluation.top_p) == (full.evaluation.temperature, full.evaluation.top_p)


def test_a_step_stands_for_five_of_the_papers():
    for name, full in FULL.items():
        assert full.training.steps == 5 * MINI[name].training.steps
        assert full.evaluation.every == 5 * MINI[name].evaluation.every


def test_the_caps_are_in_the_papers_proportion():
    caps = [MINI[name].rollout.max_completion_tokens for name in FULL]
    assert [cap * 64 for cap in caps] == [FULL[name].rollout.max_completion_tokens for name in FULL]
    assert MINI["open-rs3"].rewards[1].args["max_length_tokens"] == 56


def test_one_problem_in_seven_is_easy_where_the_paper_mixes():
    assert MINI["open-rs1"].data.train.difficulties == (3,)
    assert MINI["open-rs2"].data.train.difficulties.count(1) / len(MINI["open-rs2"].data.train.difficulties) == 1 / 7


@pytest.mark.parametrize(("before", "after"), [("open-rs2", "open-rs3"), ("open-rs3", "open-rs3-language")])
def test_only_the_rewards_change_between_settings_that_are_compared(before, after):
    given = MINI[before].model_dump()
    changed = {key for key, value in MINI[after].model_dump().items() if value != given[key]}
    assert changed == {"name", "description", "rewards"}


def test_validation_is_the_same_for_all_three():
    assert len({MINI[name].data.validation for name in FULL}) == 1
    assert all(MINI[name].evaluation.samples_per_problem >= 4 for name in MINI)


def test_the_collapse_measures_kl_without_charging_it_and_spares_the_test_split():
    assert MINI["collapse"].algorithm.loss.kl_coef == 1e-6
    assert MINI["collapse"].data.test is None


def test_a_difficulty_that_is_named_three_times_is_drawn_three_times_as_often():
    source = MINI["open-rs2"].data.train.model_copy(update={"limit": 210})
    drawn = Counter(problem.columns["difficulty"] for problem in load_problems(source))
    assert drawn == {1: 30, 2: 90, 3: 90}
