"""vLLM servers in a plan, against Open-RS's released evaluation logs: the cache, the bill, the seconds."""

import json
import os
from dataclasses import replace
from pathlib import Path
from statistics import mean, median

import pytest

from frugalrl import api
from frugalrl.planning.forecast.cards import card_named
from frugalrl.planning.forecast.clock import decode_seconds, machine_of
from frugalrl.planning.forecast.lengths import of_benchmark, with_mean
from frugalrl.planning.forecast.plan import Plan, place_of, plan_run
from frugalrl.planning.forecast.serving import server_memory, servers_of
from frugalrl.planning.forecast.shape import KNOWN

PAPER = KNOWN["deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"]
DATA = os.environ.get("FRUGALRL_DATA")
LOGS = Path(DATA or ".") / "anchors" / "openrs_eval_runs.jsonl"
ONE_CARD = ("devices.serve=[[0]]", "rollout.engine.sleep=true")
HALF = 'rollout.engine.arguments=["--gpu-memory-utilization", "0.5"]'


def served(*sets: str):
    return api.change(api.load_recipe("open-rs2-server"), list(sets))


def planned(card: str, *sets: str) -> Plan:
    return plan_run(served(*sets), PAPER, place_of(card_named(card), 1.0))


def test_the_cache_of_a_server_is_what_the_released_logs_say():
    """44.34 GiB at 0.8: 30.04 GiB of cache, 70,316 blocks of 16 tokens."""
    servers = servers_of(served('rollout.engine.arguments=["--gpu-memory-utilization=0.8"]'))
    memory = server_memory(PAPER, servers, 44.34 * 2**30 / 1e9, 2)
    assert memory.cache == pytest.approx(30.04 * 2**30 / 1e9, rel=0.01)
    assert memory.cache_tokens == pytest.approx(70_316 * 16, rel=0.01)
    assert memory.total == pytest.approx(0.8 * 44.34 * 2**30 / 1e9)


@pytest.mark.parametrize(
    ("sets", "cards", "servers"),
    [
        ((), 2, 1),
        (("devices.serve=[[1],[2]]",), 3, 2),
        (("devices.serve=[[1,2]]",), 3, 1),
        ((*ONE_CARD, HALF), 1, 1),
        (
            (
                'rollout.engine={"kind": "vllm", "url": ["http://a:1", "http://b:1"]}',
                "devices.serve=[]",
            ),
            3,
            2,
        ),
    ],
)
def test_every_card_is_paid_once(sets, cards, servers):
    plan = planned("H100", *sets)
    assert plan.cards == cards
    assert plan.usd.value == pytest.approx(cards * plan.hours.value)
    assert servers_of(served(*sets)).count == servers


def test_a_server_on_the_trainers_card_takes_its_share_of_it():
    """Half of 85 GB while it samples; asleep only what it computes with."""
    apart, together = planned("H100"), planned("H100", *ONE_CARD, HALF)
    assert together.rollout_gb - apart.rollout_gb == pytest.approx(42.5)
    assert together.update_gb - apart.update_gb == pytest.approx(2.28)
    awake = planned("H100", "devices.serve=[[0]]", HALF)
    assert awake.update_gb - apart.update_gb == pytest.approx(42.5)


def test_a_server_whose_cache_cannot_hold_one_sequence_does_not_fit():
    """0.1 of 47.7 GB is less than its weights."""
    plan = planned("A40", 'rollout.engine.arguments=["--gpu-memory-utilization", "0.1"]')
    assert not plan.server_fits
    assert not plan.fits


def test_two_servers_sample_faster_than_one_and_a_split_one_faster_than_a_whole_one():
    one, two = planned("A40"), planned("A40", "devices.serve=[[1],[2]]")
    split = planned("A40", "devices.serve=[[1,2]]")
    assert two.step_seconds["rollout"] < one.step_seconds["rollout"]
    assert split.step_seconds["rollout"] == pytest.approx(one.step_seconds["rollout"] / 2, rel=0.01)
    assert two.step_seconds["update"] == one.step_seconds["update"]


def test_one_step_off_policy_hides_the_shorter_phase_behind_the_longer_one():
    plain, ahead = planned("A40"), planned("A40", "rollout.one_step_off=true")
    longer = max(plain.step_seconds["rollout"], plain.step_seconds["update"])
    assert ahead.step_seconds["rollout"] + ahead.step_seconds["update"] == pytest.approx(longer)


def released_logs() -> list[dict]:
    if DATA is None or not LOGS.is_file():
        pytest.skip("the released logs are in the shared data: set FRUGALRL_DATA")
    rows = [json.loads(line) for line in LOGS.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["complete"]]


def test_seconds_of_the_released_evaluations_are_within_a_fifth_given_their_lengths():
    """An A40 with vLLM 0.7.2, top-p 0.95: 66 evaluations of 154 to 2,748 s."""
    server = replace(machine_of(card_named("A40")), launch_seconds=0.0)
    errors = []
    for row in released_logs():
        lengths = with_mean(row["mean_completion_tokens_est"], 32_768, 1, 1, "logged", 0.9)
        count, prompt = row["n_prompts"], row["mean_prompt_tokens_est"]
        errors.append(decode_seconds(PAPER, server, lengths, count, 256, prompt, 2, True) / row["gen_s"] - 1)
    assert len(errors) >= 60
    assert mean(abs(error) for error in errors) < 0.2
    assert abs(median(errors)) < 0.1


def test_assumed_lengths_hold_every_released_evaluation():
    for row in released_logs():
        assumed = of_benchmark(row["task"], 32_768)
        assert 0.99 * assumed.low <= row["mean_completion_tokens_est"] / assumed.mean <= 1.01 * assumed.high
