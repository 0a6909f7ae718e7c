"""A run's ledger: what is added stays, what is torn is passed over, and whose model was looked at."""

import json

import pytest

from frugalrl.errors import OutputError
from frugalrl.evaluation.ledger import LEDGER_FILE, note_look, read_ledger, run_and_step_of
from frugalrl.evaluation.looks import Look, models_seen


def look(benchmark: str, step: int) -> Look:
    return Look(benchmark, step, 306, 4, "hash", "train", 0.0)


def test_looks_are_added_in_order_and_read_back(tmp_path):
    note_look(tmp_path, "validation", 0, (99, 4), "v", "train")
    note_look(tmp_path, "math500", 50, (500, 2), "m", "eval")
    looks = read_ledger(tmp_path)
    assert [(one.benchmark, one.step, one.problems, one.samples_per_problem) for one in looks] == [
        ("validation", 0, 99, 4),
        ("math500", 50, 500, 2),
    ]
    assert looks[0].unix_time <= looks[1].unix_time
    assert read_ledger(tmp_path / "none") == ()


def test_a_torn_line_is_passed_over(tmp_path):
    note_look(tmp_path, "test", 0, (306, 4), "t", "train")
    with (tmp_path / LEDGER_FILE).open("a") as file:
        file.write('{"benchmark": "te')
    assert [one.step for one in read_ledger(tmp_path)] == [0]


def test_the_base_and_validation_are_no_looks_at_a_trained_model():
    looks = [look("test", 0), look("test", 100), look("test", 100), look("validation", 25), look("validation", 50)]
    assert models_seen(looks) == {"test": (100,)}
    assert models_seen([*looks, look("test", 50)]) == {"test": (50, 100)}


def test_a_ledger_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / LEDGER_FILE).mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        note_look(tmp_path, "test", 0, (1, 1), "t", "train")


def test_a_model_inside_a_run_is_known_by_its_step(tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints" / "step-000050").mkdir(parents=True)
    (run / "model").mkdir()
    assert run_and_step_of(run / "checkpoints" / "step-000050") is None  # not a run yet
    for name in ("recipe.yaml", "metrics.jsonl"):
        (run / name).touch()
    assert run_and_step_of(run / "checkpoints" / "step-000050") == (run, 50)
    assert run_and_step_of(run / "model") is None  # not finished
    (run / "summary.json").write_text(json.dumps({"kept_step": 75}))
    assert run_and_step_of(run / "model") == (run, 75)
    assert run_and_step_of(tmp_path / "elsewhere") is None
