"""What the commands that run for a while share: their arguments, signals, lines for people, exit codes.

Imports no torch: `frugalrl --help` answers at once.
"""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from frugalrl.errors import RecipeError
from frugalrl.training.limits.stopping import StopRequest

STOPPED = 130
"""Exit code of a run that was asked to stop."""
FAILED = 3
"""Exit code of a run that ended because nothing could be learned any more."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that makes a run from a recipe."""
    parser.add_argument("recipe", type=Path, help="a YAML file, see recipes/")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="replace a value of the recipe; may be repeated",
    )
    parser.add_argument("--out", type=Path, help="the run's folder (default: runs/NAME, or the next free one)")
    parser.add_argument("--resume", action="store_true", help="resume from the newest checkpoint of the run's folder")


def refuse_several_processes(environment: Mapping[str, str]) -> None:
    """Raise RecipeError under a launcher of several processes: each would train the whole run by itself."""
    world = environment.get("WORLD_SIZE", "1")
    if world not in ("", "1"):
        raise RecipeError(
            f"WORLD_SIZE is {world}: a launcher such as torchrun started several processes; frugalrl trains in one. "
            "Start it with frugalrl train, or unset WORLD_SIZE."
        )


def show(line: str) -> None:
    """Print a line at once; a terminal that is not UTF-8 still gets its numbers, one that is gone gets nothing."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except UnicodeEncodeError:
        sys.stdout.write(line.encode("ascii", "replace").decode() + "\n")
    except OSError:  # the terminal or the reader of a pipe has left: a run is worth more than its lines
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class GracefulStop:
    """Ctrl-C, SIGTERM and SIGHUP: the first asks the run to stop after its step, a second Ctrl-C stops at once."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._request = StopRequest()
        self.requested, self.evaluating = self._request.requested, self._request.evaluating

    def __enter__(self) -> "GracefulStop":
        # Under nohup SIGHUP stays ignored: such a run is meant to outlive its terminal.
        kept = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        wanted = [number for number in self._SIGNALS if not (kept and number == signal.SIGHUP)]
        self._before = {number: signal.signal(number, self._ask) for number in wanted}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested() and number == signal.SIGINT:
            raise KeyboardInterrupt
        try:
            self._request.ask()  # first: a second signal may come while the line is printed
        finally:
            show("\nStopping after this step, with a checkpoint. Press Ctrl-C again to stop at once.")
