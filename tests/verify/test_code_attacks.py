"""Programs that try to pass without solving the problem, or to harm the machine. None does either."""

# ruff: noqa: E501 (an attack a line)

import os
import socket
import threading
from pathlib import Path

import pytest

from frugalrl.verify.code.checker import CallTests, PrintTests, run_tests
from frugalrl.verify.code.sandbox import Limits, isolation_problem
from tests.processes import below, command_of

pytestmark = [
    pytest.mark.usefixtures("orphans_come_here"),
    pytest.mark.skipif(isolation_problem() is not None, reason=f"no sandbox here: {isolation_problem()}"),
]

# A program that manages to do harm returns the right answer, so that a pass would show it.
HARM = """
import os, sys, ctypes
def try_it():
    {attempt}
try:
    harmed = bool(try_it())
except BaseException:
    harmed = False
def add(a, b):
    return a + b if harmed else None
"""

HARMFUL = {
    "read a file outside": "return open(SECRET).read()",
    "read the home folder": "return [name for home in ('/root', '/home') if os.path.isdir(home) for name in os.listdir(home) if name not in sys.base_prefix.split('/')]",
    "read the password file": "return open('/etc/shadow').read() or open('/etc/passwd').read()",
    "write outside": "open(FOLDER + '/planted', 'w').write('x'); return True",
    "write into the system": "open('/usr/planted', 'w').write('x'); return True",
    "write into the interpreter": "open(os.path.dirname(os.__file__) + '/planted.py', 'w').write('x'); return True",
    "write into the root folder": "open('/planted', 'w').write('x'); return True",
    "write into shared memory": "open('/dev/shm/planted', 'w').write('x'); return True",
    "delete the system": "os.remove('/usr/bin/env'); return True",
    "reach a local server": "import socket; socket.create_connection(('127.0.0.1', PORT), 1); return True",
    "reach the internet": "import socket; socket.create_connection(('1.1.1.1', 53), 1); return True",
    "reach an abstract socket": "import socket; socket.socket(socket.AF_UNIX).connect('\\0frugalrl-test-PORT'); return True",
    "read the environment": "return any('CANARY' in value for value in os.environ.values())",
    "read another's environment": "return any(b'CANARY' in open(f'/proc/{p}/environ', 'rb').read() for p in os.listdir('/proc') if p.isdigit())",
    "see the host's processes": "return str(HOST) in os.listdir('/proc')",
    "read the tests from a command line": "return any(b'add(1, 2)' in open(f'/proc/{p}/cmdline', 'rb').read() for p in os.listdir('/proc') if p.isdigit())",
    "find the tests in memory": "import gc; return any('add(1' + ', 2)' in o for o in gc.get_objects() if isinstance(o, str))",
    "find the tests in the frames": "f = sys._getframe()\n    while f:\n        if 'add(1' + ', 2)' in repr(f.f_locals).replace('find', ''): return True\n        f = f.f_back",
    "become root again": "os.setuid(0); return os.getuid() == 0 and os.access('/etc/shadow', os.R_OK)",
    "make a user namespace": "return ctypes.CDLL(None).unshare(0x10000000) == 0",
    "mount": "return ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "trace a process": "return ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
    "use the kernel's keyring": "return ctypes.CDLL(None).syscall({'x86_64': 250, 'aarch64': 219}[os.uname().machine], 0, -3, 1) >= 0",
    "leave through /proc/1/root": "return os.path.exists('/proc/1/root' + SECRET)",
    "raise its own limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40)); return True",
    "fill the disk": "f = open('/tmp/full', 'wb')\n    for _ in range(200): f.write(b'x' * (1 << 20))\n    return True",
    "fill the disk with many files": "for n in range(200): open(f'/tmp/{n}', 'wb').write(b'x' * (1 << 20))\n    return True",
    "take all memory": "hog = [bytearray(1 << 20) for _ in range(4096)]; return len(hog) == 4096",
    "start a hundred processes": "return all(os.fork() >= 0 for _ in range(100))",
    "start a thousand threads": "import threading, time; [threading.Thread(target=time.sleep, args=(2,)).start() for _ in range(1000)]; return True",
}

