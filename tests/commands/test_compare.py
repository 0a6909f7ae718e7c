"""`frugalrl compare`: better, worse, inconclusive; what does not belong together."""

import argparse
import json
import re
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


def results(
    path: Path,
    right: int,
    n: int = 40,
    k: int = 2,
    header: ResultsHeader = HEADER,
    unknown: int = 0,
    cut: int = 1,
    text: str | None = None,
    session: dict[str, str] | None = None,
) -> Path:
    """n problems of k samples; the first `right` problems are solved each time, the next `unknown` have no verdict, the
    last `cut` are truncated."""
    samples = [
        SampleRecord(
            problem_id=f"p{number}",
            sample=sample,
            seed=1,
            tokens=10,
            finish_reason="length" if number >= n - cut else "stop",
            extracted="1" if number < right else "2",
            verdict="correct" if number < right else "unknown" if number < right + unknown else "incorrect",
            reason="equal",
            text=text or f"attempt {sample}",
        )
        for number in range(n)
        for sample in range(k)
    ]
    write_results(path, header, session or {"device": "cpu"}, samples)
    return path


def run_file(folder: Path, split: str, step: int, right: int, n: int = 40) -> None:
    path = folder / "evaluations" / f"{split}-step-{step:06d}.jsonl"
    results(path, right, n, k=1, header=replace(HEADER, benchmark=split, step=step, data_hash=f"{n} problems"))


def test_a_clear_gain_is_better_with_its_numbers(tmp_path, capsys):
    assert compare(results(tmp_path / "a/math500.jsonl", 10), results(tmp_path / "b/math500.jsonl", 25)) == 0
    out = capsys.readouterr().out
    assert "math500    40  2  25.0 % [14.2, 40.2]  62.5 % [47.0, 75.8]  +37.5 points [+" in out
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
    assert re.search(r"The minimum detectable effect is \d+\.\d points \(80 % power\)", out)
    needed = re.search(r"need about (\d+) problems at k = 2; more samples of these problems would not do", out)
    assert 140 < int(needed[1]) < 400


def test_equal_results_need_nothing(tmp_path, capsys):
    path = results(tmp_path / "a/math500.jsonl", 10)
    compare(path, path)
    out = capsys.readouterr().out
    assert "inconclusive at n = 40, k = 2. The minimum detectable effect is" in out
    assert " is 0.0 points" not in out
    assert "No difference was seen." in out


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
    assert out.startswith("A and B differ in more than the model (A / B): temperature 0.6 / 1.0. Any of it may be part")
    assert "only the 30 problems that both hold (40 and 30); k is 2 and 3" in out


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


def test_every_stored_setting_that_differs_stands_in_the_first_line(tmp_path, capsys):
    other = replace(
        HEADER, seed=3, dtype="bfloat16", max_completion_tokens=512, verifier_limit_seconds=5.0, frugalrl="0.2.0",
        model="other", model_hash="m2",
    )  # fmt: skip
    second = results(tmp_path / "b.jsonl", 25, header=other, session={"device": "cuda", "torch": "2.9"})
    compare(results(tmp_path / "a.jsonl", 10), second)
    out = capsys.readouterr().out
    first = out.splitlines()[0]
    for said in (
        "max_completion_tokens 4096 / 512",
        "seed 0 / 3",
        "dtype float32 / bfloat16",
        "frugalrl 0.1.0 / 0.2.0",
    ):
        assert said in first
    assert "verifier_limit_seconds 1.0 / 5.0" in first
    assert "device cpu / cuda; torch not known / 2.9" in first
    assert "same weights" not in first
    assert "org/model" not in first
    assert "math500: B is better than A, with other settings, by +37.5" in out


def test_the_same_weights_at_another_token_cap_are_named_first(tmp_path, capsys):
    longer = replace(HEADER, max_completion_tokens=32768)
    compare(results(tmp_path / "a.jsonl", 10), results(tmp_path / "b.jsonl", 25, header=longer))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith("A and B have the same weights.")
    assert "max_completion_tokens 4096 / 32768" in first


def test_another_prompt_is_refused_unless_asked_for(tmp_path, capsys):
    paths = (
        results(tmp_path / "a.jsonl", 25),
        results(tmp_path / "b.jsonl", 6, header=replace(HEADER, prompt_hash="p2")),
    )
    with pytest.raises(DataError, match=r"another prompt or chat template \(p1 and p2\).*--other-prompt"):
        compare(*paths)
    compare(*paths, "--other-prompt")
    out = capsys.readouterr().out
    assert "prompt_hash p1 / p2" in out.splitlines()[0]
    assert "B is worse than A, with other settings, by -47.5" in out


def test_verdicts_that_are_unknown_do_not_make_a_model_worse(tmp_path, capsys):
    """A third of B's verdicts are limits: it may be worse by 18.8 points, and better by as much."""
    compare(results(tmp_path / "a.jsonl", 20), results(tmp_path / "b.jsonl", 12, unknown=14))
    out = capsys.readouterr().out
    assert "math500: inconclusive" in out
    assert (
        "Unknown verdicts: none of A and 28 of 80 samples of B; whatever they are, B - A lies between -20.0 and +15.0"
        in out
    )
    compare(results(tmp_path / "c.jsonl", 35), results(tmp_path / "d.jsonl", 2, unknown=2))
    assert "math500: B is worse than A, by -82.5" in capsys.readouterr().out


def test_what_truncation_might_explain_is_said(tmp_path, capsys):
    compare(results(tmp_path / "a.jsonl", 30), results(tmp_path / "b.jsonl", 10, cut=24))
    out = capsys.readouterr().out
    assert "Truncated: 2 % of A and 60 % of B; without the limit B - A might lie between -52.5 and +10.0 points." in out


def test_copies_count_as_one_sample(tmp_path, capsys):
    greedy = replace(HEADER, temperature=0.0)
    paths = [
        results(tmp_path / f"{name}.jsonl", n, k=4, header=greedy, text="same") for name, n in (("a", 10), ("b", 12))
    ]
    compare(*paths)
    out = capsys.readouterr().out
    assert "the samples of a problem are copies of one another in A and B: they count as one" in out
    single = [results(tmp_path / f"{name}1.jsonl", n, k=1, header=greedy) for name, n in (("a", 10), ("b", 12))]
    compare(*single)
    effect = re.compile(r"minimum detectable effect is ([\d.]+) points")
    assert effect.search(out)[1] == effect.search(capsys.readouterr().out)[1]


@pytest.mark.parametrize("right", range(10, 26))
def test_the_printed_interval_never_contradicts_the_verdict(tmp_path, capsys, right):
    for side, solved in (("a", 10), ("b", right)):
        for name, n in (("math500", 40), ("amc23", 39), ("aime24", 41)):
            results(
                tmp_path / side / f"{name}.jsonl", solved, n=n, header=replace(HEADER, benchmark=name, data_hash=name)
            )
    compare(tmp_path / "a", tmp_path / "b")
    rows = re.findall(
        r"points \[([-+][\d.]+), ([-+][\d.]+)\]\s+(\S+|< 0.001)\s+(\S+|< 0.001)\s+(\w+)\n", capsys.readouterr().out
    )
    assert len(rows) == 3
    for low, high, _, corrected, verdict in rows:
        assert (verdict == "inconclusive") == (float(low) <= 0 <= float(high))
        assert (verdict == "inconclusive") == (not corrected.startswith("<") and float(corrected) >= 0.05)
