"""The scripts for a rented machine: their syntax, and what they do, on a CPU with the tiny model."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import yaml

from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import TrainRecipe

ROOT = Path(__file__).parents[1]
CLOUD = ROOT / "cloud"
SCRIPTS = sorted(CLOUD.glob("*.sh"))
TASK_KEYS = {"name", "workdir", "num_nodes", "resources", "file_mounts", "envs", "secrets", "setup", "run"}
RESOURCE_KEYS = {"accelerators", "use_spot", "disk_size", "cloud", "region", "any_of", "ordered", "image_id", "memory"}
"""Of SkyPilot 0.14 (sky/utils/schemas.py), those that a task here may want."""


def command(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def recorder(tmp_path) -> Path:
    """In place of frugalrl: writes its arguments down, and ends with CODE."""
    return command(tmp_path / "frugalrl", f'echo "$@" >> {tmp_path}/calls\nexit "${{CODE:-0}}"')


def run(tmp_path: Path, frugalrl: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS", "HOME") if key in os.environ}
    given = {"FRUGALRL": str(frugalrl), "ALLOW_CPU": "1", "NEED_GB": "0", "OUT": str(tmp_path / "runs" / "one")}
    return subprocess.run(
        ["sh", str(CLOUD / "train.sh"), *arguments],
        env={**kept, **given, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_script_has_no_error_of_syntax(script, shell):
    subprocess.run([shell, "-n", str(script)], check=True)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(script):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_the_task_has_the_keys_of_skypilot_and_calls_what_is_there():
    task = yaml.safe_load((CLOUD / "sky.yaml").read_text())
    assert set(task) <= TASK_KEYS
    assert set(task["resources"]) <= RESOURCE_KEYS
    assert all(value is None or isinstance(value, str) for value in {**task["envs"], **task["secrets"]}.values())
    for line in (*task["setup"].splitlines(), *task["run"].splitlines()):
        assert (ROOT / line.split()[1]).is_file()
    recipe = load_recipe(ROOT / "recipes" / f"{task['envs']['RECIPE']}.yaml", TrainRecipe)
    assert recipe.model.lora is not None  # what fits the cards that it names
    assert set(task["envs"]) - {"RECIPE"} <= {
        line.split()[1] for line in (CLOUD / "train.sh").read_text().splitlines() if line.startswith("#   ")
    } | {"USD_PER_HOUR"}


def test_what_is_trained_is_the_recipe_within_the_budget_with_the_mirror(tmp_path, recorder):
    done = run(
        tmp_path, recorder, "quickstart", "--set", "seed=3", BUDGET_USD="4", USD_PER_HOUR="0.44", MIRROR="s3://b/r"
    )
    assert done.returncode == 0, done.stderr
    settings = "--set seed=3 --set budget.usd=4 --set budget.usd_per_hour=0.44 --set training.mirror=s3://b/r"
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"train quickstart {settings} --dry-run",
        f"train quickstart {settings} --resume --out {tmp_path}/runs/one",
    ]


def test_without_a_mirror_it_resumes_only_where_there_is_a_run(tmp_path, recorder):
    run(tmp_path, recorder, "quickstart")
    (tmp_path / "runs" / "one").mkdir()
    (tmp_path / "runs" / "one" / "recipe.yaml").touch()
    run(tmp_path, recorder, "quickstart")
    begun, resumed = (line for line in (tmp_path / "calls").read_text().splitlines() if "--dry-run" not in line)
    assert begun == f"train quickstart --out {tmp_path}/runs/one"
    assert resumed == f"train quickstart --resume --out {tmp_path}/runs/one"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"BUDGET_USD": "4"}, "give USD_PER_HOUR as well"),
        ({"NEED_GB": "100000000"}, "GB of disk are free and 100000000 are needed"),
        ({"ALLOW_CPU": "0"}, "There is no GPU here"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_paid_for(tmp_path, recorder, variables, said):
    if "ALLOW_CPU" in variables and shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU")
    done = run(tmp_path, recorder, "quickstart", **variables)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "calls").exists()
    assert run(tmp_path, recorder).returncode == 2  # no recipe


@pytest.mark.parametrize("code", [2, 3, 130])
def test_the_code_of_the_run_is_that_of_the_script(tmp_path, code):
    frugalrl = command(tmp_path / "frugalrl", f'case "$*" in *--dry-run) exit 0 ;; esac\nexit {code}')
    assert run(tmp_path, frugalrl, "quickstart").returncode == code


def test_a_notice_reaches_the_run_which_ends_in_its_own_time(tmp_path):
    """A spot machine's SIGTERM goes to the script; the run saves for a second, and its code is the script's."""
    body = f'case "$*" in *--dry-run) exit 0 ;; esac\ntrap "sleep 1; touch {tmp_path}/saved; exit 130" TERM\n'
    frugalrl = command(tmp_path / "frugalrl", f"{body}touch {tmp_path}/begun\nwhile :; do sleep 0.1; done")
    variables = {
        **os.environ,
        "FRUGALRL": str(frugalrl),
        "ALLOW_CPU": "1",
        "NEED_GB": "0",
        "OUT": str(tmp_path / "one"),
    }
    with subprocess.Popen(["sh", str(CLOUD / "train.sh"), "quickstart"], env=variables) as script:
        until = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < until:
            time.sleep(0.05)
        script.send_signal(signal.SIGTERM)
        assert script.wait(60) == 130
    assert (tmp_path / "saved").exists()


def test_a_whole_run_comes_home(tmp_path):
    """The tiny model, and the command of this environment; a fresh machine is in training/test_mirror.py."""
    frugalrl = command(tmp_path / "frugalrl", f'exec {sys.executable} -m frugalrl "$@"')
    settings = {
        "training.steps": 1,
        "rollout.prompts_per_step": 2,
        "rollout.max_completion_tokens": 24,
        "data.validation.limit": 4,
        "data.test": "null",
        "evaluation.samples_per_problem": 1,
    }
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    mirror = {"MIRROR": f"file://{tmp_path}/store", "BUDGET_USD": "1", "USD_PER_HOUR": "0.5"}
    done = run(tmp_path, frugalrl, "quickstart", *arguments, **mirror)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the run begins" in done.stdout
    with tarfile.open(tmp_path / "runs" / "one-home.tar.gz") as packed:
        names = set(packed.getnames())
    home = {"model/model.safetensors", "report.html", "metrics.jsonl", "recipe.yaml", "summary.json"}
    assert {f"one/{name}" for name in home} <= names
    assert not any("checkpoints" in name or "/." in name for name in names)
    assert {f"store/{name}" for name in home} <= {
        path.relative_to(tmp_path).as_posix() for path in (tmp_path / "store").rglob("*")
    }
