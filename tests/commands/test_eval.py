"""`frugalrl eval` on the tiny reasoner: a table, a rerun that draws nothing, a kill, and every mistake."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import frugalrl
from frugalrl.commands import eval as command
from frugalrl.errors import BudgetSpentError, DataError, ModelError, OutputError, RecipeError, UserError
from frugalrl.evaluation.benchmark_loading import load_benchmark
from frugalrl.evaluation.results import read_results
from frugalrl.planning.forecast.evaluation_text import forecast_lines
from frugalrl.tasks.logic import generate, logic_problem
from tests.conftest import write_jsonl

FAST = ("--limit", "9", "--max-sequences", "6", "--max-tokens", "96", "--device", "cpu")
KILLED = """
import argparse
from frugalrl.commands import eval as command
parser = argparse.ArgumentParser()
command.register(parser.add_subparsers())
arguments = parser.parse_args()
raise SystemExit(arguments.func(arguments))
"""


@pytest.fixture(autouse=True)
def _nowhere_else(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRUGALRL_DATA", str(tmp_path / "data"))


def run(*options: str, model: str = "builtin:tiny") -> int:
    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())
    arguments = parser.parse_args(["eval", model, *FAST, *options])
    return int(arguments.func(arguments))


def test_the_table_shows_accuracy_and_what_it_is_worth(tmp_path, capsys):
    assert run("--bench", "arithmetic", "--k", "2") == 0
    expected, *lines = capsys.readouterr().out.splitlines()
    assert expected.startswith("Expected: 18 samples, ")
    assert expected.endswith("on this machine (1 threads)")
    assert lines[0].startswith(
        "arithmetic: 9 problems x 2 from arithmetic, judged as arithmetic, temperature 0.6, top_p 0.95, at most 96"
    )
    assert lines[1].startswith("  arithmetic 12/18  truncated 0 %  ")
    assert lines[1].endswith(" remaining")
    heads = next(number for number, line in enumerate(lines) if line.startswith("benchmark "))
    assert lines[heads].split() == [
        "benchmark", "problems", "k", "avg@k", "95", "%", "interval", "pass@k", "majority@k",
        "detectable", "truncated", "unknown", "tokens",
    ]  # fmt: skip
    assert lines[heads + 1].split()[:3] == ["arithmetic", "9", "2"]
    assert lines[heads + 2].startswith("arithmetic by difficulty: 1 ")
    assert lines[heads + 3].startswith("arithmetic by family: equation ")
    assert "show no gain below" in lines[heads + 4]
    assert lines[-1] == f"Results: {Path('evaluations/tiny')}"
    found = read_results(tmp_path / "evaluations" / "tiny" / "arithmetic.jsonl")
    assert len(found.samples) == 18
    assert (found.header.model, found.header.max_completion_tokens) == ("builtin:tiny", 96)


def test_the_same_command_again_draws_nothing_and_says_the_same(capsys):
    run("--bench", "arithmetic", "--k", "2")
    first = [line for line in capsys.readouterr().out.splitlines()[2:] if "remaining" not in line]
    run("--bench", "arithmetic", "--k", "2")
    second = capsys.readouterr().out.splitlines()
    assert second[0].endswith("; 18 samples are there already")
    assert second[1:] == first


def test_more_samples_and_more_problems_only_add(tmp_path):
    run("--bench", "arithmetic", "--k", "1", "--out", "a")
    run("--bench", "arithmetic", "--k", "2", "--limit", "12", "--out", "a")
    run("--bench", "arithmetic", "--k", "2", "--limit", "12", "--out", "b")
    drawn = [
        {(one.problem_id, one.sample): (one.seed, one.text, one.verdict) for one in read_results(path).samples}
        for path in (tmp_path / "a" / "arithmetic.jsonl", tmp_path / "b" / "arithmetic.jsonl")
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 24


def test_a_killed_evaluation_goes_on(tmp_path):
    options = ["eval", "builtin:tiny", *FAST, "--bench", "arithmetic", "--k", "4", "--limit", "60"]
    path = tmp_path / "evaluations" / "tiny" / "arithmetic.jsonl"
    process = subprocess.Popen([sys.executable, "-c", KILLED, *options], stdout=subprocess.DEVNULL)
    while process.poll() is None and not (path.exists() and path.read_text().count('"record": "sample"') >= 12):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = read_results(path).samples
    assert 12 <= len(before) < 240
    run("--bench", "arithmetic", "--k", "4", "--limit", "60")
    after = read_results(path).samples
    assert after[: len(before)] == before
    assert len({(one.problem_id, one.sample) for one in after}) == len(after) == 240
    run("--bench", "arithmetic", "--k", "4", "--limit", "60", "--out", "straight")
    straight = read_results(tmp_path / "straight" / "arithmetic.jsonl").samples
    assert {(one.problem_id, one.sample, one.text) for one in straight} == {
        (one.problem_id, one.sample, one.text) for one in after
    }


def test_greedy_needs_one_sample(capsys):
    run("--bench", "arithmetic", "--temperature", "0")
    assert capsys.readouterr().out.splitlines()[1].startswith("arithmetic: 9 problems x 1 from arithmetic, judged as")


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(monkeypatch, capsys):
    from frugalrl.evaluation import runner

    collect, calls = runner.collect_samples, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return collect(*arguments)

    monkeypatch.setattr(runner, "collect_samples", interrupted)
    assert run("--bench", "arithmetic", "--k", "2") == 130
    assert capsys.readouterr().out.endswith("the same command resumes from there.\n")
    assert run("--bench", "arithmetic", "--k", "2") == 0
    assert "; 12 samples are there already" in capsys.readouterr().out


def test_a_file_of_ones_own_beside_a_benchmark(tmp_path, capsys):
    rows = [{"id": str(n), "problem": f"Compute ${n} + {n}$.", "answer": str(2 * n)} for n in range(1, 4)]
    path = write_jsonl(tmp_path / "sums.jsonl", rows)
    assert run("--bench", f"arithmetic,{path}", "--out", "results") == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    heads = next(at for at, words in enumerate(printed) if words[:1] == ["benchmark"])
    assert [words[:3] for words in printed[heads + 1 : heads + 3]] == [["arithmetic", "9", "4"], ["sums", "3", "1"]]
    assert (tmp_path / "results" / "sums.jsonl").exists()


def test_puzzles_and_programs_of_ones_own_are_judged_and_asked_as_such(tmp_path, capsys):
    puzzle = logic_problem(next(generate(1, "test")), 0, "test")
    write_jsonl(tmp_path / "puzzles.jsonl", [{"problem": puzzle.text, "answer": puzzle.gold, **puzzle.columns}])
    write_jsonl(tmp_path / "programs.jsonl", [{"problem": "Add.", "test_list": ["assert add(1, 2) == 3"]}])
    assert run("--bench", "puzzles.jsonl,programs.jsonl", "--out", "results") == 0
    puzzles, programs = (read_results(tmp_path / "results" / f"{name}.jsonl") for name in ("puzzles", "programs"))
    assert puzzles.samples[0].reason in ("no_box", "unreadable_answer", "different", "equal", "unclosed_reasoning")
    assert programs.samples[0].reason in ("no_code", "no_sandbox")
    assert puzzles.header.prompt_hash != programs.header.prompt_hash
    write_jsonl(tmp_path / "broken.jsonl", [{"problem": "Add.", "answer": "x", "entry_point": "add"}])
    with pytest.raises(DataError, match=r"broken.jsonl, line 1: .* is of code, but no tests can be read"):
        run("--bench", "broken.jsonl")


def test_a_benchmark_of_several_tasks_asks_each_in_its_own_way(tmp_path):
    rows = [{"problem": "1+1?", "answer": "2"}, {"problem": "Add.", "test_list": ["assert add(1, 2) == 3"]}]
    write_jsonl(tmp_path / "mixed.jsonl", rows)
    loaded = load_benchmark(str(tmp_path / "mixed.jsonl"), None)
    assert ["boxed" in one for one in loaded.templates] == [True, False]
    assert ["python" in one for one in loaded.templates] == [False, True]
    assert run("--bench", "mixed.jsonl", "--out", "results") == 0


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (("--bench", "arithmetics"), DataError, r"Did you mean arithmetic\?"),
        (("--bench", "missing.jsonl"), DataError, r"There is no benchmark file at missing\.jsonl"),
        (("--bench", "empty.jsonl"), DataError, r"empty\.jsonl is empty"),
        (("--bench", "goldless.jsonl"), DataError, r"1 rows have no gold answer, the first at goldless\.jsonl, line 2"),
        (("--bench", "torn.jsonl"), DataError, r"torn\.jsonl, line 1 is not JSON"),
        (("--bench", "arithmetic,./arithmetic.jsonl"), DataError, r"would write to arithmetic\.jsonl"),
        (("--bench", ","), DataError, "names no benchmark"),
        (("--bench", "arithmetic", "--k", "0"), DataError, "^k is 0"),
        (("--bench", "arithmetic", "--limit", "-1"), DataError, "^limit is -1"),
        (("--bench", "arithmetic", "--temperature", "nan"), DataError, "^temperature is nan"),
        (("--bench", "arithmetic", "--preset", "openrs"), DataError, "no preset 'openrs'"),
        (("--bench", "arithmetic", "--max-tokens", "9000"), ModelError, "max_tokens 8"),
        (("--bench", "arithmetic", "--max-usd", "1"), DataError, "no price is known. Give --usd-per-hour"),
        (("--bench", "arithmetic", "--usd-per-hour", "-1"), DataError, "usd_per_hour is -1"),
        (("--bench", "arithmetic", "--gpu", "A40"), DataError, "--gpu names cards for --dry-run"),
        (
            ("--bench", "arithmetic", "--dry-run", "--gpu", "A41"),
            RecipeError,
            "There is no card 'A41' in the table. Did you mean A40",
        ),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(tmp_path, options, error, says):
    good = {"problem": "1+1?", "answer": "2"}
    write_jsonl(tmp_path / "goldless.jsonl", [good, {"problem": "1+2?"}])
    write_jsonl(tmp_path / "arithmetic.jsonl", [good])
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "torn.jsonl").write_text('{"problem": "1+')
    with pytest.raises(error, match=says) as caught:
        run(*options)
    assert issubclass(error, UserError)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "evaluations").exists()


def test_a_model_that_cannot_be_loaded_is_a_user_error(tmp_path):
    with pytest.raises(ModelError, match=r"There is no model folder at \./nowhere"):
        run("--bench", "arithmetic", model="./nowhere")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        run("--bench", "arithmetic", model="./broken")


def test_results_of_another_model_prompt_or_sampling_are_kept_as_they_are(tmp_path, model_folder):
    run("--bench", "arithmetic", "--k", "1", "--out", "results")
    path = tmp_path / "results" / "arithmetic.jsonl"
    before = path.read_bytes()
    sums = str(write_jsonl(tmp_path / "sums.jsonl", [{"problem": "1+1?", "answer": "2"}]))
    for options, says in [
        (("--bench", "arithmetic", "--preset", "open-rs"), "another prompt"),
        (("--bench", "arithmetic", "--temperature", "1"), "another temperature"),
    ]:
        with pytest.raises(OutputError, match=says):
            run(*options, "--k", "1", "--out", "results")
    with pytest.raises(OutputError, match=r"results of another model \(builtin:tiny"):
        run("--bench", sums, "--out", "results", model=str(model_folder))
    with pytest.raises(OutputError, match="another seed"):
        run("--bench", f"{sums},arithmetic", "--seed", "1", "--out", "results")
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["arithmetic.jsonl", "report.html"]


def test_greedy_copies_are_called_copies(capsys):
    assert run("--bench", "arithmetic", "--k", "2", "--temperature", "0") == 0
    out = capsys.readouterr().out
    assert "arithmetic: the 2 samples of a problem are copies of one another (greedy sampling): they say no more" in out


def test_a_dry_run_says_what_it_would_take_on_cards_and_draws_nothing(tmp_path, capsys):
    asked = ("--bench", "arithmetic", "--k", "2", "--dry-run")
    assert run(*asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "builtin:tiny"
    assert lines[1].startswith("Expected: 18 samples, 864 [432, ")
    assert [line.split()[0] for line in lines[2:5]] == ["card", "A40", "A100-80GB"]
    assert run(*asked, "--gpu", "A40", "--usd-per-hour", "0.5", "--mean-tokens", "32") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("Expected: 18 samples, 57")
    assert [line.split()[0] for line in lines[2:]] == ["time", "money", "memory", "depends"]
    assert not (tmp_path / "evaluations").exists()
    sampling = {"k": 2, "limit": 9, "max_sequences": 6, "max_tokens": 96, "mean_tokens": 32}
    ((card, expected),) = frugalrl.forecast_evaluation(
        "builtin:tiny", "arithmetic", gpus=["A40"], usd_per_hour=0.5, **sampling
    )
    assert (card, expected.samples) == ("A40", 18)
    assert forecast_lines(expected) == lines[1:]
    run("--bench", "arithmetic", "--k", "2")
    capsys.readouterr()
    assert run(*asked) == 0
    assert capsys.readouterr().out == "builtin:tiny: all samples are there already.\n"
    assert frugalrl.forecast_evaluation("builtin:tiny", "arithmetic", **sampling) == []


def test_an_evaluation_that_may_cost_nothing_more_ends_and_resumes(monkeypatch, tmp_path):
    from frugalrl import api_forecasting

    priced = ("--bench", "arithmetic", "--k", "2", "--usd-per-hour", "3600")
    with pytest.raises(BudgetSpentError, match="would cost about"):
        run(*priced, "--max-usd", "1e-9")
    monkeypatch.setattr(api_forecasting, "refuse_too_dear", lambda *given: None)
    with pytest.raises(
        BudgetSpentError, match=r"of max_usd 1e-09, with 12 of 18 samples of arithmetic\. They are kept"
    ):
        run(*priced, "--max-usd", "1e-9")
    assert len(read_results(tmp_path / "evaluations" / "tiny" / "arithmetic.jsonl").samples) == 12
    assert run(*priced, "--max-usd", "1e9") == 0
