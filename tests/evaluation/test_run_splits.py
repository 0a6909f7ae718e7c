"""Whether what is evaluated is the run's own test or validation set."""

from pathlib import Path

import pytest

from frugalrl.data.fingerprint import problems_hash
from frugalrl.evaluation.results import ResultsHeader, write_results
from frugalrl.evaluation.run_splits import split_of_run
from frugalrl.types import Problem
from tests.conftest import write_jsonl

ROWS = [{"problem": f"Compute {number} + 1.", "answer": str(number + 1)} for number in range(6)]


def problems(first: int, last: int) -> list[Problem]:
    return [Problem(f"elsewhere-{number}", f"Compute  {number} + 1.", str(number + 1)) for number in range(first, last)]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    test, validation = tmp_path / "t.jsonl", tmp_path / "v.jsonl"
    write_jsonl(test, ROWS[:3])
    write_jsonl(validation, ROWS[3:])
    sources = "".join(f"  {name}: {{source: {file}}}\n" for name, file in (("train", test), ("test", test)))
    recipe = f"name: one\ndata:\n{sources}  validation: {{source: {validation}}}\nmodel: {{path: builtin:tiny}}\n"
    folder = tmp_path / "run"
    (folder / "evaluations").mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe + "rewards: [{name: accuracy}]\ntraining: {steps: 1}\n")
    return folder


def test_the_runs_problems_are_known_under_any_file_name(run):
    assert split_of_run(run, problems(2, 3), "another") == "test"
    assert split_of_run(run, problems(4, 6), "another") == "validation"
    assert split_of_run(run, problems(0, 6), "another") == "test"
    assert split_of_run(run, problems(10, 20), "another") is None


def test_where_the_data_are_gone_the_hash_decides(run, tmp_path):
    (tmp_path / "t.jsonl").unlink()
    asked = problems(0, 3)
    assert split_of_run(run, asked, problems_hash(asked)) is None
    header = ResultsHeader(
        "test", "m", 0, "h", "p", problems_hash(asked), 0.6, 0.95, 96, 0, "float32", "0.1.0", "0.9.0", 1.0
    )
    write_results(run / "evaluations" / "test-step-000000.jsonl", header, {}, [])
    assert split_of_run(run, asked, problems_hash(asked)) == "test"
    (run / "recipe.yaml").write_text("from: another version\n")
    assert split_of_run(run, asked, problems_hash(asked)) == "test"
