"""Presets: what a name stands for, and that a recipe's own keys win."""

import pytest

from frugalrl.config.loading import dump_recipe, load_recipe, parse_recipe
from frugalrl.config.presets import PRESETS, expand_preset
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import RecipeError


def raw(**changes):
    return {
        "name": "x",
        "data": {"train": {"limit": 10}},
        "rewards": [{"name": "accuracy"}],
        "training": {"steps": 1},
        **changes,
    }


def recipe(algorithm, **changes) -> TrainRecipe:
    return parse_recipe(raw(algorithm=algorithm, **changes), TrainRecipe)


@pytest.mark.parametrize(
    ("name", "surrogate", "low", "high", "kl", "aggregation", "advantage"),
    [
        ("grpo", "ppo", 0.2, 0.2, 0.04, "sequence", "paper"),
        ("dapo", "ppo", 0.2, 0.28, 0.0, "token", "paper"),
        ("dr_grpo", "ppo", 0.2, 0.2, 0.0, "constant", "dr_grpo"),
        ("gspo", "gspo", 3e-4, 4e-4, 0.0, "sequence", "paper"),
        ("cispo", "cispo", 1.0, 4.0, 0.0, "token", "paper"),
        ("sapo", "sapo", 0.2, 0.2, 0.0, "sequence", "paper"),
    ],
)
def test_a_preset_is_its_papers_settings(name, surrogate, low, high, kl, aggregation, advantage):
    chosen = recipe({"preset": name})
    loss = chosen.algorithm.loss
    assert (loss.surrogate, loss.clip_low, loss.clip_high) == (surrogate, low, high)
    assert (loss.kl_coef, loss.aggregation, chosen.algorithm.advantage.preset) == (kl, aggregation, advantage)
    assert chosen.rollout.max_extra_groups == (2.0 if name == "dapo" else 0.0)


def test_the_recipes_own_keys_win_and_the_rest_stays_the_presets():
    loss = recipe({"preset": "dapo", "loss": {"clip_high": 0.4}}, rollout={"max_extra_groups": 0.5}).algorithm.loss
    assert (loss.clip_low, loss.clip_high, loss.aggregation) == (0.2, 0.4, "token")


def test_dapo_brings_soft_overlong_over_the_last_fifth_unless_the_recipe_has_it():
    (_, term) = recipe({"preset": "dapo"}, rollout={"max_completion_tokens": 20480}).rewards
    assert (term.name, term.weight, term.args) == ("soft_overlong", 1.0, {"cache_tokens": 4096})
    own = [{"name": "accuracy"}, {"name": "soft_overlong", "weight": 0.0, "args": {"cache_tokens": 9}}]
    assert len(recipe({"preset": "dapo"}, rewards=own).rewards) == 2
    assert recipe({"preset": "dapo"}).rewards[1].args == {"cache_tokens": 204}  # of the default cap, 1,024


@pytest.mark.parametrize("name", PRESETS)
def test_the_saved_recipe_shows_the_expanded_values_and_loads_to_itself(name, tmp_path):
    chosen = recipe({"preset": name})
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(chosen))
    assert f"surrogate: {PRESETS[name]['algorithm']['loss']['surrogate']}" in path.read_text()
    assert load_recipe(path, TrainRecipe) == chosen


def test_a_preset_can_be_set_on_the_command_line(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(parse_recipe(raw(), TrainRecipe)))
    # A saved recipe holds every key, so its own values win over a preset named later.
    assert load_recipe(path, TrainRecipe, ["algorithm.preset=gspo"]).algorithm.loss.surrogate == "ppo"
    path.write_text("name: x\ndata: {train: {limit: 10}}\nrewards: [{name: accuracy}]\ntraining: {steps: 1}\n")
    assert load_recipe(path, TrainRecipe, ["algorithm.preset=gspo"]).algorithm.loss.surrogate == "gspo"


def test_what_is_no_preset_is_left_to_validation():
    assert expand_preset({"algorithm": {"preset": "nope"}}, 1024) == {"algorithm": {"preset": "nope"}}
    assert expand_preset({"algorithm": [1]}, 1024) == {"algorithm": [1]}
    for algorithm in ({"preset": "nope"}, {"preset": "dapo", "loss": [1]}):
        with pytest.raises(RecipeError, match="algorithm"):
            recipe(algorithm)
    with pytest.raises(RecipeError, match="rollout"):
        recipe({"preset": "dapo"}, rollout=[1])


@pytest.mark.parametrize(
    ("algorithm", "says"),
    [
        ({"advantage": {"centre": "mean"}}, "Did you mean 'center'"),
        ({"advantage": {"preset": "grpo"}}, "no preset of advantages 'grpo' [(]did you mean 'dr_grpo'[?][)]"),
        ({"advantage": {"rule": "groups"}}, "did you mean 'group'[?]; a function of your own"),
        ({"loss": {"surrogate": "gspos"}}, "did you mean 'gspo'[?]; a function of your own"),
        ({"preset": "drgrpo"}, "did you mean 'dr_grpo'"),
        ({"loss": {"delta": 1.1}}, "above 1 [+] clip_high"),
        ({"loss": {"mismatch_low": 5.0}}, "below mismatch_high"),
        ({"loss": {"mismatch": "tis"}, "old_logprobs": "rollout"}, "can't be rollout"),
        ({"reference_reset_every": 5}, "kl_coef is 0"),
        ({"loss": {"surogate": "ppo"}}, "Did you mean 'surrogate'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(algorithm, says):
    with pytest.raises(RecipeError, match=says):
        recipe(algorithm)
