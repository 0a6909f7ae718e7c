"""What a recipe names is tried before the run: surrogates, advantage rules and samplers, ours and the user's."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from frugalrl.algorithms.advantages import PRESETS
from frugalrl.algorithms.losses import LossInputs, token_losses
from frugalrl.config.algorithm_schema import AdvantageSettings, LossSettings
from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.data.sampler import SamplerState, next_problems, observe
from frugalrl.errors import DataError, RecipeError
from frugalrl.training.rules import advantage_rule, check_algorithm, loss_rule, sampler_rule
from frugalrl.types import Problem, Prompt

HERE = "tests.training.test_rules"
PROMPTS = [Prompt(Problem(f"p{at}", "", "1", {"band": "easy"}), "", (1,)) for at in range(7)]


def reinforce(inputs, *, baseline=0.0):
    """The policy gradient, without ratio or clip."""
    return -(inputs.advantages - baseline) * inputs.policy_logprobs, torch.zeros_like(inputs.rows, dtype=torch.bool)


def scalar_loss(inputs):
    return -(inputs.advantages * inputs.policy_logprobs).mean(), torch.zeros(())


def bare_loss(inputs):
    return -inputs.advantages * inputs.policy_logprobs


def detached_loss(inputs):
    return -inputs.advantages * inputs.old_logprobs, inputs.rows > 0


def raising_loss(inputs):
    return inputs.no_such_field


def signs(rewards, *, scale=1.0):
    """+-scale by the side of the mean on which a reward lies."""
    return scale * torch.sign(rewards - rewards.mean(-1, keepdim=True))


def summed(rewards):
    return rewards.sum(-1)


def undefined(rewards):
    return (rewards - rewards.mean()) / rewards.std()


def raising_rule(rewards):
    raise KeyError("absent")


def backwards(memory, draw, *, stride=1):
    """From the last problem to the first, a stride at a time."""
    at = memory.get("at", len(draw.problems) - 1)
    taken = [(at - stride * step) % len(draw.problems) for step in range(draw.count)]
    return taken, {"at": at - stride * draw.count, "seen": [one.problem for one in draw.outcomes]}


def out_of_range(memory, draw):
    return [len(draw.problems)] * draw.count, {}


def too_few(memory, draw):
    return [0], {}


def forgetful(memory, draw):
    return [0] * draw.count


def unspeakable(memory, draw):
    return [0] * draw.count, {"set": {1, 2}}


def endless(memory, draw):
    return [0] * draw.count, {"best": float("inf")}


def raising_sampler(memory, draw):
    return memory["never there"]


def recipe(**changes) -> TrainRecipe:
    base = {
        "name": "rules",
        "data": {"train": {"source": "arithmetic", "limit": 7}, "sampler": changes.pop("sampler", {})},
        "rewards": [{"name": "accuracy"}],
        "rollout": {"prompts_per_step": 3},
        "training": {"steps": 1},
    }
    return parse_recipe({**base, **changes}, TrainRecipe)


def inputs() -> LossInputs:
    policy = torch.tensor([-1.0, -2.0], requires_grad=True)
    return LossInputs(policy, policy.detach() + 0.5, torch.tensor([2.0, -1.0]), torch.tensor([0, 1]))


def test_a_surrogate_of_the_users_is_the_loss():
    rule = loss_rule(LossSettings(surrogate=f"{HERE}.reinforce", args={"baseline": 0.5}, kl_coef=0.0))
    assert token_losses(inputs(), rule).total.tolist() == [1.5, -3.0]


def test_an_advantage_rule_of_the_users_is_called_with_a_groups_rewards():
    rule = advantage_rule(AdvantageSettings(rule=f"{HERE}.signs", args={"scale": 3.0}))
    assert rule(torch.tensor([1.0, 0.0, 0.0, 0.0])).tolist() == [3.0, -3.0, -3.0, -3.0]


def test_without_one_the_rule_is_the_presets_with_what_the_recipe_replaces():
    rewards = torch.tensor([3.0, 1.0, 1.0, 0.0])
    assert advantage_rule(AdvantageSettings())(rewards).tolist() == PRESETS["trl"](rewards).tolist()
    replaced = advantage_rule(AdvantageSettings(preset="paper", divisor="none", center="leave_one_out"))(rewards)
    assert replaced.tolist() == pytest.approx([3 - 2 / 3, 1 - 4 / 3, 1 - 4 / 3, 0 - 5 / 3])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"surrogate": f"{HERE}.scalar_loss"}, "an entry for each token"),
        ({"surrogate": f"{HERE}.bare_loss"}, "gave a tensor of shape [(]3,[)] for 3 tokens"),
        ({"surrogate": f"{HERE}.detached_loss"}, "has no gradient"),
        ({"surrogate": f"{HERE}.raising_loss"}, "failed in a trial .* no attribute 'no_such_field'"),
        ({"surrogate": f"{HERE}.reinforce", "args": {"base": 1}}, "no argument 'base'. Did you mean 'baseline'"),
        ({"surrogate": f"{HERE}.reinforce", "delta": 4.0}, "takes no delta, which the recipe sets"),
        ({"surrogate": "sapo", "delta": 4.0}, "takes no delta"),
        ({"surrogate": "ppo", "args": {"clip_low": 0.1}}, "a key of its section"),
        ({"surrogate": f"{HERE}.absent"}, "cannot be imported"),
    ],
)
def test_a_surrogate_that_cannot_work_is_refused_in_a_sentence(settings, says):
    with pytest.raises(RecipeError, match=says) as caught:
        check_algorithm(recipe(algorithm={"loss": settings}))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rule": f"{HERE}.summed"}, "Return a tensor of the same shape"),
        ({"rule": f"{HERE}.undefined"}, "for a group of equal rewards too"),
        ({"rule": f"{HERE}.raising_rule"}, "failed in a trial .* KeyError"),
        ({"rule": f"{HERE}.signs", "center": "none"}, "takes no center, which the recipe sets"),
        ({"rule": "numpy.nowhere"}, "cannot be imported"),
    ],
)
def test_an_advantage_rule_that_cannot_work_is_refused_in_a_sentence(settings, says):
    with pytest.raises(RecipeError, match=says) as caught:
        check_algorithm(recipe(algorithm={"advantage": settings}))
    assert "\n" not in str(caught.value)


def test_rewards_that_are_not_finite_are_named_before_they_become_advantages():
    rule = advantage_rule(AdvantageSettings())
    with pytest.raises(RecipeError, match=r"rewards of a group are .*inf"):
        rule(torch.tensor([1e39, 0.0]))


def test_a_sampler_of_the_users_chooses_and_remembers_through_json():
    rule = sampler_rule(recipe(sampler={"mode": f"{HERE}.backwards", "args": {"stride": 2}}), PROMPTS)
    taken, state = next_problems(SamplerState(), rule, 3)
    assert taken == [6, 4, 2]
    state = observe(state, [(6, 1.0), (4, float("nan")), (2, 0.5)])
    state = SamplerState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False)))
    assert [one.accuracy for one in state.outcomes] == [1.0, None, 0.5]
    taken, state = next_problems(state, rule, 3)
    assert (taken, state.memory["seen"]) == ([0, 5, 3], [6, 4, 2])
    taken, state = next_problems(state, rule, 1)  # a second draw in one step has no new outcomes
    assert (taken, state.memory["seen"]) == ([1], [])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mode": f"{HERE}.out_of_range"}, "Return 3 whole numbers from 0 to 6"),
        ({"mode": f"{HERE}.too_few"}, "Return 3 whole numbers"),
        ({"mode": f"{HERE}.forgetful"}, "the memory after them"),
        ({"mode": f"{HERE}.unspeakable"}, "does not fit into JSON"),
        ({"mode": f"{HERE}.endless"}, "does not fit into JSON"),
        ({"mode": f"{HERE}.raising_sampler"}, "failed in a first draw: KeyError"),
        ({"mode": f"{HERE}.backwards", "skip_solved": 1.0}, "takes no skip_solved, which the recipe sets"),
        ({"mode": f"{HERE}.signs"}, "takes 1 positional arguments"),
        ({"mode": "shufle"}, "did you mean 'shuffle'"),
    ],
)
def test_a_sampler_that_cannot_work_is_refused_in_a_sentence(settings, says):
    with pytest.raises(RecipeError, match=says) as caught:
        sampler_rule(recipe(sampler=settings), PROMPTS)
    assert "\n" not in str(caught.value)


def test_a_curriculum_without_the_bands_of_its_problems_is_a_fault_of_the_data():
    with pytest.raises(DataError, match="has the bands hard, and a problem is in the band 'easy'"):
        sampler_rule(recipe(sampler={"mode": "curriculum", "bands": ["hard"]}), PROMPTS)


class Counting:
    """A callable object is as good as a function."""

    def __call__(self, rewards):
        return rewards - rewards.mean(-1, keepdim=True)


counting = Counting()


def test_a_callable_object_will_do():
    rule = advantage_rule(AdvantageSettings(rule=f"{HERE}.counting"))
    assert rule(torch.tensor([1.0, 0.0])).tolist() == [0.5, -0.5]


def code_of(page: str) -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_pages_functions_do_what_the_page_says(tmp_path, monkeypatch):
    """docs/extending.md: written to a file of the user's, as the page shows them, and named in a recipe."""
    (tmp_path / "my_file.py").write_text("import torch\n\n\n" + "\n\n".join(code_of("extending.md")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    rule = loss_rule(LossSettings(surrogate="my_file.reinforce"))
    assert token_losses(inputs(), rule).total.tolist() == [2.0, -2.0]
    sampler = sampler_rule(recipe(sampler={"mode": "my_file.mistakes_first", "args": {"share": 0.7}}), PROMPTS)
    taken, state = next_problems(SamplerState(), sampler, 3)
    assert taken == [0, 1, 2]
    taken, state = next_problems(observe(state, [(0, 0.0), (1, 1.0), (2, 0.25)]), sampler, 3)
    assert taken == [0, 2, 3]
    assert state.memory == {"wrong": [], "next": 4}
