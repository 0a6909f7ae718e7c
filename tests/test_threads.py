"""Threads are chosen before torch is loaded, within what a container grants, and never against the user."""

import os
import subprocess
import sys

import pytest

from frugalrl.threads import SPIN_COUNT, granted_cores, settle_threads, threads_line


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Of 64 cores, with these files below its root."""
    monkeypatch.setattr("frugalrl.threads.own_cores", lambda: 64)

    def made(files: dict[str, str]):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return made


CGROUP, V2, V1 = "proc/self/cgroup", "sys/fs/cgroup", "sys/fs/cgroup/cpu"
V1_LINES = "4:memory:/a\n3:cpu,cpuacct:/docker/12:34\n"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 64),
        ({CGROUP: "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, 64),
        ({CGROUP: "0::/\n", f"{V2}/cpu.max": "250000 100000\n"}, 2),
        ({CGROUP: "0::/\n", f"{V2}/cpu.max": "150000 100000\n"}, 1),
        ({CGROUP: "0::/\n", f"{V2}/cpu.max": "50000 100000\n"}, 1),
        ({CGROUP: "0::/\n", f"{V2}/cpu.max": "99900000 100000\n"}, 64),
        ({CGROUP: "0::/\n", f"{V2}/cpu.max": ""}, 64),
        ({CGROUP: "0::/job/step\n", f"{V2}/job/cpu.max": "300000 100000", f"{V2}/job/step/cpu.max": "max 100000"}, 3),
        ({CGROUP: "0::/seen/outside/only\n", f"{V2}/cpu.max": "400000 100000"}, 4),
        ({CGROUP: V1_LINES, f"{V1}/cpu.cfs_quota_us": "-1", f"{V1}/cpu.cfs_period_us": "100000"}, 64),
        ({CGROUP: V1_LINES, f"{V1}/cpu.cfs_quota_us": "500000", f"{V1}/cpu.cfs_period_us": "100000"}, 5),
        (
            {
                CGROUP: V1_LINES,
                f"{V1}/docker/12:34/cpu.cfs_quota_us": "120000",
                f"{V1}/docker/12:34/cpu.cfs_period_us": "20000",
            },
            6,
        ),
        ({CGROUP: "no lines of a kernel\n"}, 64),
    ],
)
def test_the_quota_of_a_control_group_bounds_the_cores(machine, files, cores):
    root = machine(files)
    assert granted_cores(root) == cores
    settled = {}
    settle_threads(settled, root)
    assert settled == {"GOMP_SPINCOUNT": SPIN_COUNT} | ({"OMP_NUM_THREADS": str(cores)} if cores < 64 else {})


def test_what_the_user_has_set_stays(machine):
    root = machine({CGROUP: "0::/\n", f"{V2}/cpu.max": "100000 100000"})
    given = {"OMP_WAIT_POLICY": "active", "OMP_NUM_THREADS": "7"}
    settled = dict(given)
    settle_threads(settled, root)
    assert settled == given


def test_the_user_reads_what_was_chosen_and_whether_it_is_too_many(machine, torch_threads):
    torch_threads(2)
    assert threads_line(machine({})).startswith("Threads: 2, of 64 cores; OMP_NUM_THREADS sets")
    root = machine({CGROUP: "0::/\n", f"{V2}/cpu.max": "150000 100000"})
    assert threads_line(root).startswith(
        "Threads: 2, of 64 cores, 1.5 of which a quota grants; they wait for each other, so fewer are faster; OMP_NUM"
    )
    torch_threads(1)
    assert threads_line(root).startswith("Threads: 1, of 64 cores, 1.5 of which a quota grants; OMP_NUM_THREADS sets")


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
