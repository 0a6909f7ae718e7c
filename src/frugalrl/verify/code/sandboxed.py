"""What runs inside the sandboxes of the code reward: the solution's process, and the grader's. Stdlib only.

The text of this module is the script that both are started with; nothing of the package is importable there.
The two are separate processes in separate sandboxes, joined by two pipes: the grader holds the tests and
calls the solution's functions by message. What comes back is rebuilt from exact built-in types, so an object
that is equal to everything, a patched ``assert`` or a ``sys.exit`` stays in the process that made it. A
solution that writes to the pipes itself can only say what it might as well have returned.

Two interpreters start for every program, so a module that one of them may not need is imported where it is needed, and
`typing` not at all: together they took longer than most programs.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import resource
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import Any, BinaryIO

MAX_MESSAGE_BYTES = 8 << 20
_GUARD_MILLISECONDS = 20
REFUSALS = {"memory_limit": 121, "process_limit": 122, "disk_limit": 123}
"""What a limit may refuse a program, by its reason, with the exit status of a whole program that was refused it."""
_REFUSED_BY_ERRNO = {
    errno.ENOMEM: "memory_limit",
    errno.EAGAIN: "process_limit",
    errno.ENOSPC: "disk_limit",
    errno.EFBIG: "disk_limit",
    errno.EDQUOT: "disk_limit",
    errno.EMFILE: "disk_limit",
}
_LARGEST_PLAIN_INT = 1 << 53


class Opaque:
    """What came back of an object that is no data, such as a match of `re`: whether it was true, and no more."""

    def __init__(self, truth: bool) -> None:
        self.truth = truth

    def __bool__(self) -> bool:
        return self.truth


def encode(value: Any) -> Any:
    """A value as JSON: exact types by tag, subclasses as what they derive from, other objects by their truth."""
    if value is None or isinstance(value, bool | str):
        return value if not isinstance(value, str) else str(value)
    if isinstance(value, int):
        return int(value) if abs(value) < _LARGEST_PLAIN_INT else {"int": hex(value)}
    if isinstance(value, float):
        return {"float": float.hex(value)}
    if isinstance(value, complex):
        return {"complex": [float.hex(value.real), float.hex(value.imag)]}
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    for kind in (list, tuple, frozenset, set):
        if isinstance(value, kind):
            return {kind.__name__: [encode(item) for item in value]}
    if isinstance(value, range | type({}.keys()) | type({}.values()) | type({}.items())) or hasattr(value, "__next__"):
        return {"list": [encode(item) for item in value]}
    return {"opaque": bool(value)}


def decode(value: Any) -> Any:
    """The built-in value that JSON from `encode` stands for. Raises ValueError for anything else."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is not dict or len(value) != 1:
        raise ValueError("not an encoded value")
    [(tag, body)] = value.items()
    if tag == "int":
        return int(body, 16)
    if tag == "float":
        return float.fromhex(body)
    if tag == "complex":
        return complex(float.fromhex(body[0]), float.fromhex(body[1]))
    if tag == "bytes":
        return bytes.fromhex(body)
    if tag == "dict":
        return {decode(key): decode(item) for key, item in body}
    if tag == "opaque":
        return Opaque(body is True)
    kinds: dict[str, Any] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
    if tag not in kinds:
        raise ValueError("not an encoded value")
    return kinds[tag](decode(item) for item in body)


def send(pipe: BinaryIO, message: Any) -> None:
    """One message: four bytes of length, JSON."""
    data = json.dumps(message).encode()
    pipe.write(len(data).to_bytes(4, "big") + data)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """The next message. Raises EOFError at the end or within a message, ValueError for one that is too large."""
    head = pipe.read(4)
    if len(head) < 4:
        raise EOFError("the program ended before the tests did")
    size = int.from_bytes(head, "big")
    if size > MAX_MESSAGE_BYTES:
        raise ValueError("a message is too large")
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError("a message ends early")
    return json.loads(data)


