"""The lines of a run in its folder, with the time of each: what a terminal that is gone had shown.

A full disk or a removed folder never stops a run here; its own log does, with a message.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LOG_FILE = "log.txt"


def logged(folder: Path, say: Callable[[str], None]) -> Callable[[str], None]:
    """A function that says a line and appends it, with the time in UTC, to the folder's log."""

    def say_and_write(line: str) -> None:
        write_lines(folder, line)
        say(line)

    return say_and_write


def write_lines(folder: Path, text: str) -> None:
    """Append a text to the folder's log, with the time in front of its first line."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    with suppress(OSError), (folder / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{stamp}  {text}\n")
