"""The benchmark of one GPU runs whole at toy size on a CPU: what it says there can be checked."""

import json
import math
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_measurement_runs_at_toy_size(tmp_path):
    out = tmp_path / "gpu.json"
    command = [sys.executable, "benchmarks/gpu.py", "--toy", "--device", "cpu", "--repeats", "1", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=400)
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
