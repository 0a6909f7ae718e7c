"""Threads are chosen before torch is loaded, within what a container grants, and never against the user."""

import os
import subprocess
import sys

import pytest

from frugalrl.threads import SPIN_COUNT, granted_cores, own_cores, settle_threads


@pytest.mark.parametrize(
    ("text", "cores"),
    [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1), ("99900000 100000", None), ("", None)],
)
def test_the_quota_of_a_container_bounds_the_cores(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    assert granted_cores(tmp_path / "cpu.max") == (cores or own_cores())
    assert granted_cores(tmp_path / "absent") == own_cores()


def test_what_the_user_has_set_stays(tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000")
    given = {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "7"}
    settled = dict(given)
    settle_threads(settled, tmp_path / "cpu.max")
    assert settled == given
    settled = {"GOMP_SPINCOUNT": "5"}
    settle_threads(settled, tmp_path / "absent")
    assert settled == {"GOMP_SPINCOUNT": "5"}


def test_a_quota_below_the_cores_sets_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr("frugalrl.threads.own_cores", lambda: 64)
    (tmp_path / "cpu.max").write_text("250000 100000")
    settled = {}
    settle_threads(settled, tmp_path / "cpu.max")
    assert settled == {"GOMP_SPINCOUNT": SPIN_COUNT, "OMP_NUM_THREADS": "2"}


def test_a_command_settles_them_before_torch_is_loaded():
    code = (
        "import os, sys\n"
        "from frugalrl.cli import main\n"
        "assert main(['train', 'quickstart', '--dry-run']) == 0\n"
        "assert 'torch' in sys.modules\n"
        "sys.exit(0 if os.environ['GOMP_SPINCOUNT'] == '1000' else 1)\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == 0, done.stderr