CHEATING = {
    "leave before the tests": "import sys; sys.exit(0)",
    "leave at once": "import os; os._exit(0)",
    "leave in the call": "import os\ndef add(a, b): os._exit(0)",
    "raise SystemExit in the call": "def add(a, b): raise SystemExit(0)",
    "equal to everything": "class E:\n    def __eq__(self, o): return True\n    def __bool__(self): return True\ndef add(a, b): return E()",
    "an int equal to everything": "class E(int):\n    def __eq__(self, o): return True\ndef add(a, b): return E(-1)",
    "patch the assertion": "import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})\ndef add(a, b): return 0",
    "patch comparison": "import builtins, operator\noperator.eq = lambda a, b: True\nbuiltins.int.__eq__ = lambda a, b: True\ndef add(a, b): return 0",
    "shadow what the tests use": "def abs(x): return 0\ndef set(x): return 0\ndef add(a, b): return 99",
    "swallow errors with a hook": "import sys\nsys.excepthook = lambda *a: None\ndef add(a, b): return 0",
    "print that it passed": 'print(\'{"passed": 2, "run": 2}\')\ndef add(a, b): return 0',
    "write a report to every file": 'import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"nonce": "", "passed": 2, "run": 2, "calls": 2}\')\n    except OSError: pass\ndef add(a, b): return 0',
    "write noise to every file": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'\\xff' * 4096)\n    except OSError: pass",
    "announce a huge message": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'\\x7f\\xff\\xff\\xff')\n    except OSError: pass",
    "return something huge": "def add(a, b): return list(range(10**8))",
    "return something deep": "def add(a, b):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x",
    "never return": "def add(a, b):\n    while True: pass",
    "never load": "while True: pass",
    "sleep": "import time; time.sleep(60)",
    "recurse": "def add(a, b): return add(a, b)",
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "endless output": "import sys\nwhile True: sys.stdout.write('x' * 65536)",
    "kill everything": "import os, signal\nos.kill(-1, signal.SIGKILL)\nos.kill(os.getppid(), signal.SIGKILL)",
    "kill the group": "import os, signal\nos.killpg(0, signal.SIGKILL)",
    "leave a daemon behind": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\nos._exit(0)",
    "crash the interpreter": "import ctypes; ctypes.string_at(0)",
    "a source that chokes the parser": "x = " + "(" * 10_000,
    "a null byte": "def add(a, b): return a + b\0",
    "nan": "def add(a, b): return float('nan')",
    "close its pipes": "import os\nfor fd in range(3, 64):\n    try: os.close(fd)\n    except OSError: pass\ndef add(a, b): return a + b",
}


NEVER_END = {"never return", "never load", "sleep", "fork bomb", "endless output"}
"""Which use up whatever time they are given."""


@pytest.fixture
def limits(name):
    return Limits(wall_seconds=0.4 if name in NEVER_END else 1.0)


@pytest.fixture(scope="module")
def server():
    """A local server and an abstract socket that count who reaches them."""
    reached = []
    inet, abstract = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    port = inet.getsockname()[1]
    abstract.bind(f"\0frugalrl-test-{port}")
    abstract.listen()

    def wait_on(listener):
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            connection.close()
            reached.append(address)

    for listener in (inet, abstract):
        threading.Thread(target=wait_on, args=(listener,), daemon=True).start()
    yield port, reached
    for listener in (inet, abstract):
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_program_harms_nothing(name, limits, server, tmp_path, monkeypatch):
    monkeypatch.setenv("FRUGALRL_TEST_SECRET", "CANARY")
    port, reached = server
    secret = tmp_path / "secret"
    secret.write_text("CANARY")
    attempt = HARMFUL[name].replace("PORT", str(port)).replace("SECRET", repr(str(secret)))
    attempt = attempt.replace("FOLDER", repr(str(tmp_path))).replace("HOST", str(os.getpid()))
    tests = CallTests(("assert add(1, 2) == 3",), "", "")
    assert run_tests(HARM.format(attempt=attempt), tests, limits).passed == 0
    assert reached == []
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert not any(Path(place, "planted").exists() for place in ("/", "/usr", "/dev/shm"))


@pytest.mark.parametrize("name", CHEATING)
def test_a_cheating_program_passes_nothing(name, limits):
    tests = CallTests(("assert abs(add(1, 2)) == 3", "assert {add(2, 2)} == set([4])"), "", "")
    assert run_tests(CHEATING[name], tests, limits).passed == 0
    check = CallTests(("def check(candidate):\n    assert candidate(1, 2) == 3",), "", "add")
    assert run_tests(CHEATING[name], check, limits).passed == 0


@pytest.mark.parametrize("name", ["endless output", "fork bomb", "leave at once", "take all memory"])
def test_a_program_that_prints_cannot_cheat_either(name, limits):
    program = CHEATING.get(name) or HARM.format(attempt=HARMFUL[name])
    assert run_tests(program, PrintTests((("", "3"),)), limits).passed == 0


def test_nothing_is_left_running():
    assert [pid for pid in below(os.getpid()) if b"serve_solution" in command_of(pid)] == []


MALFORMED = {"a source that chokes the parser", "a null byte"}


@pytest.mark.parametrize("name", [*HARMFUL, *(name for name in CHEATING if name not in MALFORMED)])
def test_every_attack_is_a_real_program(name):
    """A typing mistake in an attack would fail it for the wrong reason."""
    source = CHEATING.get(name) or HARM.format(attempt=HARMFUL[name].replace("PORT", "1").replace("HOST", "1"))
    compile(source, "attack", "exec")


@pytest.mark.parametrize("name", ["read a file outside", "reach a local server", "see the host's processes"])
def test_the_same_attack_succeeds_without_the_sandbox(name, server, tmp_path):
    """The control: what the tests above look for is really there to be found."""
    secret = tmp_path / "secret"
    secret.write_text("CANARY")
    attempt = HARMFUL[name].replace("PORT", str(server[0])).replace("SECRET", repr(str(secret)))
    program = HARM.format(attempt=attempt.replace("HOST", str(os.getpid())))
    tests, limits = CallTests(("assert add(1, 2) == 3",), "", ""), Limits(wall_seconds=120.0)
    assert run_tests(program, tests, limits, isolated=False).passed == 1
    server[1].clear()


def test_an_honest_program_passes_the_tests_of_the_cheats():
    tests = CallTests(("assert abs(add(1, 2)) == 3", "assert {add(2, 2)} == set([4])"), "", "")
    assert run_tests("def add(a, b): return a + b", tests, Limits(wall_seconds=120.0)).passed == 2


def test_there_are_enough_attacks():
    assert len(HARMFUL) + len(CHEATING) >= 25
