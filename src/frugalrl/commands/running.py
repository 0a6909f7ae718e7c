"""What the commands that run for a while share: their arguments, lines for people, exit codes.

Imports no torch: `frugalrl --help` answers at once.
"""

import argparse
import os
import sys
from pathlib import Path

from frugalrl.training.distributed.launch import is_first_process

STOPPED = 130
"""Exit code of a run that was asked to stop."""
FAILED = 3
"""Exit code of a run that ended because nothing could be learned any more."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that makes a run from a recipe."""
    parser.add_argument("recipe", help="a YAML file, see recipes/, or the name of a shipped one such as quickstart")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="replace a value of the recipe; may be repeated",
    )
    parser.add_argument("--out", type=Path, help="the run's folder (default: runs/NAME, or the next free one)")
    parser.add_argument("--resume", action="store_true", help="resume from the newest checkpoint of the run's folder")


def show(line: str) -> None:
    """Print a line at once; a terminal that is not UTF-8 still gets its numbers, one that is gone gets nothing.

    Of several processes that share a run the first one prints.
    """
    if not is_first_process():
        return
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except UnicodeEncodeError:
        sys.stdout.write(line.encode("ascii", "replace").decode() + "\n")
    except OSError:  # the terminal or the reader of a pipe has left: a run is worth more than its lines
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
