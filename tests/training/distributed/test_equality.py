"""The same run in one, two and four processes, replicated and sharded: completions, loss, gradients, weights."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from frugalrl.config.schema import ModelSettings
from frugalrl.reporting.run_log import read_metrics, without_times
from frugalrl.training.model.policy import load_policy
from frugalrl.training.trainer import train
from tests.rollout.fake_vllm import fake_server
from tests.training.distributed.jobs import NAMES, SERVED, URL, make_all, recipe_of

ROOT = Path(__file__).parents[3]
LAUNCHES = ((2, "sharded", (*NAMES, *SERVED)), (4, "replicated", ("few",)))
"""benchmarks/several_processes.py makes all of them, with torchrun."""
SPLIT = [(name, weights, count) for count, weights, names in LAUNCHES for name in names]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """All runs, in one folder."""
    folder = tmp_path_factory.mktemp("runs")
    launches = [f"{count}:{weights}:{','.join(names)}" for count, weights, names in LAUNCHES]
    command = [sys.executable, "-m", "tests.training.distributed.forking", "jobs", str(folder), *launches]
    with fake_server(load_policy(ModelSettings()).model) as (url, fake), pytest.MonkeyPatch.context() as patched:
        patched.setenv(URL, url)
        make_all(folder, names=(*NAMES, *SERVED))
        fake.restart()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def pair(runs: Path, name: str, weights: str, count: int) -> tuple[Path, Path]:
    return runs / f"{name}-replicated-1", runs / f"{name}-{weights}-{count}"


def largest_difference(one: Path, other: Path) -> float:
    """Of two files of tensors, which hold the same names."""
    left, right = safetensors.torch.load_file(one), safetensors.torch.load_file(other)
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


@pytest.mark.parametrize(("name", "weights", "count"), SPLIT)
def test_the_first_update_has_the_same_loss_and_gradients(runs, name, weights, count):
    one, other = pair(runs, name, weights, count)
    key = "loss/sft" if name == "sft" else "loss/total"
    losses = [next(row for row in read_metrics(run) if key in row) for run in (one, other)]
    assert losses[1][key] == pytest.approx(losses[0][key], rel=1e-6, abs=1e-6)
    assert largest_difference(one.with_suffix(".gradients"), other.with_suffix(".gradients")) < 1e-6


@pytest.mark.parametrize(("name", "weights", "count"), SPLIT)
def test_three_steps_end_with_the_same_weights_and_the_same_files(runs, name, weights, count):
    one, other = pair(runs, name, weights, count)
    assert largest_difference(one / "model" / "model.safetensors", other / "model" / "model.safetensors") < 1e-5
    (newest,) = {max((run / "checkpoints").glob("step-*")).name for run in (one, other)}
    weights = "adapter_model.safetensors" if name in ("lora", "adapters") else "model.safetensors"
    for file in (weights, "training_state/optimizer.safetensors"):
        paths = [run / "checkpoints" / newest / file for run in (one, other)]
        assert largest_difference(*paths) < 1e-5, file
    files = [{str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()} for run in (one, other)]
    assert files[0] == files[1]


@pytest.mark.parametrize(("name", "weights", "count"), [one for one in SPLIT if one[0] != "sft"])
def test_completions_verdicts_and_decisions_are_the_same(runs, name, weights, count):
    """A sampled token would have to lie within rounding of the boundary between two to come out otherwise."""
    one, other = pair(runs, name, weights, count)
    assert (one / "samples.jsonl").read_bytes() == (other / "samples.jsonl").read_bytes()
    summaries = [json.loads((run / "summary.json").read_text()) for run in (one, other)]
    for key in ("kept_step", "steps", "contenders", "difference"):
        assert summaries[0][key] == summaries[1][key]
    for left, right in zip(read_metrics(one), read_metrics(other), strict=True):
        assert left.keys() == right.keys()
        assert without_times(right) == pytest.approx(without_times(left), rel=1e-3, abs=1e-5, nan_ok=True)
    if name == "guard":
        events = [(run / "guard.jsonl").read_bytes() for run in (one, other)]
        assert events[0] == events[1]
        assert b'"rolled_back"' in events[0]


def test_adapters_in_a_sharded_base_resume_in_one_process(runs, tmp_path):
    straight = runs / "lora-sharded-2"
    resumed = shutil.copytree(straight, tmp_path / "lora")
    (resumed / "checkpoints" / "latest").write_text("step-000002")
    recipe = recipe_of("lora", "replicated")
    assert train(recipe, resumed, resumed / "checkpoints" / "step-000002") is not None
    for file in ("adapter_model.safetensors", "training_state/reference.safetensors"):
        paths = [run / "checkpoints" / "step-000003" / file for run in (straight, resumed)]
        assert 0 <= largest_difference(*paths) < 1e-5, file
    assert (resumed / "samples.jsonl").read_bytes() == (straight / "samples.jsonl").read_bytes()


def test_the_cases_are_what_they_are_named_for(runs):
    rows = [row for row in read_metrics(runs / "grpo-replicated-1") if "reward/mean" in row]
    assert any(row["group/refilled"] > 0 for row in rows)
    assert len({row["completion/cap_tokens"] for row in rows}) > 1
    assert any(row["policy/kl"] > 0 for row in rows)
    rows = [row for row in read_metrics(runs / "ahead-sharded-2") if "reward/mean" in row]
    assert [row["policy/staleness"] for row in rows] == [0, 1, 1]
    assert all(0 < row["sync/probe_mean"] < 2e-6 for row in rows), "what is published is what the processes compute"
