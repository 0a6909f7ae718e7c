"""Several processes as a launcher makes them, after one import: torchrun's variables, gloo between them.

    python -m tests.training.distributed.forking jobs FOLDER N:WEIGHTS:NAME,NAME ...     one launch after the other
    python -m tests.training.distributed.forking cli N ARGUMENTS ...

Exits with the largest exit code of the processes. Like torchrun it ends the others with SIGTERM when one fails, and
passes on SIGINT and SIGTERM. `tests/training/distributed/test_launches.py` uses torchrun itself.
"""

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

from frugalrl.cli import main
from tests.training.distributed import jobs


def fork(count: int, work) -> int:
    """Do some work in `count` processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = [_child(rank, count, port, work) for rank in range(count)]
    sys.stderr.write(f"children {children}\n")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: _pass_on(number, children))
    codes: dict[int, int] = {}
    while len(codes) < count:
        for child in set(children) - set(codes):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                codes[child] = abs(os.waitstatus_to_exitcode(status))
                if codes[child]:
                    for other in set(children) - set(codes):
                        os.kill(other, signal.SIGTERM)
        time.sleep(0.02)
    return max(codes.values())


def _pass_on(number: int, children: list[int]) -> None:
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)


def _child(rank: int, count: int, port: int, work) -> int:
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGINT, signal.default_int_handler)  # not what passes signals on to those of an earlier launch
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    code = 1
    try:
        code = work() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def make_jobs(folder: Path, launches: list[str]) -> int:
    """Some launches of jobs."""
    for launch in launches:
        count, weights, names = launch.split(":")
        failed = fork(int(count), lambda weights=weights, names=names: jobs.make_all(folder, weights, names.split(",")))
        if failed:
            return failed
    return 0


if __name__ == "__main__":
    kind, where, *rest = sys.argv[1:]
    sys.exit(make_jobs(Path(where), rest) if kind == "jobs" else fork(int(where), lambda: main(rest)))
