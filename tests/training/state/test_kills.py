"""Runs, each killed with SIGKILL at a seeded moment: all end as the run that was left alone.

`python -m tests.training.state.kill_runs FOLDER 20 1` makes the twenty of docs/checkpoints.md: ten more random moments.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

TRIALS = 10
"""One at each of the six places that must be hit, four at random moments."""


def test_killed_runs_end_as_the_run_that_was_left_alone(tmp_path):
    """Same weights, log, samples, evaluations and summary; nothing half-written stays behind.

    The kills fall into rollout, update, evaluation and save, and inside a save on both sides of the rename.
    """
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.state.kill_runs", str(tmp_path), str(TRIALS), "1"],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    phases, *trials = map(json.loads, done.stdout.splitlines())
    assert len(trials) == TRIALS
    assert [trial for trial in trials if trial["differs"]] == []
    assert [trial for trial in trials if not trial["killed_in"]] == []
    hit = {phase for trial in trials for phase in trial["killed_in"]}
    assert hit >= {"rollout", "update", "evaluation"}
    assert hit >= {"save: flushed, not renamed", "save: renamed, not pointed at", "save: rotating"}
    assert phases["phases"]["update"] == 2 * 5  # the update itself, and handing the weights to the engines
