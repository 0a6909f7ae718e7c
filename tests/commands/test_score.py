"""`frugalrl score`: a row for each row, in order, with verdict and rewards, and a summary that hides nothing."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from frugalrl.commands import score
from frugalrl.errors import DataError, OutputError, RecipeError
from frugalrl.tasks.logic import generate, logic_problem

ROWS: list[dict[str, Any]] = [
    {
        "id": 1,
        "problem": "1+1",
        "completion": r"<think>" + "\nsum\n</think>\n" + r"\boxed{2}",
        "gold": "2",
        "note": "kept",
    },
    {"id": 2, "problem": "1+1", "completion": r"\boxed{3}", "gold": "2"},
    {"id": 3, "prediction": "The answer is 0.5", "answer": r"\frac12"},
    {"id": 4, "completion": r"\boxed{5}", "gold": ""},
    {"id": 5, "completion": r"\boxed{7}", "gold": ["6", "7"]},
    {"id": 6, "completion": "no answer at all, " * 20, "gold": "1"},
]


def _run(tmp_path: Path, rows: list[dict[str, Any]], *options: str) -> list[dict[str, Any]]:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parser = argparse.ArgumentParser()
    score.register(parser.add_subparsers())
    arguments = parser.parse_args(["score", str(source), "--out", str(out), *options])
    assert arguments.func(arguments) == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_each_row_comes_back_in_order_with_its_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored = _run(tmp_path, ROWS)
    assert [row["id"] for row in scored] == [1, 2, 3, 4, 5, 6]
    assert [row["verdict"] for row in scored] == ["correct", "incorrect", "correct", "unknown", "correct", "incorrect"]
    assert [row["reason"] for row in scored] == ["equal", "different", "equal", "empty_gold", "equal", "no_answer"]
    assert [row["extracted"] for row in scored] == ["2", "3", "0.5", "5", "7", None]
    assert [row["accuracy"] for row in scored] == [1.0, 0.0, 1.0, None, 1.0, 0.0]
    assert scored[0]["note"] == "kept"
    assert all(0 <= row["seconds"] < 30 for row in scored)
    printed = capsys.readouterr().out
    assert "6 completions" in printed
    assert "unknown         1  empty_gold 1" in printed
    assert "accuracy: mean 0.6000, 1 without a value" in printed
    assert "Answers outside a box: 1" in printed


def test_the_policy_of_training_refuses_what_has_no_box(tmp_path: Path) -> None:
    scored = _run(tmp_path, ROWS, "--without-box", "refuse")
    assert (scored[2]["verdict"], scored[2]["reason"]) == ("incorrect", "no_box")


def test_several_rewards_get_a_column_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored = _run(tmp_path, ROWS, "--reward", "accuracy,format,cosine")
    assert scored[0]["format"] == 1.0
    assert scored[1]["format"] == 0.0
    assert 0.5 < scored[0]["cosine"] <= 1.0
    assert scored[3]["cosine"] is None
    assert "tokens estimated at 3.5 characters" in capsys.readouterr().out


def test_token_ids_are_used_where_there_are_any(tmp_path: Path) -> None:
    row = {"completion": r"\boxed{2}", "gold": "2", "completion_ids": [1] * 200}
    scored = _run(tmp_path, [row], "--reward", "cosine", "--max-completion-tokens", "200")
    assert scored[0]["cosine"] == pytest.approx(0.5)


def test_a_prompt_that_opens_the_reasoning_is_heeded(tmp_path: Path) -> None:
    row = {"prompt": "Question: 1+1 <think>\n", "completion": r"\boxed{2}", "gold": "2"}
    assert _run(tmp_path, [row])[0]["reason"] == "unclosed_reasoning"
    row.pop("prompt")
    assert _run(tmp_path, [row], "--reasoning-open")[0]["reason"] == "unclosed_reasoning"


def test_what_cannot_be_scored_is_a_message_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no gold answer"):
        _run(tmp_path, [{"completion": "x"}])
    with pytest.raises(DataError, match="no completion"):
        _run(tmp_path, [{"gold": "x"}])
    with pytest.raises(DataError, match="no data file"):
        score.run(_arguments(tmp_path / "missing.jsonl", tmp_path / "out.jsonl"))
    with pytest.raises(RecipeError, match="no reward 'acuracy'"):
        _run(tmp_path, ROWS, "--reward", "acuracy")
    (tmp_path / "in.jsonl").write_text(json.dumps(ROWS[0]))
    with pytest.raises(OutputError, match="cannot be written"):
        score.run(_arguments(tmp_path / "in.jsonl", tmp_path / "in.jsonl" / "out.jsonl"))


def _arguments(source: Path, out: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    score.register(parser.add_subparsers())
    return parser.parse_args(["score", str(source), "--out", str(out)])


def test_a_logic_puzzle_is_judged_by_its_checker(tmp_path: Path) -> None:
    problem = logic_problem(next(generate(1, "train")), 0, "train")
    rows = [
        {**problem.columns, "problem": problem.text, "gold": problem.gold, "completion": f"\\boxed{{{answer}}}"}
        for answer in (problem.gold, "nobody")
    ]
    assert [row["verdict"] for row in _run(tmp_path, rows)] == ["correct", "incorrect"]
