"""Runs that fail: what is said, what is kept, and that a resume continues as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from frugalrl.cli import main
from frugalrl.config.loading import parse_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import OutputError
from frugalrl.evaluation import regrading
from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.training import same_verifier
from frugalrl.training import step as step_module
from frugalrl.training.state.checkpoint import checkpoint_name
from frugalrl.training.state.pointers import latest_checkpoint, newest_intact, saved_steps
from frugalrl.training.state.run_folder import open_run_folder
from frugalrl.training.trainer import train
from frugalrl.types import NOTHING_TO_LEARN, Verdict
from tests.conftest import write_jsonl

SMALL = {
    "name": "failing",
    "seed": 5,
    "data": {"train": {"limit": 30}, "validation": {"split": "validation", "limit": 3}},
    "rewards": [{"name": "accuracy"}, {"name": "format", "weight": 0.5}],
    "rollout": {"prompts_per_step": 2, "group_size": 4, "max_prompt_tokens": 128, "max_completion_tokens": 16},
    "optimizer": {"learning_rate": 4e-4},
    "evaluation": {"every": 2, "samples_per_problem": 1},
    "training": {"steps": 4},
}


def recipe(**changes) -> TrainRecipe:
    merged = {
        key: {**value, **changes.pop(key, {})} if isinstance(value, dict) else value for key, value in SMALL.items()
    }
    return parse_recipe({**merged, **changes}, TrainRecipe)


def run(folder: Path, chosen: TrainRecipe, resume: bool = False, **arguments):
    lines: list[str] = []
    with open_run_folder(chosen, folder, resume) as opened:
        lines.append(opened.message)
        summary = train(chosen, opened.path, opened.checkpoint, lines.append, **arguments)
    return summary, lines


def content(folder: Path) -> tuple:
    """What two runs of one recipe share."""
    metrics = [without_times(line) for line in read_metrics(folder)]
    return metrics, (folder / "samples.jsonl").read_bytes(), (folder / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that was left alone."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder, recipe())
    return folder


def test_an_error_in_a_step_keeps_the_step_before_it_though_nothing_is_saved_on_the_way(whole, tmp_path, monkeypatch):
    update = step_module.update_policy
    calls = []

    def fails_at_the_third(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return update(*arguments)

    monkeypatch.setattr(step_module, "update_policy", fails_at_the_third)
    lines: list[str] = []
    chosen = recipe()
    with pytest.raises(RuntimeError, match="illegal memory access"), open_run_folder(chosen, tmp_path / "run", False):
        train(chosen, tmp_path / "run", show=lines.append)
    assert "step-000002; resume with --resume once the error below is fixed" in lines[-1]
    monkeypatch.undo()
    run(tmp_path / "run", chosen, resume=True)
    assert content(tmp_path / "run") == content(whole)


def test_an_update_that_failed_half_way_makes_no_checkpoint(tmp_path, monkeypatch):
    def half_done(policy, reference, optimizer, *others):
        optimizer.steps_begun += 1
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(step_module, "update_policy", half_done)
    chosen, lines = recipe(), []
    with pytest.raises(RuntimeError, match="gone"), open_run_folder(chosen, tmp_path / "run", False):
        train(chosen, tmp_path / "run", show=lines.append)
    assert saved_steps(tmp_path / "run" / "checkpoints") == []


def test_an_update_that_does_not_fit_the_memory_is_cut_smaller_and_gives_the_same_gradient(
    whole, tmp_path, monkeypatch
):
    update = step_module.update_policy

    def small_memory(policy, reference, optimizer, batches, *others):
        if max(len(batch.layout.tokens) for batch in batches) > 150:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return update(policy, reference, optimizer, batches, *others)

    monkeypatch.setattr(step_module, "update_policy", small_memory)
    _, lines = run(tmp_path / "run", recipe())
    assert any("Out of memory in step 1: micro-batches have 128 tokens from here on" in line for line in lines)
    assert not any("Out of memory in step 2" in line for line in lines), "the size is remembered"
    for ours, theirs in zip(read_metrics(tmp_path / "run"), read_metrics(whole), strict=True):
        if "policy/grad_norm" in theirs:
            assert ours["policy/grad_norm"] == pytest.approx(theirs["policy/grad_norm"], rel=1e-3)
    monkeypatch.setattr(step_module, "update_policy", lambda *arguments: (_ for _ in ()).throw(ValueError("other")))
    with pytest.raises(ValueError, match="other"):
        run(tmp_path / "other", recipe())


def test_a_run_that_cannot_learn_any_more_ends_with_the_cause_and_exit_code_3(tmp_path, capsys):
    text = json.dumps(
        {**SMALL, "optimizer": {"learning_rate": 100.0, "warmup_fraction": 0.0}, "training": {"steps": 9}}
    )
    (tmp_path / "recipe.yaml").write_text(text)
    code = main(["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run"), "--ignore-doctor"])
    printed = capsys.readouterr().out
    assert code == 3
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["ended_early"].startswith(NOTHING_TO_LEARN)
    assert summary["steps"] < 9
    assert "ower optimizer.learning_rate" in printed
    assert "train longer from here" not in printed


@pytest.mark.parametrize("damage", ["lost", "edited", "torn"])
def test_an_evaluation_that_was_lost_or_changed_is_made_again(whole, tmp_path, damage):
    chosen = recipe(training={"save_every": 1})
    asked = iter([False, False, False, True])
    run(tmp_path / "run", chosen, should_stop=lambda: next(asked))
    file = tmp_path / "run" / "evaluations" / "validation-step-000002.jsonl"
    before = file.read_text()
    if damage == "lost":
        file.unlink()
    else:
        file.write_text(before.replace("incorrect", "correct") if damage == "edited" else before[: len(before) // 2])
    _, lines = run(tmp_path / "run", chosen, resume=True)
    assert any("the evaluation is made again from the weights of step 2" in line for line in lines)
    assert content(tmp_path / "run")[0] == content(whole)[0]
    assert content(tmp_path / "run")[2] == content(whole)[2]


def none_is_known(groups, pool):
    return [[Verdict("unknown", None, "x") for _ in group.completions] for group in groups]


def test_a_resume_with_another_verifier_goes_on_only_if_it_agrees_with_every_stored_verdict(
    whole, tmp_path, monkeypatch
):
    asked = iter([False, False, False, True])
    run(tmp_path / "run", recipe(training={"save_every": 1}), should_stop=lambda: next(asked))
    monkeypatch.setattr(same_verifier, "verifier_digest", lambda: "another")
    with monkeypatch.context() as stricter:
        stricter.setattr(regrading, "judge_groups", none_is_known)
        with pytest.raises(OutputError, match=r"a run never mixes two\. See which with `frugalrl regrade"):
            run(tmp_path / "run", recipe(training={"save_every": 1}), resume=True)
    _, lines = run(tmp_path / "run", recipe(training={"save_every": 1}), resume=True)
    assert any("today's agrees everywhere" in line for line in lines)
    assert content(tmp_path / "run")[0] == content(whole)[0]


def test_an_evaluation_whose_checkpoint_is_gone_too_is_left_out_with_a_line(tmp_path):
    chosen = recipe(training={"save_every": 1})
    asked = iter([False, False, False, True])
    run(tmp_path / "run", chosen, should_stop=lambda: next(asked))
    (tmp_path / "run" / "evaluations" / "validation-step-000002.jsonl").unlink()
    (tmp_path / "run" / "checkpoints" / checkpoint_name(2) / "config.json").unlink()
    summary, lines = run(tmp_path / "run", chosen, resume=True)
    assert any("step 2 is left out of the selection" in line for line in lines)
    assert {one.step for one in summary.contenders} == {0, 4}


def test_an_evaluation_that_is_changed_while_the_run_goes_on_is_refused_in_one_sentence(tmp_path):
    def spoil() -> bool:
        file = tmp_path / "run" / "evaluations" / "validation-step-000000.jsonl"
        file.write_text(file.read_text().replace("incorrect", "correct"))
        return False

    with pytest.raises(OutputError, match=r"validation-step-000000\.jsonl was changed after it was made\. Put it back"):
        run(tmp_path / "run", recipe(), should_stop=spoil)


def test_swapped_checkpoint_folders_are_found_by_the_step_they_hold(tmp_path):
    run(tmp_path / "run", recipe(training={"save_every": 1}))
    checkpoints = tmp_path / "run" / "checkpoints"
    (checkpoints / checkpoint_name(4)).rename(checkpoints / "aside")
    (checkpoints / checkpoint_name(2)).rename(checkpoints / checkpoint_name(4))
    (checkpoints / "aside").rename(checkpoints / checkpoint_name(2))
    found, notes = newest_intact(checkpoints)
    assert found == checkpoints / checkpoint_name(3)
    assert "step-000004 is damaged: it holds step 2, not the step of its name" in notes[0]


def test_a_model_card_may_be_edited_or_removed(tmp_path):
    run(tmp_path / "run", recipe(training={"save_every": 4}))
    checkpoint = latest_checkpoint(tmp_path / "run" / "checkpoints")
    (checkpoint / "README.md").unlink()
    assert latest_checkpoint(tmp_path / "run" / "checkpoints") == checkpoint


def test_a_log_that_is_gone_is_called_gone(tmp_path):
    chosen = recipe(training={"save_every": 1})
    asked = iter([False, False, True])
    run(tmp_path / "run", chosen, should_stop=lambda: next(asked))
    (tmp_path / "run" / "metrics.jsonl").unlink()
    _, lines = run(tmp_path / "run", chosen, resume=True)
    assert any("metrics.jsonl is missing: it starts again after step 2" in line for line in lines)
    assert not any("are kept" in line for line in lines)


# ----------------------------------------------------------------------------------------------- extending a run


def test_a_finished_run_can_be_extended_and_the_schedule_s_consequence_is_said(tmp_path):
    run(tmp_path / "run", recipe())
    summary, lines = run(tmp_path / "run", recipe(training={"steps": 6}), resume=True)
    assert summary.steps == 6
    assert [row["step"] for row in read_metrics(tmp_path / "run") if "reward/mean" in row] == [1, 2, 3, 4, 5, 6]
    assert "Changed for the rest of the run: training.steps 4 -> 6." in lines[0]
    assert "the cosine schedule spans 6 steps now" in lines[0].replace("The", "the")
    saved = parse_recipe(yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text()), TrainRecipe)
    assert saved.training.steps == 6


def test_a_run_that_its_budget_ended_continues_with_a_larger_one(whole, tmp_path):
    first, _ = run(tmp_path / "run", recipe(budget={"steps": 2}))
    assert (first.steps, first.ended_early is None) == (2, False)
    second, _ = run(tmp_path / "run", recipe(budget={"steps": 4}), resume=True)
    assert (second.steps, second.ended_early) == (4, None)


def test_fewer_steps_than_are_done_and_other_changes_are_refused(tmp_path):
    run(tmp_path / "run", recipe())
    with pytest.raises(OutputError, match=r"training\.steps is 3, and 4 steps are done already"):
        run(tmp_path / "run", recipe(training={"steps": 3}), resume=True)
    with pytest.raises(OutputError, match=r"has another recipe .seed is 5 there and 6 here"):
        run(tmp_path / "run", recipe(seed=6), resume=True)


# ------------------------------------------------------------------------------------------------ from outside


def test_half_of_a_launch_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "recipe.yaml").write_text(json.dumps(SMALL))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert main(["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]) == 2
    assert "WORLD_SIZE is 2 and RANK is not set" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_dry_run_checks_the_arguments_of_rewards(tmp_path, capsys):
    wrong = {**SMALL, "rewards": [{"name": "cosine", "args": {"max_lenght_tokens": 5}}]}
    (tmp_path / "recipe.yaml").write_text(json.dumps(wrong))
    assert main(["train", str(tmp_path / "recipe.yaml"), "--dry-run"]) == 2
    assert "max_lenght_tokens" in capsys.readouterr().err


def test_a_lost_terminal_ends_a_run_with_a_checkpoint(tmp_path):
    longer = {"rollout": {**SMALL["rollout"], "max_completion_tokens": 64}}
    (tmp_path / "recipe.yaml").write_text(json.dumps({**SMALL, **longer, "training": {"steps": 500}}))
    arguments = [sys.executable, "-m", "frugalrl", "train", "recipe.yaml", "--out", "run"]
    # Whatever started the tests may ignore the signal (nohup); a run of a user's does not.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().startswith("2/500"):
            break
    process.stdout.close()
    os.kill(process.pid, signal.SIGHUP)
    assert process.wait(timeout=120) == 130
    assert latest_checkpoint(tmp_path / "run" / "checkpoints") is not None


def test_rows_left_out_and_a_data_set_smaller_than_a_step_are_said_with_counts(tmp_path):
    rows = [{"problem": f"Compute: {n} + 1", "answer": str(n + 1) if n % 3 else ""} for n in range(1, 7)]
    source = {"source": str(write_jsonl(tmp_path / "rows.jsonl", rows)), "skip_without_gold": True, "limit": None}
    chosen = recipe(
        data={"train": source, "validation": None}, guard={"held_out": 0}, rollout={"prompts_per_step": 5},
        training={"steps": 1},
    )  # fmt: skip
    _, lines = run(tmp_path / "run", chosen)
    assert f"Left out 2 of 6 rows of {tmp_path / 'rows.jsonl'}: no gold answer (skip_without_gold)." in lines
    assert any("4 training problems are fewer than prompts_per_step (5)" in line for line in lines)
