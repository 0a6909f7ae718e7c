"""Stored completions judged again: what changes is shown, what is written can be resumed, runs are left alone."""

import dataclasses
import json

import pytest

from frugalrl.cli import main
from frugalrl.errors import DataError, OutputError, RecipeError
from frugalrl.evaluation.completion_rows import completion_rows
from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.regrading import Settings, regrade, results_files, save
from frugalrl.evaluation.results import ResultsHeader, ResultsWriter, read_results, write_results
from frugalrl.evaluation.scores import score_of
from frugalrl.evaluation.verifier_identity import verifier_digest
from frugalrl.types import Problem

HEADER = ResultsHeader(
    "own", "tiny", None, "abc", "p1", "d1", 0.6, 0.95, 64, 0, "float32", "0.1.0", "0.9.0", 2.0, 2, "an older one"
)
BOXED, STATED, WRONG = "So \\boxed{\\frac{1}{2}}.", "The answer is 1/2.", "\\boxed{0.6}"


def samples(*texts):
    return [
        SampleRecord("p0", number, number, 5, "stop", None, "incorrect", "old", text)
        for number, text in enumerate(texts)
    ]


def saved(path, *texts, header=HEADER, gold="0.5", **policy):
    problem = ProblemRecord("p0", "What is half of one?", gold, prompt="user: What?", **policy)
    write_results(path, header, {"device": "cpu"}, samples(*texts), [problem])
    return path


def verdicts(path, settings=Settings()):  # noqa: B008 - frozen
    return [one.verdict for one in regrade(path, settings).after.samples]


def test_verdicts_follow_the_verifier_of_today_and_the_change_is_noted(tmp_path):
    path = saved(tmp_path / "own.jsonl", BOXED, STATED, WRONG)
    found = regrade(path, Settings())
    assert [one.verdict for one in found.after.samples] == ["correct", "incorrect", "incorrect"]
    assert [(one.before.verdict, one.after.verdict) for one in found.changes] == [("incorrect", "correct")]
    assert [round(one.value, 3) for one in found.accuracies] == [0.0, 0.333]
    assert read_results(path).samples == found.before.samples, "nothing is written unless it is asked for"
    written = read_results(save(found, tmp_path / "new"))
    assert written.samples == found.after.samples
    assert written.problems == found.before.problems
    assert (written.header.verifier, written.header.judged_by) == (verifier_digest(), "frugalrl")
    assert written.header.model_hash == HEADER.model_hash
    assert written.regrades[0]["changed"] == 1
    with pytest.raises(OutputError, match="exists"):
        save(found, tmp_path / "new")


def test_another_policy_reads_other_answers(tmp_path):
    path = saved(tmp_path / "own.jsonl", BOXED, STATED, "\\boxed{0.5} no, \\boxed{7}")
    policies = [Settings(), Settings(without_box="stated"), Settings(several_boxes="first")]
    found = [[one == "correct" for one in verdicts(path, policy)] for policy in policies]
    assert found == [[True, False, False], [True, True, False], [True, False, True]]


def test_the_policy_of_a_problem_stays_with_it(tmp_path):
    path = saved(tmp_path / "a.jsonl", "\\boxed{4.25}", gold="4.2", tolerance="1/10")
    assert regrade(path, Settings()).after.samples[0].reason == "within_tolerance"
    assert verdicts(saved(tmp_path / "b.jsonl", "\\boxed{7}", gold="6", also_accepted=("7",))) == ["correct"]
    assert verdicts(saved(tmp_path / "c.jsonl", "Answer: B", gold="B", task="choice")) == ["correct"]


def test_math_verify_as_published_gives_a_second_opinion(tmp_path):
    equation = "\\boxed{4=5}"  # the last side of an equation is taken for the answer: a known false accept
    path = saved(tmp_path / "own.jsonl", "\\boxed{5}", WRONG, equation, "<think> \\boxed{5}", gold="5")
    assert verdicts(path, Settings(verifier="math-verify")) == ["correct", "incorrect", "correct", "incorrect"]
    assert verdicts(path) == ["correct", "incorrect", "incorrect", "incorrect"]


def ends_with_gold(completion, gold):
    return None if "?" in completion else completion.rstrip(".").endswith(gold)


