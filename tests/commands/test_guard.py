"""`frugalrl guard`: a replay over a run's log and its evaluations."""

import json

import pytest

from frugalrl.cli import main
from tests.training.guard.guard_logs import calm_steps, changed


def save_evaluation(folder, name, share, verdict="correct"):
    rows = [
        {"problem_id": f"p{index}", "verdict": verdict if index < share * 100 else "incorrect", "completion_tokens": 30}
        for index in range(100)
    ]
    (folder / "evaluations").mkdir(exist_ok=True)
    (folder / "evaluations" / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def run_folder(tmp_path):
    """60 steps whose reward falls at 40; 60 % of 100 problems at the base, 10 % after steps 45 and 50."""
    fallen = changed(calm_steps(60), "reward/mean", lambda step, before: before - 0.5 * (step >= 40))
    text = "".join(json.dumps({"step": step, "unix_time": 0.0, **metrics}) + "\n" for step, metrics in fallen)
    (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
    for step, share in ((0, 0.6), (45, 0.1), (50, 0.1)):
        save_evaluation(tmp_path, f"validation-step-{step:06d}.jsonl", share)
    save_evaluation(tmp_path, "test-step-000000.jsonl", 0.9)
    return tmp_path


def test_it_shows_what_was_seen_asked_for_and_decided(run_folder, capsys):
    assert main(["guard", str(run_folder)]) == 0
    text = capsys.readouterr().out
    assert "60 steps, 3 evaluations; default settings" in text
    assert "Step 41: would have evaluated. reward: reward/mean falling since step" in text
    assert "This run has no such evaluation" in text
    assert "Step 45: would have warned. The policy has become worse: accuracy 0.100 on 100 problems" in text
    assert "Step 50: would have rolled back to the best evaluation." in text
    row = next(line.split() for line in text.splitlines() if line.startswith("reward"))
    assert row[:4] == ["reward", "reward/mean", "evaluate", "5"]
    assert row[-1] in ("41", "...") or "41" in row[-2:]


def test_other_settings_can_be_tried(run_folder, capsys):
    assert main(["guard", str(run_folder), "--set", "guard.least_fall=0.55"]) == 0
    text = capsys.readouterr().out
    assert "default settings, 1 changed" in text
    assert "The guard would not have rolled back or stopped this run." in text


def test_the_settings_are_those_of_the_runs_recipe(run_folder, capsys):
    (run_folder / "recipe.yaml").write_text("name: old\nguard: {least_fall: 0.55}\nfrom_another_version: 1\n")
    assert main(["guard", str(run_folder)]) == 0
    text = capsys.readouterr().out
    assert "settings of the run's recipe" in text
    assert "would not have rolled back" in text


def test_a_guard_of_an_earlier_version_is_replayed_with_the_defaults_and_that_is_said(run_folder, capsys):
    (run_folder / "recipe.yaml").write_text("name: old\nguard: {kl: {threshold: 20.0}}\n")
    assert main(["guard", str(run_folder)]) == 0
    text = capsys.readouterr().out
    assert "default settings, since the run's recipe is of another version" in text
    assert "Step 50: would have rolled back" in text


def test_unknown_verdicts_are_no_evidence(run_folder, capsys):
    for step in (45, 50):
        save_evaluation(run_folder, f"validation-step-{step:06d}.jsonl", 1.0, verdict="unknown")
    assert main(["guard", str(run_folder)]) == 0
    text = capsys.readouterr().out
    assert "No sample of the evaluation has a verdict" in text
    assert "would not have rolled back" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("guard.least_fal=0.3", "Did you mean 'least_fall'?"),
        ("guard.error_rate=0.0", "guard.error_rate is wrong (given: 0.0)"),
        ("training.steps=3", "The recipe has an unknown key: training."),
    ],
)
def test_a_setting_that_is_wrong(run_folder, capsys, override, message):
    assert main(["guard", str(run_folder), "--set", override]) == 2
    assert message in capsys.readouterr().err


def test_what_is_no_run_is_said(tmp_path, capsys):
    assert main(["guard", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "unix_time": 0, "loss/sft": 1.0}\n')
    assert main(["guard", str(tmp_path)]) == 2
    assert "no training step with a reward" in capsys.readouterr().err


def test_an_evaluation_that_cannot_be_read_is_named(run_folder, capsys):
    (run_folder / "evaluations" / "validation-step-000045.jsonl").write_text("{")
    assert main(["guard", str(run_folder)]) == 2
    assert "validation-step-000045.jsonl cannot be read" in capsys.readouterr().err
