"""Whole launches that end badly, and are taken up: a process killed under torchrun, Ctrl-C, an error in one reward."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from frugalrl.cli import main
from frugalrl.reporting.run_log import read_metrics
from frugalrl.training.state.manifest import damage
from frugalrl.training.state.pointers import latest_checkpoint
from tests.training.distributed.jobs import GRPO

ROOT = Path(__file__).parents[3]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
FORKING = [sys.executable, "-m", "tests.training.distributed.forking", "cli", "2"]
SMALL = {
    **GRPO,
    "name": "faults",
    "data": {"train": {"limit": 60}},
    "guard": {"enabled": False},
    "algorithm": {},
    "rollout": {**GRPO["rollout"], "prompts_per_step": 2, "max_completion_tokens": 24},
    "training": {"steps": 400, "save_every": 1, "keep_last": 2},
    "budget": {"steps": 300},
}


def recipe_in(folder: Path, **changes: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}))
    return path


def started(command: list[str], *arguments: object, path: Path = ROOT) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}:{path}"}
    return subprocess.Popen(
        [*command, "train", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until_saved(run: Path, process: subprocess.Popen) -> None:
    """Wait until two steps are saved."""
    for _ in range(2400):
        found = latest_checkpoint(run / "checkpoints") if (run / "checkpoints").is_dir() else None
        if found is not None and found.name >= "step-000002":
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    raise AssertionError("no checkpoint")


def ended(process: subprocess.Popen) -> str:
    return process.communicate(timeout=120)[0]


def resumes_in_one_process(folder: Path) -> None:
    run = folder / "run"
    done = int(latest_checkpoint(run / "checkpoints").name.removeprefix("step-"))
    more = ["--set", f"budget.steps={done + 1}"]
    assert main(["train", str(folder / "recipe.yaml"), "--out", str(run), "--resume", *more]) == 0
    assert [row["step"] for row in read_metrics(run)] == list(range(1, done + 2))
    changed = json.loads((run / "environment.json").read_text())["resumed"][-1]["changed"]
    assert changed["processes"] == [2, 1]


def test_a_killed_process_ends_the_run_which_says_so_and_resumes(tmp_path):
    command = [*TORCHRUN, "--rdzv-endpoint", "127.0.0.1:0", "-m", "frugalrl"]
    process = started(command, recipe_in(tmp_path), "--out", tmp_path / "run")
    until_saved(tmp_path / "run", process)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout.split()[-1]), signal.SIGKILL)
    output = ended(process)
    assert process.returncode == 1
    assert re.search(r"frugalrl: Process \d of 2 lost its connection to another one", output)
    assert "Traceback" not in output.partition("torch/distributed")[0], "before the launcher's own"
    resumes_in_one_process(tmp_path)


def test_ctrl_c_saves_the_step_of_all_processes_though_they_get_it_twice(tmp_path):
    process = started(FORKING, recipe_in(tmp_path), "--out", tmp_path / "run")
    until_saved(tmp_path / "run", process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does; the launcher passes its own on
    output = ended(process)
    assert process.returncode == 130
    assert output.count("Stopping after this step") == 1
    assert "Saved" in output


def test_an_error_in_the_reward_of_one_process_ends_all_with_what_is_complete_saved(tmp_path):
    (tmp_path / "fails_late.py").write_text(
        "import os\n"
        "calls = []\n"
        "def reward(completions, **columns):\n"
        "    calls.append(1)\n"
        "    if os.environ['RANK'] == '1' and len(calls) > 3:\n"
        "        raise ValueError('the reward is broken')\n"
        "    return [float(len(text) % 7) for text in completions]\n"
    )
    recipe = recipe_in(tmp_path, rewards=[{"name": "fails_late.reward"}], training={"steps": 9})
    process = started(FORKING, recipe, "--out", tmp_path / "run", path=tmp_path)
    output = ended(process)
    assert process.returncode != 0
    assert "the reward is broken" in output
    assert re.search(r"Saved .*step-000003; resume with --resume once the error below is fixed", output)
    assert latest_checkpoint(tmp_path / "run" / "checkpoints").name == "step-000003"


def test_ctrl_c_in_an_evaluation_and_the_end_of_a_budget_reach_all_processes(tmp_path, monkeypatch):
    """The second process is interrupted while it evaluates; after a resume the clock of the first jumps by an hour."""
    (tmp_path / "at_work.py").write_text(
        "import os, signal, time\n"
        "from frugalrl.training import evaluating\n"
        "evaluate, now, calls = evaluating.evaluate_sets, time.monotonic, []\n"
        "def interrupted(*arguments):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return evaluate(*arguments)\n"
        "def reward(completions, **columns):\n"
        "    calls.append(1)\n"
        "    if os.environ['RANK'] == '1' and 'JUMPS' not in os.environ:\n"
        "        evaluating.evaluate_sets = interrupted\n"
        "    if os.environ['RANK'] == '0' and 'JUMPS' in os.environ and len(calls) == 2:\n"
        "        time.monotonic = lambda: now() + 3600\n"
        "    return [float(len(text) % 7) for text in completions]\n"
    )
    data = {**SMALL["data"], "validation": {"split": "validation", "limit": 2}}
    evaluation = {"every": 1, "samples_per_problem": 1}
    own = {"rewards": [{"name": "at_work.reward"}], "budget": {}, "data": data, "evaluation": evaluation}
    mirror = tmp_path / "mirror"
    recipe = recipe_in(tmp_path, **own, training={**SMALL["training"], "mirror": f"file://{mirror}"})
    process = started(FORKING, recipe, "--out", tmp_path / "run", path=tmp_path)
    output = ended(process)
    assert process.returncode == 130, output
    assert "Stopped after step 1 of 400. Saved" in output
    assert [path.name for path in (tmp_path / "run" / "evaluations").iterdir()] == ["validation-step-000000.jsonl"]
    monkeypatch.setenv("JUMPS", "1")
    budget = ["--resume", "--set", "budget.hours=1.0"]
    process = started(FORKING, recipe, "--out", tmp_path / "run", *budget, path=tmp_path)
    output = ended(process)
    assert process.returncode == 0, output
    assert "Ending after step 3 of 400 to keep within" in output
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 3
    assert latest_checkpoint(tmp_path / "run" / "checkpoints").name == "step-000003"
    assert damage(mirror / "checkpoints" / "step-000003") is None, "mirrored by the first process"
    assert (mirror / "summary.json").is_file()
