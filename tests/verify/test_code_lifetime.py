"""Sandboxes end with the process that started them, however it ends, and programs do not share limits."""

import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from frugalrl.verify.code.checker import CallTests, PrintTests, code_rewards, code_settings, code_verdicts, run_tests
from frugalrl.verify.code.sandbox import Limits, isolation_problem
from frugalrl.verify.code.users import UserLeases, user_leases
from frugalrl.verify.reasons import LIMIT_REASONS
from tests.processes import below, command_of, crowded
from tests.verify.test_code import fenced, problem

pytestmark = pytest.mark.usefixtures("orphans_come_here")
needs_sandbox = pytest.mark.skipif(isolation_problem() is not None, reason=f"no sandbox here: {isolation_problem()}")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user, or lease user ids")
ADD = CallTests(("assert add(1, 2) == 3",), "", "")
PATIENT = Limits(wall_seconds=120.0)

SCORER = """
import sys
from frugalrl.verify.code.checker import CallTests, run_tests
from frugalrl.verify.code.sandbox import Limits
print("ready", flush=True)
run_tests(sys.argv[1], CallTests(("assert add(1, 2) == 3",), "", ""), Limits(wall_seconds=600.0), sys.argv[2] == "yes")
"""
MARK = "x_lifetime_test"
ENDLESS = {
    "computes": "while True: pass",
    "sleeps": "import time; time.sleep(600)",
    "forgets its parent": "import ctypes\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\nwhile True: pass",
    "ignores signals": "import signal, time\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\nwhile True: time.sleep(1)",
    "leaves a daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    "        for n in range(64):\n            try: os.close(n)\n            except OSError: pass\n"
    "        time.sleep(600)\n    os._exit(0)\nos.wait()\ntime.sleep(600)",
    "closes its files": "import os, time\nfor n in range(64):\n    try: os.close(n)\n    except OSError: pass\n"
    "time.sleep(600)",
    "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "stops its parent": "import os, signal, time\ntry: os.kill(os.getppid(), signal.SIGSTOP)\nexcept OSError: pass\n"
    "time.sleep(600)",
}


def sandboxed_processes() -> set[int]:
    """Of this test's: below this process, to which orphans come too."""
    commands = {pid: command_of(pid) for pid in below(os.getpid())[1:]}
    return {pid for pid, command in commands.items() if b"serve_solution()" in command or b"grade(" in command}


