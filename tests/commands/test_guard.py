"""`frugalrl guard`: a replay over a run's log."""

import json

import pytest

from frugalrl.cli import main
from tests.training.guard.guard_logs import calm_steps, changed, with_evaluations


@pytest.fixture
def run_folder(tmp_path):
    """40 calm steps, then KL at 0.4; validations of 0.4 and 0.6."""
    high = changed(calm_steps(60), "policy/kl", lambda step, before: 0.4 if step >= 40 else before)
    lines = with_evaluations(high, {0: 0.4, 30: 0.6})
    text = "".join(json.dumps({"step": step, "unix_time": 0.0, **metrics}) + "\n" for step, metrics in lines)
    (tmp_path / "metrics.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_it_shows_when_the_guard_would_have_acted_and_why(run_folder, capsys):
    assert main(["guard", str(run_folder)]) == 0
    text = capsys.readouterr().out
    assert "60 steps, 2 evaluations; default settings" in text
    assert "Step 46: would have warned. kl: policy/kl over its limit in 5 of the last 8 smoothed steps" in text
    assert "Step 51: would have rolled back to the last good checkpoint before step 40." in text
    row = next(line.split() for line in text.splitlines() if line.startswith("kl"))
    assert row == ["kl", "rollback", "0.03", "0.3", "0.4", "42", "1.37"]


def test_other_settings_can_be_tried(run_folder, capsys):
    assert main(["guard", str(run_folder), "--set", "guard.kl.threshold=20"]) == 0
    assert "The guard would not have acted." in capsys.readouterr().out
    assert main(["guard", str(run_folder), "--set", "guard.kl.action=warn"]) == 0
    text = capsys.readouterr().out
    assert "would have warned" in text
    assert "rolled back" not in text


def test_the_settings_are_those_of_the_runs_recipe(run_folder, capsys):
    (run_folder / "recipe.yaml").write_text("name: old\nguard: {kl: {threshold: 20.0}}\nfrom_another_version: 1\n")
    assert main(["guard", str(run_folder)]) == 0
    text = capsys.readouterr().out
    assert "settings of the run's recipe" in text
    assert "The guard would not have acted." in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("guard.kll.threshold=3", "Did you mean 'kl'?"),
        ("guard.kl.treshold=3", "Did you mean 'threshold'?"),
        ("guard.kl.threshold=0.5", "guard.kl.threshold is wrong (given: 0.5)"),
        ("guard.patience=9", "patience 9 can never be reached in a window of 8 steps"),
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
