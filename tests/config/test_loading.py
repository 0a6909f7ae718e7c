"""Recipes: strict, with the nearest name for a misspelt key, and the same after saving and loading."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from frugalrl.config.loading import dump_recipe, load_recipe, parse_recipe
from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.errors import RecipeError

RECIPES = Path(__file__).parents[2] / "recipes"
TRAIN = [*sorted(path.stem for path in RECIPES.glob("*.yaml") if not path.stem.startswith("tiny-base")), "mini/lora"]
MINIMAL = """
name: test
data: {train: {limit: 9}}
rewards: [{name: accuracy}]
training: {steps: 3}
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL)
    return path


@pytest.mark.parametrize("name", TRAIN)
def test_the_shipped_recipes_validate_and_survive_saving(name):
    recipe = load_recipe(RECIPES / f"{name}.yaml", TrainRecipe)
    assert parse_recipe(yaml.safe_load(dump_recipe(recipe)), TrainRecipe) == recipe


def test_the_tiny_base_recipe_validates():
    assert load_recipe(RECIPES / "tiny-base.yaml", SftRecipe).scratch is not None
    for path in RECIPES.glob("tiny-base-*.yaml"):
        assert load_recipe(path, SftRecipe).phases


def flat(values, prefix=""):
    """Nested mappings as one, with dotted keys."""
    if not isinstance(values, dict):
        return {prefix: values}
    return {key: one for name, inner in values.items() for key, one in flat(inner, f"{prefix}.{name}").items()}


@pytest.mark.parametrize("name", ["open-rs2-48gb", "open-rs2-24gb", "open-rs2-4gpu"])
def test_a_recipe_for_other_cards_computes_the_same(name):
    """It differs from open-rs2 only in its name and in what decides memory and speed."""

    one, other = (flat(load_recipe(RECIPES / f"{each}.yaml", TrainRecipe).model_dump()) for each in ("open-rs2", name))
    differing = {key for key in one | other if one.get(key) != other.get(key)}
    assert {".name", ".description"} < differing
    assert differing <= {
        ".name", ".description", ".rollout.max_sequences", ".evaluation.max_sequences", ".training.logits_chunk_tokens",
        ".training.micro_batch_tokens", ".distributed", ".distributed.weights", ".distributed.timeout_seconds",
        ".algorithm.reference_place", ".optimizer.offload",
    }  # fmt: skip


def test_the_papers_values_are_in_the_papers_recipes():
    one, two, three = (load_recipe(RECIPES / f"open-rs{n}.yaml", TrainRecipe) for n in (1, 2, 3))
    for recipe in (one, two, three):
        assert recipe.model.path == "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
        assert recipe.rollout.prompts_per_step * recipe.rollout.group_size == 72
        assert recipe.rollout.group_size == 6
        assert recipe.rollout.temperature == 0.7
        assert recipe.optimizer.learning_rate == 1e-6
        assert (recipe.optimizer.warmup_fraction, recipe.optimizer.min_lr_fraction) == (0.1, 0.1)
        assert (recipe.algorithm.loss.kl_coef, recipe.algorithm.loss.aggregation) == (0.04, "sequence")
        assert (recipe.training.steps, recipe.training.save_every, recipe.seed) == (500, 50, 42)
    assert [r.rollout.max_completion_tokens for r in (one, two, three)] == [4096, 3584, 3584]
    assert [r.data.train.source for r in (one, two, three)] == [
        "knoveleng/open-s1",
        "knoveleng/open-rs",
        "knoveleng/open-rs",
    ]
    assert {term.name: term.weight for term in two.rewards} == {"format": 1.0, "accuracy": 2.0}
    assert {term.name: term.weight for term in three.rewards} == {"format": 1.0, "cosine": 2.0}
    assert "English" in three.data.prompt.system
    assert "{{" not in three.data.prompt.system


