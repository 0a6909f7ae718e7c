"""Servers that a run launches: started, ended with everything they started, brought back, never left behind."""

import copy
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from frugalrl.errors import ModelError
from frugalrl.rollout.engine import RolloutRequest, SamplingParams, SharedModel
from frugalrl.rollout.server.launch import LaunchedServer, LaunchPlan
from frugalrl.rollout.server.member import Limits, Member
from frugalrl.rollout.server.transfer import FolderTransfer
from frugalrl.rollout.torch_engine import TorchEngine
from frugalrl.rollout.vllm_engine import ProbeSettings, VllmEngine
from tests.rollout.fake_vllm import fake_server

# Like vLLM: an API process, an engine in its group, and a worker that left the group and ignores SIGTERM.
_FAMILY = """
import os, signal, subprocess, sys, time
ignoring = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
children = [
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"]),
    subprocess.Popen([sys.executable, "-S", "-c", ignoring], start_new_session=True),
]
with open(PIDS + ".new", "w") as file:
    file.write(" ".join(map(str, [os.getpid(), *(child.pid for child in children)])))
os.rename(PIDS + ".new", PIDS)
print("loading weights", flush=True)
if FAILS:
    sys.exit("RuntimeError: out of memory")
time.sleep(300)
"""


def family(folder: Path, fails: bool = False) -> tuple[LaunchPlan, Path]:
    """The plan of a server that is a family of processes, and the file with their ids."""
    pids, script, python = folder / "pids", folder / "family.py", folder / "env" / "bin" / "python"
    script.write_text(f"PIDS, FAILS = {str(pids)!r}, {fails}\n{_FAMILY}", encoding="utf-8")
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -S {script}\n", encoding="utf-8")
    python.chmod(0o755)
    log = folder / "run" / "server-0.log"
    return LaunchPlan(folder / "env", "m", None, "float32", 10, None, (), log), pids


def ids_in(file: Path) -> list[int]:
    until = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.02)
    return [int(pid) for pid in file.read_text().split()]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while any(map(lives, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(lives, pids))


def test_a_server_ends_with_all_that_it_started(tmp_path):
    plan, file = family(tmp_path)
    server = LaunchedServer(plan)
    url = server.start()
    pids = ids_in(file)
    assert url.startswith("http://127.0.0.1:")
    assert server.is_running
    assert all(map(lives, pids))
    server.end()
    assert not any(map(lives, pids))
    assert not server.is_running
    with pytest.raises(ModelError, match="after the end of the run"):
        server.start()


def test_a_killed_run_leaves_no_server_behind(tmp_path):
    """SIGKILL leaves the run no time to end anything."""
    plan, file = family(tmp_path)
    code = (
        "from pathlib import Path, PosixPath\n"
        "from frugalrl.rollout.server.launch import LaunchedServer, LaunchPlan\n"
        f"LaunchedServer({plan!r}).start()\n"
        "import time; time.sleep(300)"
    )
    run = subprocess.Popen([sys.executable, "-c", code])
    try:
        pids = ids_in(file)
        assert all(map(lives, pids))
    finally:
        run.kill()
        run.wait()
    assert gone(pids)


def test_when_its_api_process_is_killed_nothing_of_a_server_is_left(tmp_path):
    """vLLM's engine and workers survive it, and hold the GPU's memory."""
    plan, file = family(tmp_path)
    server = LaunchedServer(plan)
    server.start()
    pids = ids_in(file)
    os.kill(pids[0], signal.SIGKILL)
    assert gone(pids)
    until = time.monotonic() + 10
    while server.is_running and time.monotonic() < until:
        time.sleep(0.02)
    assert not server.is_running
    server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path):
    plan, file = family(tmp_path, fails=True)
    server = LaunchedServer(plan)
    server.start()
    with pytest.raises(ModelError, match=r"(?s)ended while it started.*server-0.log.*loading weights.*out of memory"):
        server.wait_until(lambda: False, 20)
    server.stop()
    assert gone(ids_in(file))


def test_a_server_that_takes_too_long_is_an_error(tmp_path):
    plan, _ = family(tmp_path)
    server = LaunchedServer(plan)
    server.start()
    with pytest.raises(ModelError, match=r"not ready after 0.5 seconds"):
        server.wait_until(lambda: False, 0.5)
    server.stop()


def test_an_environment_that_is_not_there_is_an_error(tmp_path):
    plan, _ = family(tmp_path)
    with pytest.raises(ModelError, match=r"rollout\.engine\.environment"):
        LaunchedServer(LaunchPlan(**{**plan.__dict__, "environment": tmp_path / "nowhere"}))


class InAThread(LaunchedServer):
    """A launched server whose process is a fake one in a thread."""

    def __init__(self, model) -> None:
        self.model, self.stack, self.starts = model, ExitStack(), 0

    @property
    def is_running(self) -> bool:
        return True

    def start(self) -> str:
        self.stop()
        self.starts += 1
        url, self.fake = self.stack.enter_context(fake_server(self.model))
        return url

    def stop(self) -> None:
        self.stack.close()

    def end(self) -> None:
        self.stop()


@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
def test_a_launched_server_that_crashes_is_started_again_with_its_weights(tmp_path, policy, caplog, asleep):
    server, model, ends = InAThread(policy.model), copy.deepcopy(policy.model), policy.end_token_ids
    transfer, limits = FolderTransfer(tmp_path / "weights"), Limits(model.config.vocab_size, 100, 4, 30.0, 30.0, 3)
    member = Member(server, transfer, limits, "float32")
    probe = ProbeSettings(((5, 9, 200),), 100, 2, None, None)
    engine = VllmEngine([member], transfer, ends, 4, "float32", probe, sleeps=asleep)
    engine.begin()
    assert engine.logprobs_are_exact  # before it answers: its dtype is the one it was started with
    model.model.norm.weight.data += 0.01
    engine.load_weights(SharedModel(model), 3)
    requests, sampling = [RolloutRequest((5, 9, 200, 31), (1, 2, 3, 4))], SamplingParams(16)
    (expected,) = TorchEngine(model, ends, 1).generate(requests, sampling)
    for starts in (1, 2):
        (found,) = engine.generate(requests, sampling)
        assert [one.token_ids for one in found] == [one.token_ids for one in expected]
        assert {version for one in found for version in one.policy_versions} == {3}
        assert server.starts == starts
        engine.rest()
        server.fake.is_dead = True
    assert "brought back" in caplog.text
    engine.close()
