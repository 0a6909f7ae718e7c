"""`frugalrl watch RUN`: a live view of a run in the terminal, also over ssh, while another process writes it.

What is shown is read by `reporting/watching.py`; this draws it with rich.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frugalrl.errors import DataError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from frugalrl.reporting.watching import Frame


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "watch",
        help="a live view of a run in the terminal",
        description="Show reward, accuracy, lengths, KL, truncation, phase times, evaluations, the guard's decisions, "
        "the newest completions and the end of the log, and follow the run until it is over. Ctrl-C leaves; the run "
        "goes on.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a folder that `frugalrl train` is writing, or wrote")
    parser.add_argument("--once", action="store_true", help="one frame, without a live view")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between frames (default: 2)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw until the run is over or Ctrl-C. Raises DataError for what is no run."""
    from rich.console import Console
    from rich.live import Live

    from frugalrl.reporting.watching import read_frame

    if arguments.every < 0.1:
        raise DataError(f"There cannot be a frame each {arguments.every:g} s. Give --every 0.1 or more.")
    console = Console(highlight=False)
    frame = read_frame(arguments.run)
    if arguments.once or not console.is_terminal:
        console.print(picture(frame))
        return 0
    try:
        with Live(picture(frame), console=console, auto_refresh=False, screen=True) as live:
            while not frame.is_over:
                time.sleep(arguments.every)
                frame = read_frame(arguments.run)
                live.update(picture(frame), refresh=True)
    except KeyboardInterrupt:
        return 0
    console.print(picture(frame))
    return 0


def picture(frame: "Frame") -> "RenderableType":
    """A frame as a page that fits the terminal it is printed on."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def grid(rows: Sequence[Sequence[str]], *styles: str) -> Table:
        table = Table.grid(padding=(0, 2))
        last = len(styles) - 1
        for number, style in enumerate(styles):  # what is last gives way where the terminal is narrow
            least = None if number == last else max((len(row[number]) for row in rows), default=0)
            table.add_column(style=style, no_wrap=True, overflow="ellipsis", min_width=least)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        return table

    def line_of(text: str) -> Text:
        return Text(text, no_wrap=True, overflow="ellipsis")

    parts: list[RenderableType] = [Text(frame.title, style="bold"), Text(frame.state)]
    if frame.curves:
        heads = ("", "last", "mean of 10", "last 40 steps")
        parts += [Text(), grid([heads, *frame.curves], "cyan", "", "", "green")]
    if frame.evaluations:
        parts += [Text("\nEvaluations", style="bold"), grid(frame.evaluations, "", "cyan", "")]
    if frame.phases:
        parts += [Text("\nTime  " + "  ".join(f"{name} {share}" for name, share in frame.phases))]
    if frame.guard:
        parts += [
            Text("\nGuard", style="bold"),
            *(Text(line, overflow="ellipsis", no_wrap=True) for line in frame.guard),
        ]
    if frame.samples:
        asked = Text(f"\nNewest group: {frame.question}", no_wrap=True, overflow="ellipsis")
        parts += [asked, grid([(v, r, text[-400:]) for v, r, text in frame.samples], "cyan", "", "")]
    if frame.lines:
        parts += [Text("\nLog", style="bold"), *map(line_of, frame.lines)]
    return Group(*parts)
