"""`frugalrl compare`: better, worse, inconclusive; what does not belong together."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from frugalrl.commands import compare as command
from frugalrl.errors import DataError, OutputError
from frugalrl.evaluation.records import SampleRecord
from frugalrl.evaluation.results import ResultsHeader, write_results

HEADER = ResultsHeader(
    "math500", "org/model", None, "m1", "p1", "d1", 0.6, 0.95, 4096, 0, "float32", "0.1.0", "0.9.0", 1.0
)


def compare(*paths: "Path | str") -> int:
    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())
    arguments = parser.parse_args(["compare", *map(str, paths)])
    return int(arguments.func(arguments))


def results(path: Path, right: int, n: int = 40, k: int = 2, header: ResultsHeader = HEADER, first: int = 0) -> Path:
    """n problems of k samples; the first `right` problems are solved each time."""
    samples = [
        SampleRecord(
            problem_id=f"p{number}",
            sample=sample,
            seed=1,
            tokens=10,
            finish_reason="length" if number == n - 1 else "stop",
            extracted="1" if number < right else "2",
            verdict="correct" if number < right else "incorrect",
            reason="equal",
            text=f"attempt {sample}",
        )
        for number in range(first, first + n)
        for sample in range(k)
    ]
    write_results(path, header, {"device": "cpu"}, samples)
    return path


def run_file(folder: Path, split: str, step: int, right: int, n: int = 40) -> None:
    path = folder / "evaluations" / f"{split}-step-{step:06d}.jsonl"
    results(path, right, n, k=1, header=replace(HEADER, benchmark=split, step=step, data_hash=f"{n} problems"))


def test_a_clear_gain_is_better_with_its_numbers(tmp_path, capsys):
    assert compare(results(tmp_path / "a/math500.jsonl", 10), results(tmp_path / "b/math500.jsonl", 25)) == 0
    out = capsys.readouterr().out
    assert "math500    40  2  25.0 % [14.2, 40.2]  62.5 % [47.0, 75.8]  +37.5 points [+21.8, +53.2]" in out
    assert "< 0.001  better" in out
    assert "math500: B is better than A, by +37.5 points" in out
    assert "math500    A      25.0 %  25.0 %      2 %        0        10" in out


def test_a_loss_is_worse(tmp_path, capsys):
    compare(results(tmp_path / "a/math500.jsonl", 25), results(tmp_path / "b/math500.jsonl", 10))
    assert "math500: B is worse than A, by -37.5 points" in capsys.readouterr().out


def test_a_small_difference_cannot_be_told_and_says_what_would_be_needed(tmp_path, capsys):
    compare(results(tmp_path / "a/math500.jsonl", 10), results(tmp_path / "b/math500.jsonl", 12))
    out = capsys.readouterr().out
    assert "inconclusive at n = 40, k = 2" in out
    assert "This finds differences of 10.0 points or more, with 80 % power" in out
    assert "you would need about 155 problems at k = 2; more samples of these problems would not do" in out


def test_equal_results_need_nothing(tmp_path, capsys):
    path = results(tmp_path / "a/math500.jsonl", 10)
    compare(path, path)
    assert "inconclusive at n = 40, k = 2. All problems differ by the same, or none does" in capsys.readouterr().out


def test_folders_are_compared_benchmark_by_benchmark_with_correction(tmp_path, capsys):
    for side, right in (("a", 10), ("b", 16)):
        results(tmp_path / side / "math500.jsonl", right)
        results(tmp_path / side / "amc23.jsonl", right, header=replace(HEADER, benchmark="amc23"))
    results(tmp_path / "b/minerva.jsonl", 3, header=replace(HEADER, benchmark="minerva"))
    compare(tmp_path / "a", tmp_path / "b")
    out = capsys.readouterr().out
    assert "p      p corrected" in out
    assert "0.031  0.062" in out
    assert "corrected (Holm) for 2 benchmarks" in out
    assert "minerva" not in out


def test_a_run_alone_is_compared_with_its_base(tmp_path, capsys):
    run_file(tmp_path / "run", "test", 0, 10)
    run_file(tmp_path / "run", "test", 100, 25)
    compare(tmp_path / "run")
    assert "test: B is better than A, by +37.5 points" in capsys.readouterr().out


def test_two_runs_are_compared_by_their_last_evaluations(tmp_path, capsys):
    for name, right in (("one", 10), ("two", 25)):
        run_file(tmp_path / name, "validation", 0, 5)
        run_file(tmp_path / name, "validation", 50, right)
    compare(tmp_path / "one", tmp_path / "two")
    assert "validation: B is better" in capsys.readouterr().out


def test_a_finished_run_is_compared_by_the_model_it_kept(tmp_path, capsys):
    for step, right in ((0, 10), (50, 25), (100, 12)):
        run_file(tmp_path / "run", "validation", step, right)
    compare(tmp_path / "run")
    assert "validation: inconclusive" in capsys.readouterr().out
    (tmp_path / "run" / "summary.json").write_text(json.dumps({"kept_step": 50}))
    compare(tmp_path / "run")
    assert "validation: B is better than A, by +37.5 points" in capsys.readouterr().out


def test_an_unfinished_evaluation_is_compared_as_far_as_it_goes_and_says_so(tmp_path, capsys):
    warmer = replace(HEADER, temperature=1.0)
    compare(results(tmp_path / "a.jsonl", 10), results(tmp_path / "b.jsonl", 20, n=30, k=3, header=warmer))
    out = capsys.readouterr().out
    assert "only the 30 problems that both hold (40 and 30); k is 2 and 3; temperature is 0.6 and 1.0" in out


def test_other_data_are_refused(tmp_path):
    other = results(tmp_path / "b.jsonl", 10, header=replace(HEADER, data_hash="d2"))
    with pytest.raises(DataError, match=r"other problems or golds \(d1 and d2\)"):
        compare(results(tmp_path / "a.jsonl", 10), other)
    run_file(tmp_path / "one", "test", 5, 10)
    run_file(tmp_path / "two", "test", 5, 10, n=39)
    with pytest.raises(DataError, match="other problems or golds"):
        compare(tmp_path / "one", tmp_path / "two")


def test_nothing_shared_nothing_there_nothing_readable(tmp_path):
    first = results(tmp_path / "a.jsonl", 10)
    with pytest.raises(DataError, match="Nothing was measured on both: math500 against amc23"):
        compare(first, results(tmp_path / "b.jsonl", 10, header=replace(HEADER, benchmark="amc23")))
    with pytest.raises(DataError, match="There is nothing at"):
        compare(first, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no evaluation"):
        compare(first, tmp_path / "empty")
    with pytest.raises(DataError, match="no run with two evaluations"):
        compare(tmp_path / "empty")
    (tmp_path / "broken.jsonl").write_text("{\n")
    with pytest.raises(OutputError, match="no readable results file"):
        compare(first, tmp_path / "broken.jsonl")


def test_every_setting_of_the_header_that_differs_is_noted(tmp_path, capsys):
    other = replace(HEADER, prompt_hash="p2", seed=3, dtype="bfloat16", verifier_limit_seconds=5.0, model="other")
    compare(results(tmp_path / "a.jsonl", 10), results(tmp_path / "b.jsonl", 25, header=other))
    out = capsys.readouterr().out
    for note in ("prompt_hash is p1 and p2", "seed is 0 and 3", "dtype is float32 and bfloat16"):
        assert note in out
    assert "verifier_limit_seconds is 1.0 and 5.0" in out
    assert "model is" not in out
