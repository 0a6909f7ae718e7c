"""Remedies of what only samples show: each is a change that a recipe takes, and what was found is gone after it.

Samples come from a writer whose texts depend on the recipe, as a policy's do: on its cap, its temperature, its prompt.
"""

import re
import shlex
from types import SimpleNamespace

import pytest

from frugalrl import api
from frugalrl.errors import ModelError
from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.doctor.optimisation_checks import TrialStep, trial_findings
from frugalrl.planning.doctor.plan_checks import measured_finding
from frugalrl.planning.doctor.remedies import in_process
from frugalrl.planning.doctor.sampled import _reports, _settings, weights_arrive
from frugalrl.planning.doctor.sampling_checks import sampling_findings
from frugalrl.types import Completion, Problem, Prompt, RolloutGroup, ScoredCompletion, ScoredGroup, Verdict

RIGHT = "I add the numbers one by one, which takes me a few words in plain English.</think>\nSo it is \\boxed{12}."
CHINESE = "我把这些数字一个一个地加起来,这样就得到了答案。</think>\n答案是 \\boxed{12}。"
STAGES = [{"cap_tokens": 8, "steps": 1}, {"cap_tokens": 128, "steps": 1}]
SAVED = {"data.train.limit": 64, "data.validation.limit": 16, "data.test": None}


def alternatives(fix: str) -> list[list[str]]:
    """The changes after `--set` of each remedy that a fix names, as a shell would split them."""
    found = []
    for part in re.split(r",? or |; ", fix):
        words = re.findall(r"--set ('(?:[^']|'\\'')*'|\S+)", part)
        if words:
            found.append([shlex.split(word.rstrip(","))[0] for word in words])
    return found


def plain(recipe, seed):
    return RIGHT if seed % 2 else RIGHT.replace("12", "13")


def long_reasoning(recipe, seed):
    words = " ".join(f"{number} and {number + seed} are {2 * number + seed}." for number in range(10, 24))
    return plain(recipe, seed).replace("</think>", f" {words}</think>")


def boxed_where_asked(recipe, seed):
    asked = "boxed" in recipe.data.prompt.template
    return plain(recipe, seed) if asked else "I add.</think>\nSo it is 12."


def noise_where_hot(recipe, seed):
    return plain(recipe, seed) if recipe.rollout.temperature <= 1 else "la la la la " * 40


def alike_where_greedy(recipe, seed):
    rollout = recipe.rollout
    is_free = rollout.temperature > 0.3 and rollout.top_p > 0.3 and rollout.top_k != 1
    return plain(recipe, seed if is_free else 1)


def chinese_unless_asked(recipe, seed):
    asked = "English" in (recipe.data.prompt.system or "")
    return (
        plain(recipe, seed)
        if asked
        else "我把这些数字一个一个地加起来,这样就得到了答案。</think>\n答案是 \\boxed{12}。"
    )


def sampled(recipe, write) -> dict[str, Finding]:
    """The findings of 16 groups of 4, a token for every four letters."""
    cap, groups = recipe.rollout.max_completion_tokens, []
    for number in range(16):
        prompt = Prompt(Problem(str(number), "?", "12"), "?", (1,) * 8)
        groups.append(ScoredGroup(prompt, tuple(scored(write(recipe, seed), cap) for seed in range(4))))
    rollouts = [RolloutGroup(one.prompt, tuple(own.completion for own in one.completions)) for one in groups]
    run = SimpleNamespace(recipe=recipe, policy=SimpleNamespace(context_tokens=8192, end_token_note=None))
    found = sampling_findings(groups, _reports(groups), _settings(run, rollouts))
    return {one.name: one for one in found}


def scored(text, cap) -> ScoredCompletion:
    tokens = len(text) // 4
    text, is_cut = text[: 4 * cap], tokens > cap
    tokens = min(tokens, cap)
    box = re.search(r"\\boxed{(\d+)}", text.partition("</think>")[2])
    reason = "correct" if box else "no_box" if "</think>" in text else "unclosed_reasoning"
    is_right = box is not None and box[1] == "12"
    verdict = Verdict("correct" if is_right else "incorrect", box[1] if box else None, "different" if box else reason)
    one = Completion(text, (5,) * tokens, (-0.1,) * tokens, "length" if is_cut else "stop", (0,) * tokens, 1)
    return ScoredCompletion(one, float(is_right), {"accuracy": float(is_right)}, verdict)


