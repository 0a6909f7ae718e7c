"""The command line as a person meets it: exit codes, one message for a mistake, Ctrl-C, resume."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from frugalrl.cli import main

ROOT = Path(__file__).parents[1]
QUICK = [
    "--set", "training.steps=3", "--set", "data.test.limit=9", "--set", "data.validation.limit=9",
    "--set", "data.train.limit=60", "--set", "rollout.prompts_per_step=2", "--set", "rollout.group_size=4",
    "--set", "evaluation.samples_per_problem=2",
]  # fmt: skip
QUICKSTART = str(ROOT / "recipes" / "quickstart.yaml")


def frugalrl(capsys, *arguments):
    try:
        code = main(list(arguments))
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_prints_its_gain_and_where_everything_is(capsys, tmp_path):
    code, out, err = frugalrl(capsys, "train", QUICKSTART, *QUICK, "--out", str(tmp_path / "run"))
    assert (code, err) == (0, "")
    assert "validation, used for selection: 9 problems" in out
    assert "base  0" in out
    assert re.search(r"Step \d is kept|No checkpoint is better than the base", out)
    assert str(tmp_path / "run") in out
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["final"]["n"] == 9
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_dry_run_prints_every_derived_figure_and_makes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = frugalrl(capsys, "train", str(ROOT / "recipes" / "open-rs2.yaml"), "--dry-run")
    assert code == 0
    figures = {line[:30].strip(): line[30:].strip() for line in out.splitlines()}
    assert figures["completions per step"] == "12 x 6 = 72"
    assert figures["updates in all"] == "500"
    assert figures["completions in all"] == "36000"
    assert figures["tokens per step, at most"] == "294,912 (72 x 4,096)"
    assert figures["checkpoints"].startswith("10 to resume from")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "no-such.yaml"], "There is no recipe at no-such.yaml"),
        (["train", QUICKSTART, "--set", "training.step=5"], "Did you mean 'steps'?"),
        (["train", QUICKSTART, "--set", "model.path=./nowhere"], "There is no model folder at ./nowhere"),
        (["train", QUICKSTART, "--set", "data.train.source=missing.jsonl"], "There is no data file at missing.jsonl"),
        (["trian", QUICKSTART], "Did you mean train?"),
        (["train", QUICKSTART, "--rezume"], "Did you mean --resume?"),
        (["train", QUICKSTART, "--resume"], "There is no run to resume"),
        (["train", QUICKSTART, "--out", ""], "frugalrl train: --out is given an empty text."),
        (["regrade", "evaluations", "--out="], "frugalrl regrade: --out is given an empty text."),
        (["report", ""], "frugalrl report: report is given an empty text."),
        (["doctor", QUICKSTART, "--minutes", "nan"], "frugalrl doctor: --minutes is nan. Give a finite number."),
    ],
)
def test_the_users_mistakes_exit_with_two_and_one_message(capsys, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, _, err = frugalrl(capsys, *arguments)
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_a_mistake_before_the_start_leaves_no_run_folder_behind(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert frugalrl(capsys, "train", QUICKSTART, "--set", "model.path=./nowhere")[0] == 2
    assert list(tmp_path.glob("runs/*")) == []


def test_a_folder_in_use_is_not_overwritten(capsys, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    code, _, err = frugalrl(capsys, "train", QUICKSTART, *QUICK, "--out", str(tmp_path))
    assert code == 2
    assert "is not empty" in err
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_a_message(capsys, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, _, err = frugalrl(capsys, "train", QUICKSTART, *QUICK, "--out", str(tmp_path / "run"))
    assert code == 2
    assert "cannot be written" in err


def test_a_place_that_is_a_file_is_a_message(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = frugalrl(capsys, "train", QUICKSTART, *QUICK, "--out", str(tmp_path / "file" / "run"))
    assert code == 2
    assert "cannot be written" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_message(tmp_path):
    """metrics.jsonl on a device that is always full: the run ends with advice, not with a traceback."""
    from frugalrl.errors import OutputError
    from frugalrl.reporting.run_log import RunLog

    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="Free some space and resume"), RunLog(tmp_path, (), "full") as log:
        log.write(1, {"reward/mean": 0.5})


def test_the_schema_is_json_schema(capsys):
    code, out, _ = frugalrl(capsys, "schema", "train")
    assert code == 0
    schema = json.loads(out)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["rollout"]["$ref"].endswith("RolloutSettings")


LONG = ["train", QUICKSTART, *QUICK, "--set", "training.steps=400"]


def start(folder: Path, *extra: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "frugalrl", *LONG, "--out", str(folder), *extra]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_line(process: subprocess.Popen, start_of_line: str) -> None:
    for line in process.stdout:
        if line.lstrip().startswith(start_of_line):
            return
    raise AssertionError("the process ended before that line")


def test_ctrl_c_finishes_the_step_saves_and_can_be_resumed(capsys, tmp_path):
    process = start(tmp_path / "run")
    wait_for_line(process, "2/400")
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert "resume with --resume" in rest
    (checkpoint,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    following = int(checkpoint.name.removeprefix("step-")) + 1
    more = ["--resume", "--set", f"budget.steps={following}"]
    code, out, _ = frugalrl(capsys, *LONG, "--out", str(tmp_path / "run"), *more)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if "/400 " in line] == [f"{following}/400"]


def test_sigterm_inside_an_evaluation_leaves_it_and_saves(tmp_path):
    long_evaluation = [
        "--set", "data.test=null", "--set", "evaluation.every=1", "--set", "evaluation.samples_per_problem=15",
        "--set", "evaluation.max_sequences=8",
    ]  # fmt: skip
    process = start(tmp_path / "run", *long_evaluation)
    wait_for_line(process, "1/400")
    process.send_signal(signal.SIGTERM)  # the evaluation of 135 completions has begun, or begins
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert "validation after step 1" not in rest
    assert "Stopped after step 1 of 400. Saved" in rest
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*")] == ["step-000001"]


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    process = start(tmp_path / "run", "--set", "rollout.prompts_per_step=64", "--set", "rollout.group_size=64")
    wait_for_line(process, "step")
    time.sleep(1.0)  # 4,096 completions: the first step is under way and far from its end
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "Stopping after this step")  # two signals within one long operation would be one
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in rest
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_two_processes_do_not_share_a_run(capsys, tmp_path):
    process = start(tmp_path / "run")
    wait_for_line(process, "step")
    code, _, err = frugalrl(capsys, *LONG, "--out", str(tmp_path / "run"), "--resume")
    assert code == 2
    assert "Another process is running" in err
    process.kill()
    process.communicate()


def test_a_dry_run_with_adapters_says_what_is_trained_and_that_no_reference_is_held(capsys):
    code, out, _ = frugalrl(capsys, "train", str(ROOT / "recipes" / "open-rs2-lora.yaml"), "--dry-run")
    assert code == 0
    figures = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert figures["trained"].strip().startswith("LoRA adapters of rank 32 in q_proj")
    assert figures["reference model"].strip() == "the model with its adapters off"


def test_a_dry_run_says_what_lies_in_host_memory(capsys):
    recipe = str(ROOT / "recipes" / "open-rs2-24gb.yaml")
    code, out, _ = frugalrl(capsys, "train", recipe, "--dry-run", "--set", "optimizer.state_bits=8")
    assert code == 0
    figures = dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)
    assert figures["reference model"].strip() == "held, its weights in host memory"
    assert figures["optimizer states"].strip() == "moments of 8 bits, in host memory"
