"""The benchmark of one GPU runs whole at toy size on a CPU: what it says there can be checked."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpu_parts.rows import Row
from gpu_parts.targets import evaluated

ROOT = Path(__file__).parents[2]


def test_every_measurement_runs_at_toy_size(tmp_path):
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "tests.benchmarks.forked_runs", "--toy", "--device", "cpu", "--repeats", "1"]
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT / "benchmarks", ROOT)))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--out", str(out)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads(out.read_text())
    assert record["errors"] == {}
    rows = {(row["part"], row["what"]): row for row in record["rows"]}
    for what in ("weights equal when run again", "weights equal after a kill and a resume"):
        assert rows["runs", what]["value"] == 1
    assert rows["exactness", "completions equal in another batch"]["value"] == 1
    assert rows["exactness", "engine - trainer, largest"]["value"] < 1e-4
    assert "NaN" in rows["faults", "NaN in the weights is said, and the device works on"]["note"]
    rates = [row for row in record["rows"] if row["unit"] == "TFLOP/s"]
    assert rates
    assert all(0 < row["share_of_limit"] < 1 for row in rates)
    needs_a_gpu = {row["what"] for row in record["rows"] if math.isnan(row["value"]) and row["part"] != "decode"}
    assert needs_a_gpu - {"token, 4 rows, width 16"} == {"peak by phase", "no memory in a rollout"}
    predicted = {row["part"]: row["predicted"] for row in record["rows"] if row["predicted"] is not None}
    assert predicted.keys() == {"decode", "update", "runs", "checkpoint"}
    size = rows["checkpoint", "size"]
    assert size["value"] == pytest.approx(size["predicted"], rel=0.1)
    outcomes = {target["what"].split(":")[0].split()[0]: target["outcome"] for target in record["targets"]}
    assert outcomes == {
        "decode": "not measured", "update": "not measured", "peak": "not measured", "steps": "met"
    }  # fmt: skip


def a_gpus_rows(decode=(10.0, 6.5), update=40.0, peak=39.0, resumed=1.0):
    """Milliseconds at a limit of 6, TFLOP/s of 100, GB of 40 predicted."""
    return [
        *(
            Row("decode", f"token, 72 rows, width {w}", ms, "ms", 8.0, 6.0)
            for w, ms in zip((512, 4096), decode, strict=True)
        ),
        Row("decode", "token, 1 rows, width 512", 60.0, "ms", 5.0, 0.6),
        Row("update", "update of 8,192 tokens, matrix rate", update, "TFLOP/s", 30.0, 100.0),
        Row("memory", "peak of update", peak, "GB", 40.0),
        Row("runs", "weights equal after a kill and a resume", resumed, "", 1.0, 1.0),
    ]


@pytest.mark.parametrize(
    ("changes", "outcomes"),
    [
        ({}, ["met", "met", "met", "met"]),
        ({"decode": (10.1, 6.5)}, ["not met", "met", "met", "met"]),
        ({"decode": (math.nan, 6.5)}, ["not measured", "met", "met", "met"]),
        ({"update": 39.9}, ["met", "not met", "met", "met"]),
        ({"peak": 35.9}, ["met", "met", "not met", "met"]),
        ({"peak": 44.1}, ["met", "met", "not met", "met"]),
        ({"resumed": 0.0}, ["met", "met", "met", "not met"]),
    ],
)
def test_a_target_is_met_by_the_worst_number_of_it_and_by_nothing_that_is_missing(changes, outcomes):
    assert [target.outcome for target in evaluated(a_gpus_rows(**changes), True, 72)] == outcomes
    on_a_cpu = [target.outcome for target in evaluated(a_gpus_rows(**changes), False, 72)]
    assert on_a_cpu == ["not measured"] * 3 + outcomes[3:]
    assert [target.outcome for target in evaluated([], True, 72)] == ["not measured"] * 4