def confine(memory_bytes: int, file_bytes: int, cpu_seconds: int, processes: int | None, user: int | None) -> None:
    """Limits of this process and its children; then, if started as root, another user, which drops all rights."""
    limits = [
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CPU, cpu_seconds + 1),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ]
    if processes is not None:
        limits.append((resource.RLIMIT_NPROC, processes))
    for name, value in limits:
        hard = resource.getrlimit(name)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # Processor time ends by SIGXCPU, which nothing else sends; a second more until SIGKILL.
        soft = max(1, bound - 1) if name == resource.RLIMIT_CPU else bound
        resource.setrlimit(name, (soft, bound))
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def leave_if_orphaned(lifeline: int) -> None:
    """In a sandbox: end here if the scorer has ended already. From now on bubblewrap follows it."""
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    if poll.poll(0):
        os._exit(0)
    os.close(lifeline)


def guard(lifeline: int, folder: str) -> None:
    """Without a sandbox: continue in a child. This process waits for it or for the scorer to end, and cleans up.

    As a subreaper it inherits daemonised processes, and kills them too; if the scorer has ended it removes the folder.
    """
    import contextlib
    import ctypes
    import shutil

    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    child = os.fork()
    if child == 0:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: the guard can be killed too
        os.close(lifeline)
        return
    for number in map(int, os.listdir("/proc/self/fd")):  # else the other end of a pipe never sees its end
        if number != lifeline:
            with contextlib.suppress(OSError):
                os.close(number)
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    is_orphaned, status = False, None
    while status is None and not is_orphaned:
        is_orphaned = bool(poll.poll(_GUARD_MILLISECONDS))
        status = _reap(child)
    while _kill_children():
        _reap(child)
    if is_orphaned:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0 if status is None else status)


def _reap(child: int) -> int | None:
    """Collect what has ended; the child's exit status as a shell would give it, if it is among them."""
    import contextlib

    status = None
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, raw = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(raw)
                status = code if code >= 0 else 128 - code
    return status


def _kill_children() -> bool:
    """Whether there were any. Their own children come next: a subreaper inherits them."""
    import contextlib

    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        children = file.read().split()
    for pid in children:
        with contextlib.suppress(OSError):
            os.kill(int(pid), signal.SIGKILL)
    return bool(children)


def refusal(error: BaseException | None) -> str:
    """Which limit an exception comes from, itself or what it was raised from; "" if from none."""
    for _ in range(20):  # a chain may be a ring
        if isinstance(error, MemoryError):
            return "memory_limit"
        if isinstance(error, OSError) and error.errno in _REFUSED_BY_ERRNO:
            return _REFUSED_BY_ERRNO[error.errno]
        if isinstance(error, RuntimeError) and str(error).startswith("can't start new thread"):
            return "process_limit"
        error = None if error is None else error.__cause__ or error.__context__
    return ""


def _note_refusals() -> list[str]:
    """Records what the program's other threads are refused: their exceptions are not visible elsewhere."""
    import threading

    refused: list[str] = []

    def note(arguments: threading.ExceptHookArgs) -> None:
        refused.extend(filter(None, [refusal(arguments.exc_value)]))

    threading.excepthook = note
    return refused


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output under other numbers; print and input then reach nothing."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return incoming, outgoing


def serve_solution() -> None:
    """Run the source that comes first, then answer calls of its functions until the pipe ends."""
    incoming, outgoing = _own_pipes()
    refused = _note_refusals()
    namespace: dict[str, Any] = {"__name__": "solution"}
    try:
        exec(compile(receive(incoming), "solution.py", "exec"), namespace)
    except BaseException as error:  # whatever a program raises while it loads, sys.exit among it
        send(outgoing, {"error": type(error).__name__, "refused": _first_refusal(refused, error)})
        return
    send(outgoing, {"names": [name for name, value in namespace.items() if callable(value)]})
    while True:
        try:
            call = receive(incoming)
        except EOFError:
            return
        try:
            function = namespace[call["name"]]
            result = function(*decode(call["args"]), **decode(call["keywords"]))
            reply = {"value": encode(result), "refused": _first_refusal(refused, None)}
        except BaseException as error:  # the caller is told; the next test may still pass
            reply = {"error": type(error).__name__, "refused": _first_refusal(refused, error)}
        send(outgoing, reply)


def _first_refusal(refused: list[str], error: BaseException | None) -> str:
    return next(iter(refused), "") or refusal(error)


