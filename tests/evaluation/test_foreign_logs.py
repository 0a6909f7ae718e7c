"""Logs that inspect_ai 0.3.285, lm_eval 0.4.13 and lighteval 0.13.0 wrote (three sums, a mock model), and our export.

The lighteval log was written by its own tracker from three documents, since its pipeline fetches data at its start.
"""

import json
import zipfile
from pathlib import Path

import pytest

from frugalrl.api_logs import export_logs, import_log
from frugalrl.cli import main
from frugalrl.errors import DataError, OutputError
from frugalrl.evaluation.foreign_logs import import_log as read_log
from frugalrl.evaluation.regrading import Settings, regrade
from frugalrl.evaluation.results import read_results

LOGS = Path(__file__).parent / "logs"


def facts(results):
    return [(one.problem_id, one.sample, one.verdict, one.text, one.is_truncated) for one in results.samples]


def test_a_log_of_inspect_ai_keeps_its_samples_scores_and_settings(tmp_path):
    found = import_log(LOGS / "inspect" / "sums.eval", tmp_path)
    results = read_results(tmp_path / "sums.jsonl")
    assert facts(results) == [
        ("a", 0, "correct", "ANSWER: 2", False),
        ("a", 1, "correct", "ANSWER: 2", False),
        ("b", 0, "incorrect", "ANSWER: 5", False),
        ("b", 1, "incorrect", "I was cut", True),
        ("c", 0, "correct", "ANSWER: 4", False),
        ("c", 1, "correct", "ANSWER: 4", False),
    ]
    header = results.header
    assert (header.judged_by, header.model, header.temperature, header.max_completion_tokens, header.top_p) == (
        "inspect_ai 0.3.285 match", "mockllm/model", 0.6, 64, -1.0,
    )  # fmt: skip
    assert (results.problems["b"].problem, results.problems["b"].gold, results.problems["b"].columns) == (
        "What is 1 + 2?", "3", {"level": 2},
    )  # fmt: skip
    assert [one.tokens for one in results.samples] == [7] * 6
    (score,) = found.summary.values()
    assert (round(score.accuracy.value, 4), score.problems, score.samples) == (0.6667, 3, 2)
    assert found.page.is_file()


def test_a_log_of_lm_eval_keeps_what_it_scored():
    (one,) = read_log(LOGS / "lm_eval")
    assert facts(one.results) == [(str(n), 0, "incorrect", "lol", False) for n in range(3)]
    assert [problem.gold for problem in one.results.problems.values()] == ["2", "3", "4"]
    assert (one.results.header.judged_by, one.results.header.model) == ("lm_eval 0.4.13 exact_match", "qdpv68r5")
    assert (one.results.header.temperature, one.results.header.max_completion_tokens) == (0.6, 64)
    assert "scored one of several responses" in one.notes[0]


def test_a_log_of_lighteval_keeps_what_it_scored():
    (one,) = read_log(LOGS / "lighteval")
    assert facts(one.results) == [
        ("0", 0, "correct", "It is 2", False),
        ("1", 0, "incorrect", "It is 5", False),
        ("2", 0, "correct", "4", False),
    ]
    assert (one.results.header.benchmark, one.results.header.model) == ("sums-0", "dummy")
    assert [sample.tokens for sample in one.results.samples] == [2, 2, 2]


def test_an_imported_log_is_judged_again_and_compared(tmp_path, capsys):
    import_log(LOGS / "inspect" / "sums.eval", tmp_path / "a")
    found = regrade(tmp_path / "a" / "sums.jsonl", Settings(without_box="stated"))
    assert [one.verdict for one in found.after.samples].count("correct") == 4
    import_log(LOGS / "inspect" / "sums.eval", tmp_path / "b")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "inconclusive" in capsys.readouterr().out
    assert main(["score", str(tmp_path / "a" / "sums.jsonl"), "--out", str(tmp_path / "scored.jsonl")]) == 0


def test_what_goes_out_to_inspect_ai_comes_back_the_same(tmp_path):
    import_log(LOGS / "inspect" / "sums.eval", tmp_path / "in")
    before = read_results(tmp_path / "in" / "sums.jsonl")
    (log,) = export_logs(tmp_path / "in", tmp_path / "out")
    (again,) = read_log(log)
    assert facts(again.results) == facts(before)
    assert json.loads(log.read_text())["results"]["scores"][0]["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)
    assert again.results.header.temperature == 0.6
    assert {one.problem for one in again.results.problems.values()} == {one.problem for one in before.problems.values()}


def test_what_is_no_log_is_said_in_one_message(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.eval").write_text("not a zip")
    with zipfile.ZipFile(tmp_path / "c.eval", "w") as archive:
        archive.writestr("other.json", "{}")
    (tmp_path / "empty").mkdir()
    for name in ("a.json", "b.eval", "c.eval"):
        with pytest.raises(DataError, match="cannot be read as a log"):
            read_log(tmp_path / name)
    with pytest.raises(DataError, match="holds no samples"):
        read_log(tmp_path / "empty")
    with pytest.raises(DataError, match="There is nothing"):
        read_log(tmp_path / "nowhere")
    import_log(LOGS / "lm_eval", tmp_path / "out")
    with pytest.raises(OutputError, match="exists"):
        import_log(LOGS / "lm_eval", tmp_path / "out")