@pytest.mark.parametrize(
    ("changes", "write", "name"),
    [
        ({"rollout.max_completion_tokens": 64}, long_reasoning, "sampling/truncated"),
        ({"rollout.max_completion_tokens": 64}, long_reasoning, "sampling/accuracy"),
        ({"data.prompt.template": "{problem}"}, boxed_where_asked, "sampling/accuracy"),
        ({"data.prompt.template": "{problem}"}, boxed_where_asked, "sampling/misread"),
        ({"rollout.temperature": 2.0}, noise_where_hot, "sampling/text"),
        ({"rollout.temperature": 2.0}, noise_where_hot, "sampling/accuracy"),
        ({"rollout.temperature": 0.1}, alike_where_greedy, "sampling/signal"),
        ({"rollout.top_p": 0.1}, alike_where_greedy, "sampling/signal"),
        ({"rollout.top_k": 1}, alike_where_greedy, "sampling/signal"),
        ({"evaluation.max_completion_tokens": 8}, plain, "sampling/evaluation_cap"),
        ({"length_schedule": {"kind": "stages", "stages": STAGES}}, plain, "sampling/schedule_cap"),
        ({"rewards": [{"name": "accuracy"}, {"name": "language"}]}, chinese_unless_asked, "sampling/language"),
    ],
)  # fmt: skip
def test_what_samples_show_is_gone_after_the_remedy(changes, write, name):
    recipe = api.load_recipe("quickstart", {**SAVED, **changes})
    found = sampled(recipe, write)[name]
    assert found.level != "green"
    first, *_ = alternatives(found.fix)
    after = sampled(api.change(recipe, first), write)
    assert name not in after or after[name].level == "green", (first, after[name])


@pytest.mark.parametrize(
    "write",
    [lambda recipe, seed: RIGHT, lambda recipe, seed: RIGHT.replace("12", "13"), chinese_unless_asked],
    ids=["all right", "all wrong", "Chinese"],
)
def test_remedies_whose_effect_is_seen_in_training_only_are_changes_that_a_recipe_takes(write):
    recipe = api.load_recipe("quickstart", SAVED)
    for found in sampled(recipe, write).values():
        for change in alternatives(found.fix):
            assert api.change(recipe, change) != recipe, (found, change)


def trial(**changes) -> TrialStep:
    good = {"updated": {"policy/rollout_logprob_gap": 1e-6}, "moved_nats": 0.03, "gradients": {"mlp": (0.1, 0)}}
    return TrialStep(**{**good, "changed_share": 1.0, "changed_in_dtype": 1.0, "made_up": False, **changes})


@pytest.mark.parametrize(
    ("rate", "broken"),
    [
        (4e-3, lambda rate: {"moved_nats": 75 * rate}),
        (4e-12, lambda rate: {"moved_nats": 75 * rate}),
        (1e-11, lambda rate: {"changed_share": min(1.0, 1e8 * rate)}),
        (4e-4, lambda rate: {"moved_nats": float("nan") if rate > 1e-4 else 0.01}),
    ],
)
def test_the_rate_that_a_trial_update_advises_is_one_that_it_is_content_with(rate, broken):
    recipe = api.load_recipe("quickstart", {"optimizer.learning_rate": rate})
    bad = [one for one in trial_findings(trial(**broken(rate)), recipe.optimizer, "float32") if one.level != "green"]
    (found,) = bad
    changed = api.change(recipe, alternatives(found.fix)[0]).optimizer
    assert {one.level for one in trial_findings(trial(**broken(changed.learning_rate)), changed, "float32")} == {
        "green"
    }


def test_other_remedies_of_a_trial_are_changes_that_a_recipe_takes(monkeypatch):
    """Of servers too, whose section has other keys than the engine that is advised."""
    server = {"kind": "vllm", "launch": True, "environment": "/opt/vllm"}
    changes = {"rollout.engine": server, "model.dtype": "bfloat16", "devices.serve": [[1]]}
    recipe = api.load_recipe("quickstart", changes)

    def refuse(run, version):
        raise ModelError("The server holds other weights. Nothing was learned from them.")

    monkeypatch.setattr("frugalrl.planning.doctor.sampled.publish_weights", refuse)
    found = [weights_arrive(SimpleNamespace(recipe=recipe), 0), measured_finding(95.0, 100.0, "cuda")]
    for changes in ({"updated": {"policy/rollout_logprob_gap": 5.0}}, {"gradients": {"mlp": (0.0, 0)}}):
        found += trial_findings(trial(**changes), recipe.optimizer, "bfloat16", in_process(recipe))
    bad = [one for one in found if one.level != "green"]
    assert len(bad) == 4
    for one in bad:
        assert alternatives(one.fix)
        for change in alternatives(one.fix):
            assert api.change(recipe, change)
