"""The guard in a run: evaluations that it calls, a rollback that is really made, and a run that it leaves as it was.

The decisions themselves are made up, so that they are the same on every machine: the policy "gets worse" in the second
evaluation and is "confirmed" in the third, whatever it is in truth. All else is the real run.
"""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import ModelError, RecipeError
from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.training.guard import rules
from frugalrl.training.hooks import guard as hook
from frugalrl.training.run import check_context
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.state.pointers import latest_checkpoint, saved_steps
from frugalrl.training.trainer import train

GUARD = {"confirm_steps": 1, "max_rollbacks": 1, "evaluation_share": 1.0}
SMALL = {
    "name": "guarded",
    "data": {"train": {"limit": 60}, "validation": {"split": "validation", "limit": 6}},
    "rewards": [{"name": "accuracy", "weight": 1.0}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 2, "group_size": 4, "max_prompt_tokens": 128, "max_completion_tokens": 48},
    "algorithm": {"loss": {"kl_coef": 0.04}},
    "optimizer": {"learning_rate": 4e-4, "schedule": "constant", "warmup_fraction": 0.0},
    "evaluation": {"samples_per_problem": 1},
    "training": {"steps": 7, "save_every": 1},
    "guard": GUARD,
}


def recipe(**changes) -> TrainRecipe:
    return parse_recipe({**SMALL, **changes}, TrainRecipe)


def run(folder: Path, chosen: TrainRecipe, **arguments) -> list[str]:
    folder.mkdir(exist_ok=True)
    lines: list[str] = []
    train(chosen, folder, show=lines.append, **arguments)
    return lines


def events(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "guard.jsonl").read_text().splitlines()]


def untimed(folder: Path) -> list[dict]:
    return [without_times(row) for row in read_metrics(folder)]


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Steps this small take longer in two threads, much longer on a busy machine; and then the bits are the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def falls(monkeypatch):
    """Every evaluation after the base's is one of a policy that gets nothing right, of 200 problems that the base
    solved; a sign is seen at every step. So: found after step 1, confirmed after 2, found after 3, a stop after 4.
    """
    true_judge = rules.judge

    def judge(state, look, rule):
        wrong, right = [[False]] * 200, [[True]] * 200
        look = dataclasses.replace(look, correct=right if look.step == 0 else wrong, best=right if look.best else [])
        return true_judge(state, look, rule)

    monkeypatch.setattr(hook, "judge", judge)
    monkeypatch.setattr(rules, "nonfinite", lambda metrics: "made up")


def run_guarded(folder: Path, **changes) -> list[str]:
    return run(folder, recipe(**changes))


