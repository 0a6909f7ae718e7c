"""The numbered examples run, and print what stands beside them as far as every machine agrees on it."""

import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def printed(capsys, monkeypatch, tmp_path):
    """What an example prints. It runs in this process, which has imported what it would import for seconds."""

    def of(name: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(EXAMPLES)  # as for a script; recipes name what is in it
        script = str(EXAMPLES / f"{name}.py")
        monkeypatch.setattr(sys, "argv", [script])
        with warnings.catch_warnings(action="default"):
            runpy.run_path(script, run_name="__main__")
        assert list(tmp_path.iterdir()) == [], "an example leaves nothing behind where it is started"
        return capsys.readouterr().out

    return of


def stored(name: str) -> str:
    return (EXAMPLES / f"{name}.txt").read_text(encoding="utf-8")


def test_scoring_prints_the_table_beside_it():
    command = [sys.executable, EXAMPLES / "01_score_completions.py"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout
    assert output == stored("01_score_completions")


def test_sampling_shows_a_group_whose_advantages_add_up_to_nothing(printed):
    """The drawn tokens could differ on another processor in their last digits; the problem and the sums cannot."""
    output = printed("02_sample_from_a_model")
    assert output.splitlines()[0] == stored("02_sample_from_a_model").splitlines()[0]
    advantages = [float(value) for value in re.findall(r"advantage ([-+][\d.]+)", output)]
    assert len(advantages) == 8
    assert abs(sum(advantages)) < 0.01


def test_the_notebook_runs_cell_by_cell(printed):
    output = printed("07_in_a_notebook").splitlines()
    assert output[:2] == stored("07_in_a_notebook").splitlines()[:2]
    assert "Did you mean 'steps'?" in output[1]
    assert [line.split()[1] for line in output if line.startswith("step ")] == ["1", "2", "3", "4", "5"]
    assert output[-2:] == ["correct correct", "[('arithmetic', 5, 2)]"]


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_uses_the_public_api_and_has_its_output_beside_it(script):
    assert re.search(r"^import frugalrl$", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert script.with_suffix(".txt").read_text(encoding="utf-8").strip()


def test_the_loop_by_hand_learns(printed):
    (gain,) = re.findall(r"gain: +([-+][\d.]+) points", printed("03_grpo_by_hand"))
    assert float(gain) > 15


@pytest.mark.parametrize(("name", "steps"), [("05_a_loss_of_your_own", 6), ("06_an_advantage_rule_of_your_own", 6)])
def test_an_algorithm_of_ones_own_trains(printed, name, steps):
    """What is worked by hand is the same everywhere; the steps are there, and the reward rises in them."""
    output = printed(name)
    by_hand, training = output.split("\n\n")
    assert by_hand == stored(name).split("\n\n")[0]
    rewards = [float(value) for value in re.findall(r"^step \d+  reward ([\d.]+)", training, re.MULTILINE)]
    assert len(rewards) == steps
    assert rewards[-1] > rewards[0] + 0.1


def test_curating_finds_every_planted_fault(printed):
    """19 unclosed golds, a proof, 40 + 20 copies, 20 pairs that contradict each other, 20 benchmark problems."""
    lines = printed("04_curate_a_pool").splitlines(keepends=True)
    output = "".join(line for line in lines if " elapsed, about " not in line)  # how far a slow machine is
    assert output == stored("04_curate_a_pool")
    for line in (
        "gold_parses: 1,000 -> 981  unparseable_gold 19",
        "one_question: 981 -> 980  proof 1",
        "duplicates: 980 -> 880  duplicate 60, conflicting_golds 40",
        "decontaminate: 880 -> 860  overlap_held_out 20",
    ):
        assert line in output