def test_a_function_of_ones_own_judges_too(tmp_path):
    path = saved(tmp_path / "own.jsonl", "It is 0.5.", "It is 0.6.", "It is 0.5?")
    found = regrade(path, Settings(verifier=f"{__name__}.ends_with_gold"))
    assert [one.verdict for one in found.after.samples] == ["correct", "incorrect", "unknown"]
    assert (found.after.header.judged_by, found.after.header.verifier) == (f"{__name__}.ends_with_gold", "")
    with pytest.raises(RecipeError, match="cannot be imported"):
        regrade(path, Settings(verifier="nowhere.judge"))
    with pytest.raises(DataError, match="There is no verifier 'nobody'"):
        regrade(path, Settings(verifier="nobody"))


def test_a_function_says_nothing_of_the_answer_that_was_read_and_majorities_count_it_still(tmp_path):
    """Of three samples two read 0.6; without answers only the correct one would vote, and the majority be right."""
    path = saved(tmp_path / "own.jsonl", BOXED, WRONG, WRONG)
    once = save(regrade(path, Settings()), tmp_path / "ours")
    again = regrade(once, Settings(verifier=f"{__name__}.is_half")).after
    assert [one.extracted for one in again.samples] == [one.extracted for one in read_results(once).samples]
    assert [one.verdict for one in again.samples] == ["correct", "incorrect", "incorrect"]
    assert score_of([Problem("p0", "What?", "0.5")], again.samples, 3).majority_at_k == 0


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "no whole line"), (b"\xff\xfe", "no whole line"), (b'{"a": 1}\n', "no 'record'")]
)
def test_what_is_no_results_file_is_said_in_words(content, said, tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutputError, match=said):
        regrade(path, Settings())


def test_a_function_that_fails_is_named_with_the_sample(tmp_path):
    path = saved(tmp_path / "own.jsonl", BOXED)
    with pytest.raises(DataError, match=r"json.dumps failed on p0 sample 0: TypeError"):
        regrade(path, Settings(verifier="json.dumps"))


def is_half(completion, gold):
    return "frac" in completion


def test_an_evaluation_is_resumed_only_under_the_verifier_that_judged_it(tmp_path):
    path = saved(tmp_path / "own.jsonl", BOXED)
    today = regrade(path, Settings()).after.header
    with pytest.raises(OutputError, match=r"judged by another verifier .*frugalrl regrade .* --in-place"):
        ResultsWriter(path, today, {})
    assert main(["regrade", str(path), "--in-place"]) == 0
    with ResultsWriter(path, today, {}) as writer:
        assert writer.samples[0].verdict == "correct"


def test_files_without_problems_and_files_of_runs_are_left_alone(tmp_path):
    old = tmp_path / "old.jsonl"
    write_results(old, dataclasses.replace(HEADER, format=1), {}, samples(BOXED))
    with pytest.raises(OutputError, match="holds no problems"):
        regrade(old, Settings())
    with pytest.raises(OutputError, match="written by an older version"):
        ResultsWriter(old, HEADER, {})
    run = tmp_path / "run"
    (run / "evaluations").mkdir(parents=True)
    (run / "metrics.jsonl").touch()
    saved(run / "evaluations" / "test-step-000000.jsonl", BOXED)
    (found,) = (regrade(file, Settings()) for file in results_files(run))
    with pytest.raises(OutputError, match="belongs to a run"):
        save(found, None)
    with pytest.raises(DataError, match="holds no results"):
        results_files(tmp_path / "nowhere")


def test_the_command_lists_what_changed(tmp_path, capsys):
    path = saved(tmp_path / "own.jsonl", BOXED, STATED)
    assert main(["regrade", str(path), "--without-box", "stated", "--show", "1"]) == 0
    out = capsys.readouterr().out
    assert "accuracy 0.0 % [" in out
    assert "2 verdicts changed (100 %)" in out
    assert "p0 sample 0: incorrect -> correct (equal), answer \\frac{1}{2}, gold 0.5" in out
    assert "... and 1 more" in out
    assert "Nothing was written" in out


def test_score_and_meter_read_a_results_file(tmp_path, capsys):
    path = saved(tmp_path / "own.jsonl", BOXED, STATED, WRONG)
    rows = [row for _, row in completion_rows(path)]
    assert (rows[0]["id"], rows[0]["gold"], rows[0]["completion"]) == ("p0", "0.5", BOXED)
    assert main(["score", str(path), "--out", str(tmp_path / "scored.jsonl")]) == 0
    assert "3 completions" in capsys.readouterr().out
    scored = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert [row["verdict"] for row in scored] == ["correct", "correct", "incorrect"]
    assert main(["meter", str(path)]) == 0
    assert "3 completions" in capsys.readouterr().out