def test_a_rollback_is_decided_made_and_written_down_and_then_a_stop(falls, tmp_path):
    lines = run_guarded(tmp_path)
    found = [(event["step"], event["action"]) for event in events(tmp_path)]
    assert found == [
        (1, "evaluate"), (1, "warn"), (2, "evaluate"), (2, "rollback"), (2, "rolled_back"),
        (3, "evaluate"), (3, "warn"), (4, "evaluate"), (4, "stop"),
    ]  # fmt: skip
    (made,) = (event for event in events(tmp_path) if event["action"] == "rolled_back")
    assert (made["to"], made["lr_factor"]) == (0, 0.5)
    assert any("Rolled back to the base model; reference and optimizer are reset" in line for line in lines)
    assert any(line.startswith("   STOP by the guard after step 4. The policy has become worse") for line in lines)
    rows = [row for row in read_metrics(tmp_path) if "reward/mean" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4], "the stop is after step 4 of 7"
    assert [row["learning_rate"] for row in rows] == pytest.approx([4e-4, 4e-4, 2e-4, 2e-4])
    assert [row["guard/rollbacks"] for row in rows] == [0, 0, 1, 1]
    kl = [row["policy/kl"] for row in rows]
    assert kl[1] > 1e-9
    assert kl[2] == pytest.approx(0, abs=1e-9), "the reference is the policy that was gone back to"
    shown = [json.loads(line)["prompt"] for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert len(set(shown)) == 4, "the problems of the lost steps do not come again"
    assert json.loads((tmp_path / "summary.json").read_text())["steps"] == 4
    assert sorted(path.name for path in (tmp_path / "evaluations").glob("guard-*")) == [
        f"guard-step-00000{step}.jsonl" for step in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_stopped_about_its_rollback_resumes_bit_for_bit(falls, tmp_path, steps):
    """After step 1 the fall is found; after step 2 the rollback is decided and not made; after 3 it has been made."""
    run_guarded(tmp_path / "straight")
    asked = iter([False] * steps + [True])
    run(tmp_path / "stopped", recipe(), should_stop=lambda: next(asked))
    checkpoint = latest_checkpoint(tmp_path / "stopped" / "checkpoints")
    assert checkpoint.name == checkpoint_name(steps)
    pending = json.loads((checkpoint / "training_state" / "state.json").read_text())["states"]["guard"]["pending"]
    assert pending == (steps == 2)
    run(tmp_path / "stopped", recipe(), resume_from=checkpoint)
    assert untimed(tmp_path / "stopped") == untimed(tmp_path / "straight")
    assert events(tmp_path / "stopped") == events(tmp_path / "straight")
    assert weights(tmp_path / "stopped") == weights(tmp_path / "straight")


def test_a_run_that_the_guard_stopped_and_that_was_killed_before_its_end_does_not_train_on(falls, tmp_path):
    run_guarded(tmp_path / "straight")
    shutil.copytree(tmp_path / "straight", tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / "model")
    run(tmp_path / "killed", recipe(), resume_from=tmp_path / "killed" / "checkpoints" / checkpoint_name(4))
    assert untimed(tmp_path / "killed") == untimed(tmp_path / "straight")
    assert weights(tmp_path / "killed") == weights(tmp_path / "straight")


def test_it_goes_back_to_the_best_evaluation_and_rotation_leaves_its_checkpoint(monkeypatch, tmp_path):
    """The scheduled evaluation after step 2 is the best; those called after 3 and 4 show a fall. Only one is kept."""
    true_judge, true_best = rules.judge, {2: True}

    def judge(state, look, rule):
        share = 0.2 if look.step == 0 else 1.0 if look.step == 2 else 0.0
        made = [[index < 200 * share] for index in range(200)]
        best = [[True]] * 200 if state.reference and true_best.get(state.reference.step) else [[False]] * 200
        return true_judge(state, dataclasses.replace(look, correct=made, best=best if look.best else []), rule)

    monkeypatch.setattr(hook, "judge", judge)
    monkeypatch.setattr(rules, "nonfinite", lambda metrics: "made up" if metrics["guarded_from"] else None)
    true_observe = hook.observe

    def observe(state, step, metrics, rule):
        return true_observe(state, step, {**metrics, "guarded_from": step in (3, 4)}, rule)

    monkeypatch.setattr(hook, "observe", observe)
    run_guarded(
        tmp_path,
        evaluation={"samples_per_problem": 1, "every": 2},
        training={"steps": 5, "save_every": 1, "keep_last": 1},
    )
    made = [event for event in events(tmp_path) if event["action"] == "rolled_back"]
    assert [(event["step"], event["to"]) for event in made] == [(4, 2)]
    assert 2 in saved_steps(tmp_path / "checkpoints")


def test_a_guard_that_is_never_called_to_act_changes_nothing(tmp_path):
    """It evaluates twice for want of a look, with seeds of its own: weights, log and choice are those without it."""
    calm = {"training": {"steps": 4, "save_every": 2}, "evaluation": {"samples_per_problem": 1, "every": 3}}
    chosen = {"every_step": {"enabled": True, "least_fall": 0.99}, "off": {"enabled": False}}
    for name, guard in chosen.items():
        run(tmp_path / name, recipe(**calm, guard=guard))
    assert weights(tmp_path / "every_step") == weights(tmp_path / "off")
    on, off = untimed(tmp_path / "every_step"), untimed(tmp_path / "off")
    without = [{key: value for key, value in row.items() if not key.startswith("guard/")} for row in on]
    assert without == off
    assert not (tmp_path / "off" / "guard.jsonl").exists()


def test_called_evaluations_have_seeds_of_their_own_and_move_nothing(monkeypatch, tmp_path):
    """The same with an evaluation after each step, all of them clear."""
    monkeypatch.setattr(rules, "nonfinite", lambda metrics: "made up")
    calm = {"training": {"steps": 4, "save_every": 2}}
    run(tmp_path / "on", recipe(**calm, guard={"evaluation_share": 1.0, "least_fall": 0.99}))
    run(tmp_path / "off", recipe(**calm, guard={"enabled": False}))
    asked = [event["step"] for event in events(tmp_path / "on") if event["action"] == "evaluate"]
    assert asked == [1, 2, 3], "none after the last step"
    assert weights(tmp_path / "on") == weights(tmp_path / "off")
    on, off = untimed(tmp_path / "on"), untimed(tmp_path / "off")
    moved = ("guard/", "cost/tokens")  # what was sampled is counted
    without = [{key: value for key, value in row.items() if not key.startswith(moved)} for row in on]
    assert without == [{key: value for key, value in row.items() if not key.startswith(moved)} for row in off]


def test_without_validation_a_slice_of_the_training_problems_is_held_out_and_said(monkeypatch, tmp_path):
    monkeypatch.setattr(rules, "nonfinite", lambda metrics: "made up")
    lines = run_guarded(
        tmp_path,
        data={"train": {"limit": 300}},
        rollout={**SMALL["rollout"], "prompts_per_step": 4},
        training={"steps": 6, "save_every": 6},
        guard={"evaluation_share": 1.0, "least_fall": 0.99},
    )
    assert (
        "There are no validation problems: 30 of 300 training problems are held out for the guard "
        "(guard.held_out=0 trains on all)." in lines
    )
    lines = (tmp_path / "evaluations" / "guard-step-000000.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["record"] == "sample" for line in lines) == 30
    prompts = {json.loads(line)["prompt"] for line in (tmp_path / "samples.jsonl").read_text().splitlines()}
    assert len(prompts) == 6
    called = [event["step"] for event in events(tmp_path) if event["action"] == "evaluate"]
    assert called[0] == 1, "the base's evaluation is not charged"
    assert len(called) <= 1 + 3, "96 samples of 6 steps pay three of 30, and one is free"


def test_a_pool_too_small_holds_nothing_out(tmp_path):
    lines = run_guarded(tmp_path, data={"train": {"limit": 150}}, training={"steps": 1})
    assert not any("held out" in line for line in lines)
    assert not (tmp_path / "evaluations").exists() or not list((tmp_path / "evaluations").glob("guard-*"))


STAGES = {"kind": "stages", "stages": [{"cap_tokens": 40, "steps": 2}, {"cap_tokens": 12, "steps": 2}]}


def test_the_cap_follows_its_schedule_and_a_resume_keeps_it(tmp_path):
    chosen = recipe(
        guard={"enabled": False},
        training={"steps": 4},
        length_schedule=STAGES,
        rewards=[{"name": "accuracy"}, {"name": "cosine"}],
    )
    run(tmp_path / "straight", chosen)
    rows = [row for row in read_metrics(tmp_path / "straight") if "reward/mean" in row]
    assert [row["completion/cap_tokens"] for row in rows] == [40, 40, 12, 12]
    assert all(row["completion/max_tokens"] <= row["completion/cap_tokens"] for row in rows)
    asked = iter([False, False, True])
    run(tmp_path / "resumed", chosen, should_stop=lambda: next(asked))
    run(tmp_path / "resumed", chosen, resume_from=latest_checkpoint(tmp_path / "resumed" / "checkpoints"))
    assert untimed(tmp_path / "resumed") == untimed(tmp_path / "straight")
    assert weights(tmp_path / "resumed") == weights(tmp_path / "straight")


def test_the_largest_cap_must_fit_the_context():
    grows = recipe(length_schedule={"kind": "adaptive", "most_tokens": 500})
    check_context(grows, 628)
    with pytest.raises(ModelError, match="128 \\+ 500 completion tokens are 628, more than the context"):
        check_context(grows, 627)


def test_a_reward_that_no_cap_of_the_schedule_can_bound_is_said_before_the_first_step(tmp_path):
    rewards = [{"name": "accuracy"}, {"name": "soft_overlong", "args": {"cache_tokens": 20}}]
    with pytest.raises(RecipeError, match="max_length_tokens, which is 12"):
        run(tmp_path, recipe(length_schedule=STAGES, rewards=rewards))
