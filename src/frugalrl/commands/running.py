"""What the commands that run for a while share: their arguments, where lines go, exit codes.

Imports no torch: `frugalrl --help` answers at once.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from frugalrl.commands.display import Display, Plain, Silent, display_for
from frugalrl.training.distributed.launch import is_first_process

STOPPED = 130
"""Exit code of a run that was asked to stop."""
FAILED = 3
"""Exit code of a run that ended because nothing could be learned any more."""
_displays: list[Display] = []
"""The display of the command that is running; the last one counts."""


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of a command that makes a run from a recipe."""
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped one: see `frugalrl recipes`")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="replace a value of the recipe; may be repeated",
    )
    parser.add_argument("--out", type=Path, help="the run's folder (default: runs/NAME, or the next free one)")
    parser.add_argument("--resume", action="store_true", help="resume from the newest checkpoint of the run's folder")


@contextmanager
def displaying(quiet: bool, as_json: bool, is_long: bool = False) -> Iterator[Callable[[int], int]]:
    """Send lines to the display that the options ask for; give the exit code to what is yielded, which returns it."""
    display = display_for(quiet, as_json, is_long) if is_first_process() else Silent()
    _displays.append(display)
    codes = [1]  # a traceback's, unless a code is given

    def ended(code: int) -> int:
        codes.append(code)
        return code

    try:
        yield ended
    finally:
        _displays.remove(display)
        display.close(codes[-1])


def show(text: str) -> None:
    """A result, which is always shown."""
    (_displays[-1] if _displays else Plain()).show(text)


def show_verbatim(text: str) -> None:
    """A result that is meant for a file or a program: no line of it is ever broken."""
    (_displays[-1] if _displays else Plain()).show_verbatim(text)


def say(line: str) -> None:
    """A line on the way, which --quiet leaves out."""
    (_displays[-1] if _displays else Plain()).say(line)
