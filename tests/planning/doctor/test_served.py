"""The doctor on recipes with a server: silent on a fresh one, red with the cause on a stale one."""

import copy

import pytest
import torch

from frugalrl import api
from frugalrl.planning.doctor import sampled
from tests.rollout.fake_vllm import fake_server

FEW = {
    "data.train.limit": 100,
    "data.validation.limit": 60,
    "data.test.limit": 60,
    "rollout.group_size": 2,
    "rollout.prompts_per_step": 4,
    "rollout.max_completion_tokens": 80,
}


def examined(url: str, tmp_path, cheap=False, **changes):
    engine = {"kind": "vllm", "url": url, "probe_completions": 2, **changes.pop("engine", {})}
    recipe = api.load_recipe("quickstart", {**FEW, **changes, "rollout.engine": engine})
    found = api.doctor(recipe, out=tmp_path / "run", cheap=cheap)
    assert list(tmp_path.iterdir()) == [], "what was written for the server is gone"
    return {one.name: one for one in found.findings if one.level != "green" and "statistics" not in one.name}


@pytest.fixture
def server(tiny_policy, monkeypatch):
    monkeypatch.setattr(sampled, "_COMPLETIONS", 4)
    with fake_server(tiny_policy.model) as (url, fake):
        yield url, fake


def test_a_server_that_follows_is_green_whatever_it_held_before(server, tmp_path):
    url, fake = server
    with torch.no_grad():
        fake.model.model.norm.weight.mul_(1.5)  # of another step, as an earlier run left it
    assert examined(url, tmp_path) == {}


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"skip_update": True}, "update was skipped"),
        ({"keep_head": True}, "packed output head"),
    ],
)
def test_a_server_that_does_not_take_what_it_is_sent_is_red_with_the_cause(server, tmp_path, fault, cause):
    url, fake = server
    for name, value in fault.items():
        setattr(fake, name, value)
    found = examined(url, tmp_path)
    assert cause in found["sampling/server"].message
    assert "builtin:tiny" in found["sampling/server"].fix


def test_adapters_over_another_base_than_the_recipes_are_found(tiny_policy, monkeypatch, tmp_path):
    monkeypatch.setattr(sampled, "_COMPLETIONS", 4)
    other = copy.deepcopy(tiny_policy.model)
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight.mul_(1.1)
    lora = {"model.lora": {"rank": 4}, "optimizer.learning_rate": 2e-3, "engine": {"weights": "adapter"}}
    with fake_server(other) as (url, _):
        assert "runs another model" in examined(url, tmp_path, **lora)["sampling/server"].message


@pytest.mark.parametrize(
    ("reported", "cause"),
    [({"max_model_len": 100}, "--max-model-len"), ({"vocab_size": 9}, "vocabulary"), ({"protocol": 0}, "release")],
)
def test_a_server_started_otherwise_is_red_with_the_flag_it_lacks(server, tmp_path, reported, cause, monkeypatch):
    url, fake = server
    as_it_is = fake.reported()
    monkeypatch.setattr(fake, "reported", lambda: {**as_it_is, **reported})
    found = examined(url, tmp_path, cheap=True)["environment/server"]
    assert cause in f"{found.message} {found.fix}"


def test_no_server_at_the_url_is_red_and_the_rest_is_still_looked_at(tmp_path):
    found = examined("http://127.0.0.1:9", tmp_path, cheap=True, **{"rewards.0.weight": -1.0})
    assert {"environment/server", "rewards/right_answer"} < set(found)
