"""Forms of golds, held-out twins, settings, clocks and remedies: the pure checks, on cases one can see through."""

import datetime
import shlex
import time
from datetime import datetime as by_name
from types import SimpleNamespace

import pytest

from frugalrl import api
from frugalrl.config.schema import RewardTerm
from frugalrl.planning.doctor.clocks import DAY_AND_MORE, clock_at
from frugalrl.planning.doctor.device_checks import devices_findings
from frugalrl.planning.doctor.gold_forms import gold_form_finding
from frugalrl.planning.doctor.held_out_checks import near_finding
from frugalrl.planning.doctor.remedies import instead, without
from frugalrl.planning.doctor.settings_checks import settings_findings
from frugalrl.planning.doctor.size_checks import size_findings
from frugalrl.planning.doctor.traps import near_misses
from frugalrl.planning.forecast.shape import ModelShape
from frugalrl.types import Problem

SHAPE = ModelShape(4, 128, 384, 4, 2, 32, 512, tied=True, biased=False, head_norms=True)
"""About the tiny model's."""


def problems(*golds, text="Question {}?"):
    return [Problem(str(at), text.format(at), gold) for at, gold in enumerate(golds)]


@pytest.mark.parametrize(
    ("gold", "level"),
    [
        ("12", "green"),
        ("\\frac{3}{4} \\text{ cups}", "green"),
        ("1,234", "green"),
        ("New York City", "green"),
        ("(-\\infty, 3] \\cup [5, \\infty)", "green"),
        ("the answer must then be twelve", "red"),
        ("{'value': 12, 'unit': 'cm'}", "red"),
        ("12,5", "red"),
        ("12 or 13", "red"),
        ("question 0?", "red"),
    ],
)
def test_a_gold_is_an_answer_and_no_sentence_record_or_question(gold, level):
    assert gold_form_finding(problems(gold), lambda: "another column").level == level


def test_a_few_odd_golds_among_many_are_yellow_or_nothing():
    good = ["12"] * 80
    assert gold_form_finding(problems(*good, *["12,5"] * 5), lambda: "fix").level == "green"
    assert gold_form_finding(problems(*good, *["12,5"] * 20), lambda: "fix").level == "yellow"


def test_held_out_problems_in_other_words_are_found_and_other_numbers_are_others():
    stories = ["A farmer has {} cows and buys {} more. How many cows does the farmer have now?"] * 30
    train = [Problem(str(at), text.format(7 * at, at + 3), str(8 * at + 3)) for at, text in enumerate(stories)]
    twins = [Problem(f"v{one.id}", f"Here is a problem: {one.text} Give a number.", one.gold) for one in train[:10]]
    others = [Problem(f"w{at}", stories[0].format(5 * at + 1, at), str(6 * at + 1)) for at in range(10)]
    assert near_finding(train, twins, 0).level == "red"
    assert near_finding(train, others, 0).level == "green"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {}),
        ({"optimizer.weight_decay": 0.1}, {}),
        ({"optimizer.weight_decay": 100.0}, {"optimisation/weight_decay": "red"}),
        ({"optimizer.warmup_fraction": 1.0}, {"optimisation/warmup": "red"}),
        ({"optimizer.beta2": 0.0}, {"optimisation/beta2": "red"}),
        ({"algorithm.advantage.epsilon": 1e6}, {"optimisation/advantage_epsilon": "red"}),
        ({"algorithm.advantage.center": "none"}, {"optimisation/baseline": "yellow"}),
        ({"algorithm.entropy.coef": 5.0}, {"optimisation/entropy": "red"}),
        ({"algorithm.entropy": {"adaptive": True, "target": 9.0}}, {"optimisation/entropy": "red"}),
        ({"algorithm.updates_per_batch": 64}, {"optimisation/updates_per_batch": "red"}),
        ({"model.lora": {}}, {}),
        ({"model.lora": {"alpha": 1e-3}}, {"optimisation/lora_alpha": "red"}),
        ({"data.sampler.skip_solved": 0.1}, {"optimisation/sampler": "red"}),
        ({"evaluation.temperature": 0.0}, {"statistics/samples": "yellow"}),
        ({"evaluation.temperature": 5.0}, {"statistics/temperature": "red"}),
        ({"evaluation.every": 500}, {"statistics/every": "yellow"}),
        ({"evaluation.every": 1}, {"statistics/cost": "yellow"}),
        ({"evaluation.max_completion_tokens": 8}, {"statistics/cap": "red"}),
        ({"algorithm.loss": {"aggregation": "constant", "constant_tokens": 64}}, {}),
        (
            {"algorithm.loss": {"aggregation": "constant", "constant_tokens": 1_000_000_000}},
            {"optimisation/constant_tokens": "red"},
        ),
        ({"training.micro_batch_tokens": 1}, {"optimisation/micro_batch_tokens": "yellow"}),
        ({"training.logits_chunk_tokens": 1}, {"optimisation/logits_chunk_tokens": "yellow"}),
        ({"algorithm.loss": {"mismatch": "tis", "mismatch_cap": 1e-6}}, {"optimisation/mismatch": "red"}),
        ({"algorithm.loss": {"mismatch": "icepop", "mismatch_low": 2.0}}, {"optimisation/mismatch": "red"}),
        ({"algorithm.loss": {"mismatch": "tis", "off_policy_mask": 0.1}}, {}),
        ({"algorithm.loss.off_policy_mask": 1e-9}, {"optimisation/off_policy_mask": "yellow"}),
        ({"algorithm.loss": {"surrogate": "sapo", "tau_pos": 1e-6}}, {"optimisation/tau": "yellow"}),
        ({"algorithm.entropy": {"adaptive": True, "step": 10.0}}, {"optimisation/entropy": "yellow"}),
        ({"rollout.max_sequences": 1, "evaluation.max_sequences": 1}, {"sampling/rows": "yellow"}),
        ({"guard.error_rate": 0.99}, {"stability/guard": "yellow"}),
        ({"guard.least_fall": 0.99}, {"stability/guard": "yellow"}),
        ({"guard.confirm_steps": 1000}, {"stability/guard": "yellow"}),
        ({"guard.lr_factor": 1e-6}, {"stability/guard": "yellow"}),
        ({"guard.evaluation_share": 1e-9}, {"stability/guard": "yellow"}),
        ({"guard": {"enabled": False, "lr_factor": 1e-6}}, {}),
        ({"verifier.cpu_seconds": 1e-4}, {"rewards/verifier": "red"}),
        ({"verifier.workers": 4096}, {"rewards/verifier": "yellow"}),
        ({"budget.steps": 2}, {"optimisation/warmup": "yellow"}),
    ],
)
def test_settings_that_are_orders_of_magnitude_off_are_named_and_their_remedy_helps(changes, found):
    recipe = api.load_recipe("quickstart", changes)
    bad = [one for one in settings_findings(recipe, 512) if one.level != "green"]
    assert {one.name: one.level for one in bad} == found
    for one in bad:
        first = one.fix.split(", or ")[0].split("--set ")[1:]
        changed = api.change(recipe, [change.strip() for change in first])
        assert one.name not in {after.name for after in settings_findings(changed, 512)}


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, None),
        ({"rollout.group_size": 64}, None),
        ({"rollout.group_size": 512}, "optimisation/group_size"),
        ({"rollout.prompts_per_step": 1}, "optimisation/prompts_per_step"),
        ({"rollout.prompts_per_step": 2, "rollout.group_size": 2}, "optimisation/prompts_per_step"),
        ({"rollout.prompts_per_step": 4096}, "optimisation/prompts_per_step"),
        ({"evaluation.samples_per_problem": 100_000}, "statistics/samples_per_problem"),
        ({"model.lora": {"rank": 32}}, None),
        ({"model.lora": {"rank": 4096}}, "optimisation/lora_rank"),
    ],
)
def test_sizes_that_memory_holds_and_nobody_uses_are_named_and_their_remedy_helps(changes, name):
    recipe = api.load_recipe("quickstart", changes)
    bad = [one for one in size_findings(recipe, SHAPE) if one.level != "green"]
    assert [one.name for one in bad] == ([] if name is None else [name])
    for one in bad:
        changed = api.change(recipe, [change.strip() for change in one.fix.split("--set ")[1:]])
        assert [after.level for after in size_findings(changed, SHAPE)] == ["green"]


