"""What a newcomer meets: the list of commands, recipes by name, a first recipe, completion, quiet and JSON output."""

import importlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frugalrl.cli import help_text, main, options_of
from frugalrl.commands.table import GROUPS, commands
from frugalrl.config.loading import load_recipe, shipped_recipes
from frugalrl.config.schema import TrainRecipe
from tests.conftest import write_jsonl

PACKAGE = Path(__file__).parents[2] / "src" / "frugalrl"


def test_every_command_is_in_one_group_and_every_module_is_a_command() -> None:
    listed = [name for group in GROUPS.values() for name in group]
    assert len(set(listed)) == len(listed)
    modules = {command.module for command in commands().values()}
    files = {path.stem for path in (PACKAGE / "commands").glob("*.py")} - {"__init__", "running", "display", "table"}
    assert modules == {one for one in files if hasattr(importlib.import_module(f"frugalrl.commands.{one}"), "register")}


def test_what_a_command_says_goes_through_its_display() -> None:
    """A bar that moves would be torn by anything else that is written to the terminal."""
    writing = {path.stem for path in (PACKAGE / "commands").glob("*.py") if "stdout.write" in path.read_text("utf-8")}
    assert writing == {"display"}


def test_the_list_fits_80_columns_and_names_a_first_command() -> None:
    assert max(map(len, help_text().splitlines())) <= 80
    assert "frugalrl train quickstart" in help_text()


@pytest.mark.parametrize("name", commands())
def test_the_help_of_a_command_has_examples_that_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    known = set(options_of(name))
    for example in commands()[name].examples:
        assert f"frugalrl {name} {example}".rstrip() in printed
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", example)) <= known, example


def test_help_answers_at_once() -> None:
    """Under 0.3 s on an idle core; the best of three, and twice that for a busy machine."""
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "frugalrl", "--help"], check=True, capture_output=True)
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 0.6


def test_a_bare_call_lists_the_commands_and_suggests_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.err == help_text()
    assert "Did you mean" not in said.err


def test_recipes_are_listed_by_name_with_the_command_that_runs_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    printed = capsys.readouterr().out
    for name in shipped_recipes():
        assert re.search(rf"^frugalrl (train|sft|curate) {re.escape(name)}$", printed, re.MULTILINE)
    assert main(["recipes", "open-rs2"]) == 0
    assert capsys.readouterr().out.startswith("# Experiment 2 of Open-RS")
    assert main(["recipes", "open-rs4"]) == 2
    assert "Did you mean" in capsys.readouterr().err


def test_init_writes_a_recipe_that_fits_the_model_and_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data.csv").write_text("question,final_answer\n1 + 1?,2\n2 + 2?,4\n")
    assert main(["init", "--model", "builtin:tiny", "--data", "my data.csv"]) == 0
    printed = capsys.readouterr().out
    assert "context 8,192 tokens" in printed
    assert "the question is read from 'question'" in printed
    recipe = load_recipe("my-data.yaml", TrainRecipe)
    assert recipe.data.train.source == "my data.csv"
    assert main(["train", "my-data.yaml", "--dry-run"]) == 0
    assert main(["init", "--model", "builtin:tiny", "--data", "my data.csv"]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "There is no terminal to ask on. Give --model."),
        (("--model", "builtin:tiny"), "Give --data"),
        (("--model", "./nowhere", "--data", "arithmetic"), "There is no model folder"),
        (("--model", "builtin:tiny", "--data", "missing.csv"), "There is no data file"),
        (("--model", "builtin:tiny", "--data", "arithmetic", "--steps", "0"), "Give --steps 1 or more"),
    ],
)
def test_init_without_a_terminal_checks_what_it_is_told(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_init_asks_again_until_the_answer_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = iter(["./nowhere", "", "missing.csv", "arithmetic"])
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["init", "--steps", "10"]) == 0
    assert "There is no data file at missing.csv" in capsys.readouterr().out
    assert load_recipe("arithmetic.yaml", TrainRecipe).training.steps == 10


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_options_and_recipes(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for word in ("train", "--resume", "open-rs2", "curate/open-rs", "check-golds"):
        assert word in script


def test_the_bash_script_completes() -> None:
    script = subprocess.run(
        [sys.executable, "-m", "frugalrl", "completion", "bash"], check=True, capture_output=True, text=True
    ).stdout
    asked = script + '\nCOMP_WORDS=(frugalrl train --re); COMP_CWORD=2; _frugalrl; echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", asked], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["--resume"]
    for command, kind in (("doctor", "train"), ("plan", "train"), ("sft", "sft"), ("curate", "curate")):
        asked = script + f'\nCOMP_WORDS=(frugalrl {command} ""); COMP_CWORD=2; _frugalrl; echo "${{COMPREPLY[@]}}"\n'
        words = subprocess.run(["bash", "-c", asked], check=True, capture_output=True, text=True).stdout.split()
        named = {"train": "quickstart", "sft": "tiny-base", "curate": "curate/open-rs"}
        assert [name for name in named.values() if name in words] == [named[kind]], command


def test_json_output_is_an_event_a_line_and_quiet_leaves_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_jsonl(tmp_path / "golds.jsonl", [{"answer": "2"}])
    assert main(["check-golds", str(rows), "--json", "--workers", "1"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in events] == ["result", "end"]
    assert events[-1]["exit_code"] == 0
    assert "1 fit for training" in events[0]["text"]
    assert main(["check-golds", str(rows), "--quiet", "--workers", "1"]) == 0
    assert capsys.readouterr().out.startswith("1 gold, 1 different")
