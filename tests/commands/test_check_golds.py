"""`frugalrl check-golds`: what no training run should start with is listed, and the exit code says so."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from frugalrl.commands import check_golds
from frugalrl.data.sources import read_rows
from frugalrl.errors import DataError
from frugalrl.verify import golds
from frugalrl.verify.gold_words import states_no_answer
from frugalrl.verify.golds import respelt, wrong_answers
from frugalrl.verify.workers.pool import VerifierPool

GOOD = [
    "5", "-3.25", r"\frac{1}{2}", r"50\%", "1,000", r"2\frac{1}{3}", r"\sqrt{2}", "A", "(B) Paris", r"\text{Evelyn}",
    "1, 2, 3", r"\{1,2\}", "(1, 2)", "[0, 1)", r"(-\infty, 2) \cup (3, \infty)", "x^2+1", "x=5", r"90^\circ",
    r"5\text{ cm}", "204_5", r"\pm 2", "4.5e33",
    r"\begin{pmatrix}1\\2\end{pmatrix}", r"x \ge 5", "2x+y=3",
]  # fmt: skip


def _run(tmp_path: Path, rows: list[dict[str, Any]], *options: str) -> int:
    source = tmp_path / "golds.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parser = argparse.ArgumentParser()
    check_golds.register(parser.add_subparsers())
    arguments = parser.parse_args(["check-golds", str(source), *options])
    return int(arguments.func(arguments))


def test_golds_of_every_kind_are_fit(patient_pool: VerifierPool) -> None:
    checks = golds.check_golds(GOOD, patient_pool, slow_seconds=10.0)
    assert [(one.gold, one.problems, one.detail) for one in checks if one.problems] == []


def test_a_gold_that_cannot_be_read_is_found(patient_pool: VerifierPool) -> None:
    checks = golds.check_golds(
        ["", r"\frac{1}{", "2^{2^{40}}", r"t(0,4]", "np.arcsin(10/13)"], patient_pool, slow_seconds=10.0
    )
    assert ["unparseable" in one.problems for one in checks] == [True, True, True, True, True]


@pytest.mark.parametrize(
    ("gold", "states_one"),
    [
        ("see figure", False), ("Proof.", False), (r"\text{See the proof above}", False), ("Answers may vary", False),
        ("N/A", False), ("Figure 3", False), ("Q.E.D.", False), ("?", False), ("not given", False),
        ("It is shown that the sum of the angles of any triangle in the plane is the same", False),
        ("no solution", True), ("undefined", True), ("infinitely many", True), ("Evelyn", True), ("none", True),
        (r"\text{Friday}", True), ("does not exist", True), ("Triangle ABC", True), ("3", True), ("x=5", True),
    ],
)  # fmt: skip
def test_a_gold_in_words_states_an_answer_or_does_not(gold: str, states_one: bool) -> None:
    assert (states_no_answer(gold) is None) is states_one


def test_words_that_state_no_answer_are_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, [{"answer": "see figure"}, {"answer": "5"}]) == 1
    printed = capsys.readouterr().out
    assert "2 golds, 2 different, 1 fit for training" in printed
    assert "line 1  see figure  no_answer: it points to something that is not in it" in printed


def test_no_gold_of_a_clean_set_is_taken_for_words(shared_data: Path) -> None:
    """7,500 golds of MATH and 9,550 of Big-Math, whose authors checked them."""
    taken = []
    for name in ("math_train_7500", "bigmath_10k_solve_rate"):
        rows = read_rows(shared_data / "pool" / f"{name}.jsonl.gz")
        taken += [row["answer"] for _, row in rows if states_no_answer(str(row["answer"]))]
    assert taken == []


def test_another_spelling_is_really_another_one() -> None:
    assert respelt("5") == "10/2"
    assert respelt("1, 2, 3") == "6/2, 4/2, 2/2"
    assert respelt("A") == r"\textbf{(A)}"
    assert respelt("[0, 1)") == "[0/2, 2/2)"
    assert respelt(r"\sqrt{2}") == r"(\sqrt{2})"


def test_wrong_answers_are_wrong() -> None:
    assert "0" in wrong_answers("5")
    assert "0" not in wrong_answers("0")
    assert "17/2" in wrong_answers("5")
    assert r"\sqrt{2}+1" in wrong_answers(r"\sqrt{2}")
    assert r"\text{not } Evelyn" in wrong_answers("Evelyn")


def test_what_fails_is_listed_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "a", "gold": "5"}, {"id": "b", "gold": ""}, {"id": "c", "gold": r"\frac{1}{"}]
    assert _run(tmp_path, rows) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("3 golds, 2 different, 1 fit for training")
    assert "b    missing" in printed
    assert "c  \\frac{1}{  unparseable" in printed
    assert "\na " not in printed


def test_golds_may_stand_in_solutions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"solution": r"so \boxed{5}"}, {"answer": "6*3=18\n#### 18"}, {"answer": "7"}]
    assert _run(tmp_path, rows) == 0
    assert capsys.readouterr().out.startswith("3 golds, 3 different, 3 fit for training")


def test_a_file_without_golds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the columns gold, answer, solution"):
        _run(tmp_path, [{"text": "x"}])
    with pytest.raises(DataError, match="none of the columns target"):
        _run(tmp_path, [{"gold": "x"}], "--field", "target")
    with pytest.raises(DataError, match="--workers"):
        _run(tmp_path, [{"gold": "x"}], "--workers", "0")


def test_rows_of_other_tasks_are_counted_and_their_golds_not_read_as_mathematics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [
        {"answer": ["2", "-2"]},
        {"problem": "Add.", "answer": "def add(a, b): ...", "test_list": ["assert add(1, 2) == 3"]},
    ]
    assert _run(tmp_path, rows) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("2 golds, 2 different, 2 fit for training")
    assert "1 rows are judged by tests or a checker: their golds are not checked." in printed
    with pytest.raises(DataError, match="no tests can be read"):
        _run(tmp_path, [{"answer": "def add(a, b): ...", "entry_point": "add"}])