@pytest.mark.parametrize(
    ("devices", "gpus", "named"),
    [
        ({"train": [7]}, 0, "devices.train names GPU 7"),
        ({"train": [0, 3, 2]}, 2, "devices.train names GPU 2, 3"),
        ({"train": [0], "serve": [[1], [2, 5]]}, 4, "devices.serve names GPU 5"),
        ({"train": [4], "serve": [[5]]}, 4, "devices.train names GPU 4 and devices.serve names GPU 5"),
        ({"train": [0], "serve": [[1]]}, 2, None),
    ],
)
def test_gpus_that_are_not_there_are_named_by_list_and_the_remedy_takes_the_default(devices, gpus, named):
    served = {"rollout.engine": {"kind": "vllm", "launch": True, "environment": "/opt/vllm"}}
    recipe = api.load_recipe("quickstart", {"devices": devices, **(served if "serve" in devices else {})})
    (found,) = devices_findings(recipe, gpus)
    assert (found.level, named is None or named in found.message) == ("green" if named is None else "red", True)
    if named is not None:
        changed = api.change(recipe, [change.strip() for change in found.fix.split("--set ")[1:]])
        assert all(after.level == "green" for after in devices_findings(changed, gpus))
    assert devices_findings(api.load_recipe("quickstart"), gpus) == []


def looks() -> tuple[float, object, object]:
    return time.time(), by_name.now().date(), datetime.datetime.now(datetime.UTC).date()


def test_a_clock_is_set_for_everybody_and_put_back():
    before = looks()
    with clock_at(1_000_000_000.0, [looks]):
        seconds, day, utc = looks()
        assert seconds == pytest.approx(1_000_000_000.0, abs=5)
        assert utc == datetime.date(2001, 9, 9)
        assert abs((day - utc).days) <= 1
    assert looks()[0] - before[0] < 60
    assert by_name is datetime.datetime
    assert int(DAY_AND_MORE) % 2 == 1


def test_near_misses_begin_and_end_like_the_gold():
    assert near_misses("-42") == ("-421", "-942")
    assert near_misses("x + 1") is None


def test_remedies_of_rewards_are_recipes():
    """Also where the accuracy is there already, and where the term had arguments of its own."""
    own = RewardTerm(name="my.reward", weight=2.0, args={"scale": 0.5, "mode": "strict", "whole": True})
    alone, beside = SimpleNamespace(rewards=(own,)), SimpleNamespace(rewards=(own, RewardTerm(name="accuracy")))
    assert instead(alone, 0, "accuracy") == "--set rewards.0.name=accuracy --set 'rewards.0.args={}'"
    assert instead(beside, 0, "accuracy") == "--set 'rewards=[{name: accuracy, weight: 1}]'"
    kept = without(beside, 1)
    _, change = shlex.split(kept)
    assert api.load_recipe("quickstart", [change]).rewards == (own,)
    assert without(alone, 0) == "--set 'rewards=[{name: accuracy, weight: 1.0}]'"
