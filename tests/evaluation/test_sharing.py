"""Several processes share an evaluation: the file of one process, whatever their number, and what a kill leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frugalrl.cli import main
from frugalrl.commands.launching import is_to_launch, launch
from frugalrl.errors import ProcessLostError, RecipeError
from frugalrl.evaluation.measured_reader import read_measured
from frugalrl.evaluation.results import read_results

ROOT = Path(__file__).parents[2]
OPTIONS = (
    "builtin:tiny", "--bench", "arithmetic", "--limit", "14", "--k", "2", "--max-sequences", "4", "--max-tokens", "16",
    "--device", "cpu",
)  # fmt: skip


def lines(path: Path) -> list[str]:
    """But for the starts, which say how many processes there were."""
    return [line for line in path.read_text().splitlines() if '"record": "session"' not in line]


def test_the_file_is_that_of_one_process_and_a_killed_one_resumes_with_another_number(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.evaluation.shared_evaluation", str(tmp_path), *OPTIONS],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert "codes 0 " in output, output
    assert "Traceback" not in output
    assert output.count("2 processes share the work.") == 1, "one of them speaks"
    assert "Stopped. What is finished is in" in output or "ended, and ends here" in output
    one, two, killed = (tmp_path / name / "arithmetic.jsonl" for name in ("one", "two", "killed"))
    assert lines(two) == lines(one)
    assert read_results(two).sessions[0]["processes"] == "2"
    assert "processes" not in read_measured(two)["arithmetic"].conditions, "in fp32 their number decides nothing"
    assert [path.name for path in sorted(two.parent.iterdir())] == ["arithmetic.jsonl", "report.html"]
    before = read_results(killed).samples
    assert 0 < len(before) < 28
    assert main(["eval", *OPTIONS, "--out", str(killed.parent)]) == 0
    assert lines(killed) == lines(one)


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """In place of Python: a shell script that does what its first argument says."""

    def of(script: str) -> list[str]:
        path = tmp_path / "stub"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))
        return ["eval"]

    return of


def test_processes_are_started_as_torchrun_starts_them(stub, tmp_path):
    script = f'echo "$RANK $LOCAL_RANK $WORLD_SIZE $LOCAL_WORLD_SIZE $MASTER_ADDR $*" > {tmp_path}/$RANK'
    assert launch(stub(script), 3) == 0
    for rank in range(3):
        assert (tmp_path / str(rank)).read_text() == f"{rank} {rank} 3 3 127.0.0.1 -m frugalrl eval\n"


def test_the_exit_code_is_that_of_the_processes_and_a_killed_one_ends_the_others(stub):
    assert launch(stub("exit $((RANK + 1))"), 2) == 2
    waits = "trap 'kill $!; exit 130' TERM; sleep 30 & wait"
    with pytest.raises(ProcessLostError, match=r"^Process 1 of 2 was ended by SIGKILL .* the same command resumes"):
        launch(stub(f'if [ "$RANK" = 1 ]; then kill -9 $$; fi; {waits}'), 2)


def test_only_the_first_process_launches_and_a_number_that_makes_no_sense_is_refused():
    torchrun = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    assert [is_to_launch(2, {}), is_to_launch(2, torchrun), is_to_launch(1, {})] == [True, False, False]
    with pytest.raises(RecipeError, match="--processes is 0"):
        is_to_launch(0, {})
    with pytest.raises(RecipeError, match="started 2 processes, and --processes says 3"):
        is_to_launch(3, torchrun)


def test_a_server_is_asked_by_one_process(monkeypatch, capsys):
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "a",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["eval", "some-model", "--bench", "arithmetic", "--url", "http://localhost:1/v1"]) == 2
    assert "A server spreads the work over its own GPUs, and 2 processes were started" in capsys.readouterr().err