def test_set_replaces_values_in_order_and_reaches_into_lists(recipe_file):
    overrides = ["training.steps=7", "rewards.0.weight=0.5", "optimizer.learning_rate=1e-6", "training.steps=8"]
    recipe = load_recipe(recipe_file, TrainRecipe, overrides)
    assert (recipe.training.steps, recipe.rewards[0].weight, recipe.optimizer.learning_rate) == (8, 0.5, 1e-6)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["training.step=7"], "unknown key: training.step. Did you mean 'steps'?"),
        (["rollout.group_sise=7"], "Did you mean 'group_size'?"),
        (["rollot.group_size=7"], "unknown key: rollot. Did you mean 'rollout'?"),
        (["rewards.0.wieght=1"], "Did you mean 'weight'?"),
        (["rollout.num_generations=8"], "Did you mean 'group_size'?"),
        (["data.train.path=x.csv"], "Did you mean 'source'?"),
        (["rollout.group_size=1"], "rollout.group_size is wrong (given: 1)"),
        (["training.steps=many"], "training.steps is wrong (given: 'many')"),
        (["training.steps=1.5"], "training.steps is wrong"),
        (["training.steps"], "not of the form a.b=c"),
        (["rewards.3.weight=1"], "needs a position from 0 to 0"),
        (["rewards.0.weight=0"], "every reward has weight 0"),
        (["training.steps.more=1"], "goes below training.steps, a plain value"),
        (["data.train.limit=null"], "the arithmetic task is endless"),
        (["data.train.split=dev"], "train, validation and test"),
        (["data.prompt.template=Solve it."], "no {problem}"),
        (["name=../evil"], "name is wrong"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_its_place(recipe_file, overrides, says):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file, TrainRecipe, overrides)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not a mapping"),
        ("name: [unclosed", "not valid YAML"),
        ("name: a\nname: b\n", "'name' twice, in lines 1 and 2"),
        ("name: a\nmodel:\n  path: a\n  dtype: b\n\n  path: b\n", "'path' twice, in lines 3 and 6"),
        ("rewards:\n- {name: a, name: b}\n", "'name' twice, in line 2"),
        ("name: x\n", "lacks data"),
    ],
)
def test_a_file_that_is_no_recipe_says_why(recipe_file, content, says):
    recipe_file.write_text(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file, TrainRecipe)
    assert says in str(caught.value)


def test_a_missing_recipe_names_the_nearest_file(recipe_file):
    with pytest.raises(RecipeError, match=r"Did you mean .*recipe\.yaml"):
        load_recipe(recipe_file.with_name("recipes.yaml"), TrainRecipe)


@settings(deadline=None)  # a busy machine is no failure
@given(st.floats(1e-12, 1e3), st.integers(1, 10**6))
def test_numbers_survive_the_way_through_yaml(rate, steps):
    raw = yaml.safe_load(MINIMAL)
    recipe = parse_recipe(raw | {"optimizer": {"learning_rate": rate}, "training": {"steps": steps}}, TrainRecipe)
    assert parse_recipe(yaml.safe_load(dump_recipe(recipe)), TrainRecipe) == recipe


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"optimizer": {"learning_rate": float("inf")}}, r"optimizer\.learning_rate .* 1e-6 \(1\.5B\) to 3e-3"),
        ({"optimizer": {"learning_rate": 1e6}}, r"a learning rate of 1e\+06 .* 1e-6 \(1\.5B\) to 3e-3"),
        ({"optimizer": {"learning_rate": float("nan")}}, r"optimizer\.learning_rate is wrong \(given: nan\)"),
        ({"optimizer": {"muon_learning_rate": float("inf")}}, r"optimizer\.muon_learning_rate .* 0\.02 for Muon"),
        ({"optimizer": {"beta1": 1.0}}, r"optimizer\.beta1 .* less than 1"),
        ({"optimizer": {"epsilon": float("inf")}}, r"optimizer\.epsilon .* finite"),
        ({"optimizer": {"max_grad_norm": float("inf")}}, r"optimizer\.max_grad_norm .* finite"),
        ({"optimizer": {"learning_rate": 1.0, "weight_decay": 1.0}}, r"turn the weights' signs"),
        ({"rollout": {"temperature": float("inf")}}, r"rollout\.temperature .* finite"),
        ({"budget": {"hours": float("nan")}}, r"budget\.hours .* finite"),
    ],
)
def test_numbers_that_nobody_can_mean_are_refused_with_what_has_worked(section, says):
    with pytest.raises(RecipeError, match=says):
        parse_recipe(yaml.safe_load(MINIMAL) | section, TrainRecipe)