def wait_for(condition, seconds=20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@functools.cache
def interpreter_for(user: int | None) -> str | None:
    """One that the user may run: this one, or the system's, which has all that a scorer imports."""
    names = [os.path.realpath(sys.executable)] if user is None else [shutil.which("python3", path="/usr/bin:/bin")]
    for name in filter(None, names):
        command = [
            name,
            "-c",
            "import sys; from frugalrl.verify.code import checker; assert sys.version_info >= (3, 11)",
        ]
        try:
            if subprocess.run(command, **started_as(user), stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return name
        except OSError:
            continue
    return None


def started_as(user: int | None) -> dict:
    source = str(Path(__file__).parents[2] / "src")
    environment = {
        "PYTHONPATH": os.pathsep.join([source, *sys.path]) if user is None else source,
        "PATH": os.environ["PATH"],
        "TMPDIR": tempfile.gettempdir(),
    }
    return {
        "env": environment,
        "cwd": "/",
        **({} if user is None else {"user": user, "group": user, "extra_groups": []}),
    }


def kill_a_scorer(program: str, isolated: bool, user: int | None, place: Path) -> tuple[set[int], list[Path]]:
    """Processes and folders that are left of a scorer that was killed while it ran the program."""
    python = interpreter_for(user)
    if python is None:
        pytest.skip("no Python that an ordinary user may run")
    command = [python, "-c", SCORER, program, "yes" if isolated else "no"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **started_as(user)) as scorer:
        assert scorer.stdout is not None
        assert scorer.stdout.readline() == "ready\n"
        started = wait_for(lambda: len(sandboxed_processes()) >= 2)
        time.sleep(0.5)  # into the program
        scorer.send_signal(signal.SIGKILL)
    assert started, "the control: there was something to kill"
    wait_for(lambda: not sandboxed_processes())
    return sandboxed_processes(), list(place.iterdir())


@needs_sandbox
@pytest.mark.parametrize("name", ENDLESS)
def test_nothing_outlives_a_scorer_that_is_killed(name, own_tmp):
    assert kill_a_scorer(ENDLESS[name], True, None, own_tmp) == (set(), [])


@needs_sandbox
@as_root
@pytest.mark.parametrize("name", ["computes", "forgets its parent", "leaves a daemon", "stops its parent"])
def test_nothing_outlives_an_ordinary_users_scorer(name, own_tmp):
    assert kill_a_scorer(ENDLESS[name], True, 65_534, own_tmp) == (set(), [])


@pytest.mark.parametrize("name", ["computes", "sleeps", "forgets its parent", "leaves a daemon", "stops itself"])
def test_nothing_outlives_a_scorer_without_a_sandbox(name, own_tmp):
    assert kill_a_scorer(ENDLESS[name], False, None, own_tmp) == (set(), [])


@needs_sandbox
@pytest.mark.parametrize("isolated", [True, False])
@pytest.mark.parametrize("name", ENDLESS)
def test_a_stopped_program_leaves_nothing_behind(name, isolated, own_tmp):
    if not isolated and name == "stops its parent":
        pytest.skip("without a sandbox a program can stop its guard")
    outcome = run_tests(ENDLESS[name], ADD, Limits(wall_seconds=0.5, wall_factor=60.0), isolated)
    assert outcome.passed == 0
    assert not outcome.is_undecided
    assert wait_for(lambda: not sandboxed_processes())
    assert list(own_tmp.iterdir()) == []


# ------------------------------------------------------------------------------------------- limits of each

FIVE_THREADS = """
import threading, time
def add(a, b):
    threads = [threading.Thread(target=time.sleep, args=(0.5,)) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return a + b
"""


@needs_sandbox
@pytest.mark.parametrize("user", [None, pytest.param(65_534, marks=as_root)])
def test_programs_with_threads_pass_beside_other_scorers(user):
    """Three scorers with two programs each; under one id any two of them would exceed eight processes."""
    python = interpreter_for(user)
    if python is None:
        pytest.skip("no Python that an ordinary user may run")
    script = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from frugalrl.verify.code.checker import CallTests, run_tests\n"
        "from frugalrl.verify.code.sandbox import Limits\n"
        "tests, limits = CallTests(('assert add(1, 2) == 3',), '', ''), Limits(wall_seconds=120.0)\n"
        "with ThreadPoolExecutor(2) as threads:\n"
        "    print(*[one.reason for one in threads.map(lambda _: run_tests(sys.argv[1], tests, limits), range(4))])\n"
    )

    def scorer(_number: int) -> str:
        command = [python, "-c", script, FIVE_THREADS]
        done = subprocess.run(command, capture_output=True, text=True, check=True, **started_as(user))
        return done.stdout.strip()

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(scorer, range(3))) == ["passed passed passed passed"] * 3


