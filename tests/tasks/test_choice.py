"""Multiple choice: options and gold of a row, letters in answers, GPQA's order."""

import pytest

from frugalrl.cli import main
from frugalrl.errors import DataError
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.tasks.choice import TASK, check, prepare, recognises
from frugalrl.tasks.loading import task_of
from frugalrl.types import Problem
from tests.conftest import write_jsonl

GPQA = {"Incorrect Answer 1": "one", "Incorrect Answer 2": "two", "Incorrect Answer 3": "three"}


def problem(gold, text="Which?", **columns):
    return prepare(Problem("q", text, gold, columns))


@pytest.mark.parametrize("gold", ["B", "(B)", "1", "two", "\\textbf{(B)}"])
def test_a_gold_is_a_letter_a_number_or_the_text_of_an_option(gold):
    found = problem(gold, choices=["one", "two", "three"])
    assert (found.gold, found.text) == ("B", "Which?\n\nA) one\nB) two\nC) three")


def test_a_question_with_its_options_in_the_text_needs_no_column():
    assert problem("(C)", text="A) 1 B) 2 C) 3").gold == "C"
    for columns in ({}, {"choices": ["one", "two"]}):
        with pytest.raises(DataError, match=r"no letter|none of its 2 choices"):
            problem("seven", **columns)


def test_the_right_answer_of_gpqa_is_put_at_a_place_that_stays_the_same():
    places = []
    for number in range(60):
        found = problem("right", text=f"Question {number}?", **GPQA)
        assert found == problem("right", text=f"Question {number}?", **GPQA)
        lines = found.text.splitlines()[2:]
        assert [line[3:] for line in lines if line[3:] != "right"] == ["one", "two", "three"]
        places.append(next(line[0] for line in lines if line.endswith("right")))
        assert places[-1] == found.gold
    assert set(places) == set("ABCD")


@pytest.mark.parametrize(
    ("completion", "verdict"),
    [
        ("<think>Answer: A</think>\nAnswer: B", "correct"),
        ("So it is two.\n**Answer: B**", "correct"),
        ("Answer: $B$", "correct"),
        ("The answer is (B).", "correct"),
        ("\\boxed{B}", "correct"),
        ("\\boxed{\\textbf{(B)}}", "correct"),
        ("\\boxed{\\text{B) two}}", "correct"),
        ("Answer: A. No, wait. Answer: B", "correct"),
        ("Answer: B. No, wait. Answer: A", "incorrect"),
        ("Answer: Both A and B", "incorrect"),
        ("\\boxed{A, B}", "incorrect"),
        ("B", "incorrect"),
        ("<think>Answer: B", "incorrect"),
        ("", "incorrect"),
    ],
)
def test_the_letter_after_the_last_answer_counts(completion, verdict):
    (found,) = check([completion], problem("B", choices=["one", "two"]), False)
    assert found.label == verdict, found


def test_rows_are_recognised_by_their_columns():
    assert task_of(GPQA) == task_of({"choices": ["a", "b"]}) == "choice"
    assert not recognises({"choices": [1, 2]})
    assert not recognises({"choices": []})
    assert task_of({"task": "choice"}) == "choice"


def test_gpqa_is_asked_as_the_released_evaluation_asks_it(tmp_path):
    row = {"answer": "right", **GPQA}
    (tmp_path / "bench").mkdir()
    rows = [{**row, "problem": f"Which? {number}"} for number in range(198)]
    write_jsonl(tmp_path / "bench" / "gpqa_diamond.jsonl", rows)
    loaded = load_benchmark("gpqa-diamond", tmp_path)
    assert (loaded.judged_as, loaded.max_tokens, len(loaded.problems)) == ("choice", 32768, 198)
    assert "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD." in loaded.templates[0]
    assert TASK.prompt.endswith("{problem}")


def test_completions_of_choices_are_scored_by_name(tmp_path, capsys):
    rows = [{"completion": "Answer: B", "gold": "B"}, {"completion": "Answer: C", "gold": "B"}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert main(["score", str(tmp_path / "rows.jsonl"), "--task", "choice", "--out", str(tmp_path / "out.jsonl")]) == 0
    out = capsys.readouterr().out
    assert "judged 2 as choice" in out
    assert "accuracy: mean 0.5000" in out
    assert main(["score", str(tmp_path / "rows.jsonl"), "--task", "chess", "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "There is no task 'chess'" in capsys.readouterr().err


def test_a_number_counts_the_choices_and_text_names_one(tmp_path):
    """MMLU's answers are numbers; where choices are numbers, too, the type decides."""
    rows = [{"problem": "1+1?", "choices": ["1", "3", "0", "2"], "answer": answer} for answer in (1, "1", 3, "3")]
    write_jsonl(tmp_path / "own.jsonl", rows)
    assert [one.gold for one in load_benchmark(str(tmp_path / "own.jsonl"), None).problems] == ["B", "A", "D", "B"]
    write_jsonl(tmp_path / "twice.jsonl", [{"problem": "1+1?", "choices": ["2", "2"], "answer": "2"}])
    with pytest.raises(DataError, match="Two choices of the problem"):
        load_benchmark(str(tmp_path / "twice.jsonl"), None)


ARC = {"text": ["a stone", "3", "a leaf"], "label": ["1", "2", "3"]}


@pytest.mark.parametrize(
    ("answer", "choices", "gold"),
    [
        ("B", {**ARC, "label": ["A", "B", "C"]}, "B"),
        ("2", ARC, "B"),
        (2, ARC, "B"),
        ("3", ARC, "C"),  # the label, though it is the text of the second
        ("a leaf", ARC, "C"),
    ],
)
def test_labelled_choices_are_read_as_arc_writes_them(tmp_path, answer, choices, gold):
    """Asked under the letters from A: some questions of ARC have the labels 1 to 4."""
    write_jsonl(tmp_path / "arc.jsonl", [{"id": "q", "question": "Which?", "choices": choices, "answerKey": answer}])
    (found,) = load_benchmark(str(tmp_path / "arc.jsonl"), None).problems
    assert (found.gold, found.check.task) == (gold, "choice")
    assert found.text == "Which?\n\nA) a stone\nB) 3\nC) a leaf"


@pytest.mark.parametrize(
    ("answer", "choices", "says"),
    [
        ("D", ARC, r"'D' of the problem q is none of its labels \(1, 2, 3\)"),
        ("1", {"text": ["a", "b"], "label": ["1", "1"]}, "of as many different labels"),
        ("1", {"text": ["a", "b"]}, "of the problem q need a list `text` and a list `label`"),
    ],
)
def test_labels_that_cannot_be_read_are_refused_by_the_rows_name(tmp_path, answer, choices, says):
    write_jsonl(tmp_path / "arc.jsonl", [{"id": "q", "question": "Which?", "choices": choices, "answerKey": answer}])
    with pytest.raises(DataError, match=says):
        load_benchmark(str(tmp_path / "arc.jsonl"), None)


def test_a_missing_number_is_no_gold(tmp_path):
    write_jsonl(tmp_path / "nan.jsonl", [{"problem": "1+1?", "answer": float("nan")}])
    with pytest.raises(DataError, match="1 rows have no gold answer"):
        load_benchmark(str(tmp_path / "nan.jsonl"), None)
