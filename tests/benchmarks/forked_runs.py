"""The benchmark of one GPU with its training runs forked from it, after one import: `... forked_runs ARGUMENTS`.

A run that is started anew imports torch for longer than it trains at toy size. What a run is, and how it is watched,
killed and judged, is the benchmark's.
"""

import os
import signal
import sys
from types import SimpleNamespace

import torch
from gpu import main
from gpu_parts import runs

import frugalrl.cli


class Forked:
    """What the benchmark uses of `subprocess.Popen`, for a command of this package."""

    def __init__(self, command, stdout, stderr, start_new_session):
        assert command[1:3] == ["-m", "frugalrl"]
        assert start_new_session
        self.returncode = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                code = frugalrl.cli.main(command[3:])
            except BaseException:
                sys.excepthook(*sys.exc_info())
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self):
        return self._collect(os.WNOHANG)

    def wait(self):
        return self._collect(0)

    def _collect(self, options):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


if __name__ == "__main__":
    torch.set_num_threads(1)  # more of them would be lost in a fork
    runs.subprocess = SimpleNamespace(Popen=Forked)  # of that module alone
    sys.exit(main())
