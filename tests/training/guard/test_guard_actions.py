"""The guard in a run: a rollback that is really made, resumed bit for bit, and a stop that ends the run properly.

The guard is set so that it must act: one step is its baseline, KL is 0 there, and any KL above 0 is over the limit. So
on every machine KL makes it roll back after step 2, to the checkpoint of step 1; after three quiet steps it stops.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.data.sampler import take
from frugalrl.errors import ModelError, RecipeError
from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.training.run import check_context
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.state.pointers import latest_checkpoint, saved_steps
from frugalrl.training.trainer import train

NERVOUS = {
    "enabled": True,
    "baseline_steps": 1,
    "smoothing": 1,
    "patience": 1,
    "window": 1,
    "noise": 0.0,
    "severe": 1.0001,
    "cooldown_steps": 3,
    "max_rollbacks": 1,
    "kl": {"threshold": 1.0001, "floor": 1e-9},
    **{name: {"action": "none"} for name in ("entropy_low", "entropy_high", "grad_norm", "zero_std", "reward")},
}
SMALL = {
    "name": "guarded",
    "data": {"train": {"limit": 60}},
    "rewards": [{"name": "accuracy", "weight": 1.0}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 2, "group_size": 4, "max_prompt_tokens": 128, "max_completion_tokens": 48},
    "algorithm": {"loss": {"kl_coef": 0.04}},
    "optimizer": {"learning_rate": 4e-4, "schedule": "constant", "warmup_fraction": 0.0},
    "training": {"steps": 7, "save_every": 1},
    "guard": NERVOUS,
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


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    return folder, run(folder, recipe())


def test_a_rollback_is_decided_made_and_written_down(guarded):
    folder, lines = guarded
    found = [(event["step"], event["action"]) for event in events(folder)]
    assert found == [(2, "rollback"), (2, "rolled_back"), (5, "stop")]
    decided, made, _ = events(folder)
    assert (decided["signals"], decided["before"]) == (["kl"], 2)
    assert decided["reason"].startswith("kl: policy/kl over its limit in 1 of the last 1 smoothed steps")
    assert (made["to"], made["lr_factor"]) == (1, 0.5)
    assert any("Rolled back to step 1; reference and optimizer start anew" in line for line in lines)


def test_steps_go_on_and_the_learning_rate_is_halved(guarded):
    folder, _ = guarded
    rows = read_metrics(folder)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5], "the stop is after step 5 of 7"
    assert [row["learning_rate"] for row in rows] == pytest.approx([4e-4, 4e-4, 2e-4, 2e-4, 2e-4])
    assert [row["guard/rollbacks"] for row in rows] == [0, 1, 1, 1, 1]


def test_the_reference_is_the_policy_that_was_gone_back_to(guarded):
    """KL is 0 in the first step after the rollback, as it was in the first of all, and not in the next."""
    kl = [row["policy/kl"] for row in read_metrics(guarded[0])]
    assert kl[0] == pytest.approx(0, abs=1e-9)
    assert kl[1] > 1e-9
    assert kl[2] == pytest.approx(0, abs=1e-9)
    assert kl[3] > 1e-9


def test_the_problems_of_the_lost_step_do_not_come_again(guarded):
    folder, _ = guarded
    shown = [json.loads(line)["prompt"] for line in (folder / "samples.jsonl").read_text().splitlines()]
    order = take(60, 0, 10, seed=0)
    assert len(set(order)) == 10
    assert len(set(shown)) == 5, "the first problem of each of five steps"


def test_a_stop_ends_in_the_ordinary_way(guarded):
    folder, lines = guarded
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == 5
    assert (folder / "model" / "model.safetensors").is_file()
    assert any(line.startswith("   STOP by the guard after step 5. kl: ") for line in lines)


def test_a_run_that_the_guard_stopped_and_that_was_killed_before_its_end_does_not_train_on(guarded, tmp_path):
    folder = tmp_path / "killed"
    shutil.copytree(guarded[0], folder)
    shutil.rmtree(folder / "model")
    run(folder, recipe(), resume_from=folder / "checkpoints" / checkpoint_name(5))
    assert untimed(folder) == untimed(guarded[0])
    assert weights(folder) == weights(guarded[0])


@pytest.mark.parametrize("steps", [2, 3])
def test_a_run_stopped_about_its_rollback_resumes_bit_for_bit(guarded, tmp_path, steps):
    """After step 2 the rollback is decided and not made; after step 3 it has been made."""
    asked = iter([False] * steps + [True])
    run(tmp_path, recipe(), should_stop=lambda: next(asked))
    checkpoint = latest_checkpoint(tmp_path / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.name == checkpoint_name(steps)
    pending = json.loads((checkpoint / "training_state" / "state.json").read_text())["states"]["guard"]["pending"]
    assert pending == (steps == 2)
    run(tmp_path, recipe(), resume_from=checkpoint)
    assert untimed(tmp_path) == untimed(guarded[0])
    assert events(tmp_path) == events(guarded[0])
    assert (tmp_path / "samples.jsonl").read_bytes() == (guarded[0] / "samples.jsonl").read_bytes()
    assert weights(tmp_path) == weights(guarded[0])


def test_without_a_checkpoint_it_goes_back_to_the_base(tmp_path):
    run(tmp_path, recipe(training={"steps": 3, "save_every": 3}))
    assert [event.get("to") for event in events(tmp_path)] == [None, 0]
    assert read_metrics(tmp_path)[2]["policy/kl"] == pytest.approx(0, abs=1e-9)


def test_rotation_leaves_the_checkpoint_that_a_rollback_needs(tmp_path):
    """Only the newest is to be kept, but at step 2, whose own one is bad, that of step 1 is still needed."""
    asked = iter([False, False, True])
    run(tmp_path, recipe(training={"steps": 7, "save_every": 1, "keep_last": 1}), should_stop=lambda: next(asked))
    assert saved_steps(tmp_path / "checkpoints") == [1, 2]


def test_a_guard_that_has_nothing_to_do_changes_nothing(tmp_path):
    calm = {"training": {"steps": 2}}
    run(tmp_path / "on", recipe(**calm, guard={"enabled": True}))
    run(tmp_path / "off", recipe(**calm, guard={"enabled": False}))
    assert weights(tmp_path / "on") == weights(tmp_path / "off")
    on, off = untimed(tmp_path / "on"), untimed(tmp_path / "off")
    assert [{key: value for key, value in row.items() if not key.startswith("guard/")} for row in on] == off
    assert not (tmp_path / "on" / "guard.jsonl").exists()


def test_checkpoints_are_made_where_the_guard_needs_them():
    assert recipe(training={"steps": 100}).checkpoint_every == 10
    assert recipe(training={"steps": 100}, evaluation={"every": 25}).checkpoint_every == 25
    assert recipe(training={"steps": 100, "save_every": 7}).checkpoint_every == 7
    assert recipe(training={"steps": 100}, guard={"enabled": False}).checkpoint_every is None


STAGES = {"kind": "stages", "stages": [{"cap_tokens": 40, "steps": 2}, {"cap_tokens": 12, "steps": 2}]}


def test_the_cap_follows_its_schedule_and_a_resume_keeps_it(tmp_path):
    chosen = recipe(
        guard={"enabled": False},
        training={"steps": 4},
        length_schedule=STAGES,
        rewards=[{"name": "accuracy"}, {"name": "cosine"}],
    )
    run(tmp_path / "straight", chosen)
    rows = read_metrics(tmp_path / "straight")
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
