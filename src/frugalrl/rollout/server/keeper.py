"""The process between a run and a server that it launched: when either ends, in whatever way, nothing is left.

Started by `launch` as ``python keeper.py FD LOG COMMAND...`` in a session of its own, so that Ctrl-C in the run's
terminal does not reach the server, which is needed to finish the step. FD is the reading end of a pipe whose other end
only the run holds: it closes when the run closes it, ends, or is killed with SIGKILL. vLLM's engine and workers survive
the API process, so the whole process group is killed, and then whatever had left the group: as a subreaper this process
is their parent. It needs nothing but the standard library.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_SECONDS = 5.0
"""A server that was asked to end is killed after this."""


def main() -> int:
    """Run the command until it ends or the pipe closes; its exit code, or 0 if it was ended."""
    pipe, log, command = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    with log.open("ab") as output:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),  # should this process be killed too
        )
    while server.poll() is None and not asked:
        if select.select([pipe], [], [], 0.1)[0] and os.read(pipe, 1) == b"":
            break
    ended = server.poll()
    _end(server)
    return 0 if ended is None else ended


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End the server's group, first kindly; then kill every process that is left below this one."""
    _signal_group(server.pid, signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    while server.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    _signal_group(server.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(5)
    until = time.monotonic() + 5
    while (left := _children()) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.02)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _children() -> list[int]:
    """The processes whose parent this one is; descendants become that when their own parent ends."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                facts = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(facts[1]) == os.getpid():
                    found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.exit(main())
