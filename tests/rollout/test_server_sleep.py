"""Servers that sleep during the update: what they lose, how they get it back, and what goes wrong meanwhile."""

from contextlib import ExitStack

import pytest

from frugalrl.config.engine_schema import RolloutSettings
from frugalrl.errors import ModelError
from frugalrl.rollout.server.client import Server
from tests.conftest import random_model
from tests.rollout.test_vllm_engine import REQUESTS, SAMPLING, Bench, same


@pytest.fixture
def bench(tmp_path, tokenizer):
    with ExitStack() as stack:
        yield lambda **more: Bench(stack, tmp_path, random_model("qwen2", tokenizer), sleep=True, **more)


def calls(one: Bench, *paths: str) -> list[str]:
    return [path for path in one.fake.asked if path in paths]


def test_a_server_wakes_before_it_gets_new_weights_and_is_probed_with_them(bench):
    one = bench()
    one.load(0)
    one.engine.generate(REQUESTS, SAMPLING)
    one.fake.asked.clear()
    one.engine.rest()
    assert one.fake.is_asleep
    one.learn()
    one.load(1)
    same(one.engine.generate(REQUESTS, SAMPLING), one.expected())
    assert one.engine.metrics["sync/probe_mean"] < 2e-6
    order = ["/sleep", "/wake_up", "/pause", "/start_weight_update", "/finish_weight_update", "/resume", "/weight_info"]
    assert calls(one, *order) == order


def test_a_sleeping_server_that_is_asked_gets_the_same_weights_again_first(bench):
    one = bench(count=2)
    one.load(3)
    before = one.engine.generate(REQUESTS, SAMPLING)
    one.engine.rest()
    one.learn()  # what was learned meanwhile is not what it samples with
    again = one.engine.generate(REQUESTS, SAMPLING)
    assert again == before
    assert [fake.asked.count("/update_weights") for fake in one.fakes] == [3, 2]  # the first makes the probe
    assert not any(fake.is_asleep for fake in one.fakes)


def test_weights_that_do_not_arrive_after_the_sleep_end_the_run(bench):
    one = bench()
    one.load(0)
    one.engine.rest()
    one.fake.skip_update = True
    with pytest.raises(ModelError, match=r"stale: after update 1 it is .* nats a token from the policy"):
        one.load(1)


@pytest.mark.parametrize("fault", [500, -1])
def test_a_server_that_fails_to_wake_is_brought_back_with_its_weights(bench, fault):
    one = bench()
    one.load(0)
    one.engine.rest()
    one.fake.fail["/wake_up"] = [fault]
    one.learn()
    one.load(1)
    same(one.engine.generate(REQUESTS, SAMPLING), one.expected())
    assert one.engine.metrics["sync/faults"] == 1


def test_a_server_that_was_killed_in_its_sleep_is_brought_back_with_its_weights(bench):
    """It comes back awake, and with its first weights."""
    one = bench()
    one.load(0)
    one.engine.rest()
    one.fake.restart()
    one.learn()
    one.load(1)
    same(one.engine.generate(REQUESTS, SAMPLING), one.expected())


def test_a_server_that_never_wakes_is_given_up(bench):
    one = bench(max_restarts=2)
    one.load(0)
    one.engine.rest()
    one.fake.stays_asleep = True
    with pytest.raises(ModelError, match="No vLLM server is left"):
        one.load(1)


def test_a_server_that_fails_to_fall_asleep_is_brought_back_and_put_to_sleep(bench):
    one = bench()
    one.load(0)
    one.fake.fail["/sleep"] = [500]
    one.engine.rest()
    assert one.fake.is_asleep
    one.load(1)
    same(one.engine.generate(REQUESTS, SAMPLING), one.expected())
    assert one.engine.metrics["sync/faults"] == 1


def test_a_run_finds_a_server_that_a_killed_one_left_asleep(bench):
    one = bench()
    one.load(0)
    one.engine.rest()
    server = Server(one.urls[0], 1, 10.0)
    assert server.look("/is_sleeping") == {"is_sleeping": True}
    server.greet(one.model.config.vocab_size, 10)
    assert server.look("/is_sleeping") == {"is_sleeping": False}


def test_without_the_option_nobody_sleeps(bench):
    one = bench()
    one.load(0)
    one.engine._sleeps = False
    one.engine.rest()
    assert "/sleep" not in one.fake.asked


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"engine": {"kind": "vllm", "url": "http://a", "sleep": True, "weights": "adapter"}}, "use folder"),
        ({"engine": {"kind": "vllm", "url": "http://a", "sleep": True, "weights": "nccl"}}, "use folder"),
        ({"engine": {"kind": "vllm", "url": "http://a", "sleep": True}, "one_step_off": True}, "during which a server"),
    ],
)
def test_what_excludes_a_sleep_is_refused_in_the_recipe(section, says):
    with pytest.raises(ValueError, match=says):
        RolloutSettings.model_validate(section)
