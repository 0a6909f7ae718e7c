"""`--processes N`: start a command in N processes of this machine, which find each other as torchrun's do.

Decisions:
- What torchrun sets is set, and nothing else: to a process both launchers look the same. Unlike it this passes on the
  exit code of a process, adds no traceback of its own to a message of ours, and needs no torch.
- A process that fails by itself leaves a message, and so do the others when they notice; they get some time for that.
  One that was killed leaves none: the others are asked to end at once, and a sentence says which one it was.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from frugalrl.errors import ProcessLostError, RecipeError
from frugalrl.threads import granted_cores
from frugalrl.training.distributed.launch import launch_of

_POLL_SECONDS = 0.05
_OWN_END_SECONDS = 15.0
"""For the others to end by themselves once one has failed."""
_TERM_SECONDS = 30.0
"""From SIGTERM to SIGKILL, as torchrun gives."""


def is_to_launch(processes: int, environment: Mapping[str, str]) -> bool:
    """Whether this process is to start the others. Raises RecipeError for a number that makes no sense.

    processes: as asked for; a process that a launcher has started starts none.
    """
    if processes < 1:
        raise RecipeError(f"--processes is {processes}. Give the number of processes that share the work, 1 or more.")
    launched = launch_of(environment).size
    if launched not in (1, processes):
        raise RecipeError(
            f"A launcher started {launched} processes, and --processes says {processes}. Leave --processes away, or "
            "start the command without the launcher."
        )
    return launched == 1 and processes > 1


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `frugalrl ARGUMENTS` in so many processes; the exit code. Raises ProcessLostError if one was killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1"}
    threads = {"OMP_NUM_THREADS": str(max(1, granted_cores() // processes)), **os.environ}  # the user's own wins
    children: list[subprocess.Popen[bytes]] = []
    heard = _passing_on(children)
    try:
        for rank in range(processes):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_PORT": str(port)}
            children.append(
                subprocess.Popen([sys.executable, "-m", "frugalrl", *arguments], env={**threads, **common, **own})
            )
        codes = _wait(children)
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
        for child in children:
            child.kill()
    killed = next((rank for rank, code in enumerate(codes) if code < 0), None)
    if killed is not None:
        raise ProcessLostError(
            f"Process {killed} of {processes} was ended by {signal.Signals(-codes[killed]).name} (out of memory, or "
            "from outside), and the others ended with it. What is finished is kept: the same command resumes."
        )
    return max(codes)


def _passing_on(children: Sequence["subprocess.Popen[bytes]"]) -> dict[int, Any]:
    """Pass signals on to the processes, which hear a Ctrl-C from the terminal twice then; the handlers before."""

    def pass_on(number: int, frame: object) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    return {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}


def _wait(children: Sequence["subprocess.Popen[bytes]"]) -> list[int]:
    """Until all have ended; the exit codes, by rank. A process that this asked to end did not fail: its code is 0."""
    ended: dict[int, int] = {}
    asked_at = failed_at = None
    while len(ended) < len(children):
        now = time.monotonic()
        for rank, child in enumerate(children):
            code = child.poll()
            if code is None or rank in ended:
                continue
            was_asked = asked_at is not None and code == -signal.SIGTERM  # its end is ours, and no fault
            ended[rank] = 0 if was_asked else code
            failed_at = failed_at or (now if code else None)
        is_killed = any(code < 0 for code in ended.values())
        if failed_at is not None and asked_at is None and (is_killed or now - failed_at > _OWN_END_SECONDS):
            asked_at = now
            for child in children:
                child.terminate()
        if asked_at is not None and now - asked_at > _TERM_SECONDS:
            for rank, child in enumerate(children):
                if rank not in ended:
                    child.kill()
                    ended[rank] = 1
        time.sleep(_POLL_SECONDS)
    return [ended[rank] for rank in range(len(children))]