def run_program(source_fd: int) -> None:
    """Run a whole program as ``__main__`` on the real standard input and output."""
    with os.fdopen(source_fd, "rb") as file:
        source = file.read()
    refused = _note_refusals()
    namespace = {"__name__": "__main__", "__builtins__": builtins}
    try:
        exec(compile(source, "solution.py", "exec"), namespace)
    except Exception as error:
        reason = _first_refusal(refused, error)
        if not reason:
            raise
        os._exit(REFUSALS[reason])
    if refused:
        os._exit(REFUSALS[refused[0]])


class Solution:
    """The grader's end of the pipes."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO, source: str, report: dict[str, Any]) -> None:
        self.incoming, self.outgoing, self.report = incoming, outgoing, report
        send(outgoing, source)
        reply = self._reply()
        if "names" not in reply:
            raise EOFError(f"loading raised {str(reply.get('error'))[:80]}")
        self.names = frozenset(map(str, reply["names"]))

    def function(self, name: str) -> Any:
        """A stand-in that calls the solution's function of that name."""

        def call(*args: Any, **keywords: Any) -> Any:
            self.report["calls"] += 1
            send(self.outgoing, {"name": name, "args": encode(args), "keywords": encode(keywords)})
            reply = self._reply()
            if type(reply) is dict and "value" in reply:
                return decode(reply["value"])
            raised = getattr(builtins, str(dict(reply).get("error")), None)
            is_plain = isinstance(raised, type) and issubclass(raised, Exception)
            raise (raised if is_plain else RuntimeError)("raised by the solution")  # type: ignore[misc]

        return call

    def _reply(self) -> Any:
        reply = receive(self.incoming)
        refused = reply.get("refused") if type(reply) is dict else None
        if type(refused) is str and refused in REFUSALS:
            self.report["refused"] = refused
        return reply


def grade(config_fd: int, report_fd: int) -> None:
    """Run the tests against the solution at the other end, and report how many passed, with the nonce."""
    with os.fdopen(config_fd, "rb") as file:
        config = json.loads(file.read())
    incoming, outgoing = _own_pipes()
    report = {"nonce": config["nonce"], "passed": 0, "run": 0, "calls": 0, "reason": "", "refused": ""}
    try:
        solution = Solution(incoming, outgoing, config["source"], report)
        namespace = _test_namespace(config, solution)
        for test in config["tests"]:
            report["run"] += 1
            report["passed"] += _passes(test, namespace, config, solution, report)
    except Exception as error:  # the report must come, whatever the program or a broken test file did
        report["reason"] = f"{type(error).__name__} {error}"[:200]
        report["refused"] = report["refused"] or refusal(error)
    os.write(report_fd, json.dumps(report).encode())


def _passes(test: str, namespace: dict[str, Any], config: Any, solution: Solution, report: Any) -> bool:
    try:
        exec(compile(test, "tests.py", "exec"), namespace)
        if config["entry_point"]:
            namespace["check"](solution.function(config["entry_point"]))
    except (EOFError, OSError):
        raise
    except Exception as error:  # any exception in a test is a test that failed
        report["reason"] = report["reason"] or type(error).__name__
        return False
    return True


def _test_namespace(config: Any, solution: Solution) -> dict[str, Any]:
    """What the tests may name: their imports, helpers of the prompt, and the solution's functions by proxy."""
    namespace: dict[str, Any] = {"__name__": "tests"}
    exec(compile(config["preamble"], "preamble.py", "exec"), namespace)
    import ast

    tree = ast.parse("\n".join(config["tests"]))
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for name in named - set(namespace) - set(dir(builtins)):
        is_module = name in sys.stdlib_module_names and name not in solution.names
        namespace[name] = __import__(name) if is_module else solution.function(name)
    if len(named) == 1 and named <= set(dir(builtins)):
        # A task may ask for a function called `sum`. Where tests name more, a builtin stays what it is: else
        # a program that defines `set` or `sorted` would grade itself.
        [name] = named
        namespace[name] = solution.function(name)
    if config["entry_point"]:
        namespace[config["entry_point"]] = solution.function(config["entry_point"])
    return namespace
