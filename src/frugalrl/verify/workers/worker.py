"""The processes in which computer algebra runs: a zygote that imports it once, and workers forked from it.

Started by `pool` as ``python -m frugalrl.verify.workers.worker FD``. The zygote is a clean process: no
torch, no threads, no secrets in its environment, sympy on Python integers (with gmpy2 some inputs ignore every
limit or abort the interpreter). On its control socket it takes "fork" with a socket attached, and "kill" with a
process id; when that socket closes, because the parent closed it or died, it kills its workers and ends.

A worker answers one comparison after another on its own socket until it is killed. It has a limit on memory, may
write no file, and dies with the zygote. Messages are JSON with a length in front: what a worker sends is never
unpickled. No time limit here: a hanging worker cannot be trusted to keep one, so its parent does. What it took is
said in readings of the process's own clock, which is the one that the parent looks at.
"""

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

from frugalrl.verify.maths.comparison import Comparison, compare, most_telling
from frugalrl.verify.maths.values import Outcome
from frugalrl.verify.reasons import MEMORY_LIMIT, RECURSION_LIMIT

_LENGTH = struct.Struct("!I")
MAX_MESSAGE_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1
_STACK_DEPTH = 2_000
"""Deep enough for 40 levels of brackets through two parsers; too shallow to overflow an 8 MB C stack."""
_WARM_UP = (
    ("\\frac{x}{2}+\\sqrt{x}", "\\frac12 x"),
    ("x^2+y=1", "y=1-x^2"),
    ("\\sin x \\cos x", "\\frac{1}{2}\\sin 2x"),
    ("\\frac{3\\sqrt{2}}{4}", "\\frac{3}{2\\sqrt{2}}"),
    ("\\ln 8 + e^{2}", "\\pi"),
    ("(\\sqrt{2}, \\frac{\\pi}{2})", "(2^{1/2}, \\pi)"),
    ("\\begin{pmatrix}1\\\\ \\sqrt2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
    ("2 + 3i", "3i+2\\sqrt{1}"),
    ("(x-1)(x+1)", "x^2-1"),
    ("2x+y < 3", "y+2x<3"),
)
"""Answers of every ordinary kind: what they load and compile is shared by all workers."""


def send_message(connection: socket.socket, message: Any) -> None:
    """One JSON value with its length in front."""
    body = json.dumps(message).encode("ascii")
    connection.sendall(_LENGTH.pack(len(body)) + body)


def receive_message(connection: socket.socket) -> Any:
    """The next message. Raises EOFError when the other side has closed, ValueError for what is no message."""
    (length,) = _LENGTH.unpack(_receive(connection, _LENGTH.size))
    if length > MAX_MESSAGE_BYTES:
        raise ValueError("a message is longer than any that is sent")
    return json.loads(_receive(connection, length))


def _receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return bytes(data)


# -------------------------------------------------------------------------------------------------- zygote


def run_zygote(control: socket.socket) -> None:
    """Import, warm up, then fork and kill on request until the control socket closes."""
    from frugalrl.verify.maths.symbolic import compare_symbolically

    for answer, gold in _WARM_UP:
        compare(answer, gold, compare_symbolically)
    gc.collect()
    gc.freeze()  # what all workers share is never scanned again, or their memory would be copied page by page
    send_message(control, {"ready": os.getpid()})
    workers: set[int] = set()
    try:
        while True:
            _serve_request(control, workers)
    except (EOFError, OSError):
        pass
    finally:
        for pid in workers:
            _kill(pid)


def _serve_request(control: socket.socket, workers: set[int]) -> None:
    data, descriptors, _, _ = socket.recv_fds(control, _LENGTH.size, 1)
    if not data:
        raise EOFError
    data += _receive(control, _LENGTH.size - len(data)) if len(data) < _LENGTH.size else b""
    request = json.loads(_receive(control, _LENGTH.unpack(data)[0]))
    if request["do"] == "kill":
        pid = int(request["pid"])
        if pid in workers:
            workers.remove(pid)
            _kill(pid)
        send_message(control, {"killed": pid})
        return
    pid = os.fork()
    if pid == 0:
        control.close()
        _run_worker(socket.socket(fileno=descriptors[0]), int(request["memory_limit_bytes"]))
    os.close(descriptors[0])
    workers.add(pid)
    send_message(control, {"forked": pid})


def _kill(pid: int) -> None:
    """End a child and collect it, so that its id cannot come to mean another process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


# -------------------------------------------------------------------------------------------------- worker


def _run_worker(connection: socket.socket, memory_limit_bytes: int) -> None:
    """Answer until the socket closes; leave without the clean-up that belongs to the zygote."""
    try:
        _restrict(memory_limit_bytes)
        while True:
            answer, golds = receive_message(connection)
            began = time.process_time()
            comparison = compared_with_any(answer, golds)
            send_message(connection, [comparison.outcome, comparison.reason, began, time.process_time()])
            if comparison.reason == MEMORY_LIMIT:
                break
    except (EOFError, OSError):
        pass
    finally:
        os._exit(0)


def _restrict(memory_limit_bytes: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    sys.setrecursionlimit(_STACK_DEPTH)
    for limit, value in (
        (resource.RLIMIT_AS, memory_limit_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def compared_with_any(answer: str, golds: Sequence[str]) -> Comparison:
    """The comparison with the first gold that is the same, or else the one that says most."""
    comparisons: list[Comparison] = []
    for gold in golds:
        comparisons.append(_compared(answer, gold))
        if comparisons[-1].outcome == "same" or comparisons[-1].reason == MEMORY_LIMIT:
            break
    return most_telling(comparisons)


def _compared(answer: str, gold: str) -> Comparison:
    from frugalrl.verify.maths.symbolic import compare_symbolically

    failures: list[str] = []

    def guarded(one: str, other: str) -> Outcome:
        try:
            return compare_symbolically(one, other)
        except MemoryError:
            failures.append(MEMORY_LIMIT)
        except RecursionError:
            failures.append(RECURSION_LIMIT)
        except Exception:  # whatever a parser or a simplifier raises on odd input: it has no verdict
            failures.append("symbolic_error")
        return "undecided"

    comparison = compare(answer, gold, guarded)
    if MEMORY_LIMIT in failures:
        return Comparison("undecided", MEMORY_LIMIT)
    return Comparison("undecided", failures[0]) if comparison.outcome == "undecided" and failures else comparison


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_zygote(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # nothing to clean up, and tearing down sympy takes a tenth of a second


if __name__ == "__main__":
    _main()