@as_root
def test_a_user_id_is_held_by_one_process_at_a_time():
    """Two processes that may draw from three ids: what one holds the other does not get."""
    leases = user_leases()
    user = leases.take()
    script = (
        "import sys\n"
        "from frugalrl.verify.code.users import UserLeases, _open_lock\n"
        "print(sorted(UserLeases(range(int(sys.argv[1]), int(sys.argv[1]) + 3), _open_lock()).take() for _ in [0]))\n"
        "leases = UserLeases(range(int(sys.argv[1]), int(sys.argv[1]) + 1), _open_lock())\n"
        "try: leases.take()\n"
        "except OSError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(user)], capture_output=True, text=True, check=True)
    drawn, refused = done.stdout.splitlines()
    assert drawn in (f"[{user + 1}]", f"[{user + 2}]")
    assert refused == "every user id for sandboxes is taken"
    leases.give_back(user)
    assert UserLeases(range(user, user + 1), leases._lock_fd).take() == user


REFUSED = {
    "memory": ("def add(a, b):\n    return len([bytearray(1 << 20) for _ in range(4096)])", "memory_limit"),
    "memory at once": ("hog = bytearray(1 << 40)\ndef add(a, b): return 3", "memory_limit"),
    "threads": (FIVE_THREADS.replace("range(5)", "range(50)"), "process_limit"),
    "processes": ("import os, time\ndef add(a, b):\n    for _ in range(50):\n        if os.fork() == 0: time.sleep(5)\n"
                  "    return 3", "process_limit"),
    "memory in a thread": ("import threading\ndef add(a, b):\n    thread = threading.Thread(target=bytearray, "
                           "args=[1 << 40])\n    thread.start(); thread.join(); return 0", "memory_limit"),
    "behind another error": ("def add(a, b):\n    try: bytearray(1 << 40)\n    except MemoryError: raise ValueError",
                             "memory_limit"),
    "disk": ("def add(a, b):\n    with open('/tmp/f', 'wb') as f:\n        for _ in range(99): f.write(bytes(2**20))",
             "disk_limit"),
    "many files": ("def add(a, b): return len([open(f'/tmp/{n}', 'w') for n in range(200)])", "disk_limit"),
    "killed from outside": ("import os\ndef add(a, b): os.kill(os.getpid(), 9)", "killed"),
}  # fmt: skip


@needs_sandbox
@pytest.mark.parametrize("name", REFUSED)
def test_what_a_limit_refused_is_unknown_and_never_incorrect(name):
    source, reason = REFUSED[name]
    outcome = run_tests(source, ADD, PATIENT)
    assert (outcome.passed, outcome.reason, outcome.is_undecided) == (0, reason, True)
    assert reason in LIMIT_REASONS
    task = problem(test_list=["assert add(1, 2) == 3"])
    [verdict] = code_verdicts([fenced(source)], task, False)
    assert (verdict.label, verdict.reason) == ("unknown", reason)
    assert code_rewards([fenced(source)], task, False, code_settings()) == [None]


@needs_sandbox
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = bytearray(1 << 40)", "memory_limit"),
        (
            "import threading, time\nfor _ in range(50): threading.Thread(target=time.sleep, args=(9,)).start()",
            "process_limit",
        ),
        ("import os; os.kill(os.getpid(), 9)", "killed"),
    ],
)
def test_a_program_that_prints_is_not_blamed_for_limits_either(source, reason):
    outcome = run_tests(source, PrintTests((("", "3"),)), PATIENT)
    assert (outcome.reason, outcome.is_undecided) == (reason, True)


@needs_sandbox
@pytest.mark.parametrize(
    "source",
    [
        "def add(a, b):\n    try: return len(bytearray(1 << 40))\n    except MemoryError: return 4",
        "def add(a, b): return add(a, b)",
        "def add(a, b): raise RuntimeError('process_limit')",
        "class memory_limit(Exception): pass\ndef add(a, b): raise memory_limit",
    ],
    ids=["catches MemoryError", "recurses", "says so in words", "names an error so"],
)
def test_a_wrong_answer_stays_wrong(source):
    outcome = run_tests(source, ADD, PATIENT)
    assert (outcome.passed, outcome.is_undecided) == (0, False)


@needs_sandbox
def test_a_program_that_the_machine_starves_is_not_out_of_time():
    """0.4 s of work in a second of its own time, beside so many others that it takes several by the clock."""
    work = "import time\ndef add(a, b):\n    while time.process_time() < 0.4: pass\n    return a + b"
    with crowded(6):
        started = time.monotonic()
        outcome = run_tests(work, ADD, Limits(wall_seconds=1.0))
        seconds = time.monotonic() - started
    assert outcome.reason == "passed"
    if seconds <= 1.0:
        pytest.skip(f"the machine gave the program a core all the same ({seconds:.2f} s by the clock): nothing shown")


@needs_sandbox
def test_the_backstop_by_the_clock_gives_no_verdict():
    outcome = run_tests("import time; time.sleep(60)", ADD, Limits(wall_seconds=5.0, wall_factor=0.1))
    assert (outcome.reason, outcome.is_undecided) == ("wall_limit", True)
