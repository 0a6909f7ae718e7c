"""Where a command's lines go: a terminal with a bar, plain lines, JSON events, or only what matters.

Decisions:
- A bar is drawn on a terminal only, by rich, which is imported when it is first drawn. It respects NO_COLOR and
  TERM=dumb. Elsewhere progress is plain lines, at the intervals at which they come.
- A long command on a terminal is never silent: while nothing says how far it is, a bar without an end moves.
- `--quiet` leaves warnings and results. `--json` writes an object a line: event, time, and what it says.
- A terminal that is gone, or is not UTF-8, never stops a run.
"""

import json
import os
import shutil
import sys
import time
from typing import Any, Protocol

from frugalrl.reporting.lines import Progressing, fitted, wrapped


class Display(Protocol):
    """Takes what a command says."""

    def say(self, line: str) -> None:
        """Something on the way."""
        ...

    def show(self, text: str) -> None:
        """A result."""
        ...

    def show_verbatim(self, text: str) -> None:
        """A result that is meant for a file or a program."""
        ...

    def close(self, exit_code: int) -> None:
        """The command has ended."""
        ...


class Plain:
    """Lines, as they come."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def say(self, line: str) -> None:
        begins = isinstance(line, Progressing) and not line.done  # for a bar only
        if not begins and (not self._quiet or line.lstrip().startswith("WARNING")):
            self.show(line)

    def show(self, text: str) -> None:
        write(_folded(text) if sys.stdout.isatty() else text)

    def show_verbatim(self, text: str) -> None:
        write(text)

    def close(self, exit_code: int) -> None:
        """Nothing is open."""


class Silent:
    """Nothing: of several processes that share a run the first one prints."""

    def say(self, line: str) -> None:
        """Not said."""

    def show(self, text: str) -> None:
        """Not shown."""

    def show_verbatim(self, text: str) -> None:
        """Not shown."""

    def close(self, exit_code: int) -> None:
        """Nothing is open."""


class Live:
    """A terminal: lines above, a bar with rate and ETA below while something is under way."""

    def __init__(self, is_long: bool = False) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._what = ""
        self._is_open_ended = False
        self._began: dict[str, float] = {}  # by what is under way: an evaluation in between stops no clock
        self._waits = is_long
        self._wait("starting")

    def say(self, line: str) -> None:
        if isinstance(line, Progressing):
            if line.keeps:
                self._above(line)
            self._draw(line)
        else:
            if self._is_open_ended:  # what it waited for is here
                self._stop()
            self._above(line)
            self._wait("working")

    def show(self, text: str) -> None:
        self._stop()
        write(_folded(text))
        self._wait("working")

    def show_verbatim(self, text: str) -> None:
        self._stop()
        write(text)

    def close(self, exit_code: int) -> None:
        self._stop()

    def _wait(self, what: str) -> None:
        """A bar without an end, if nothing else is under way."""
        if self._waits and self._bar is None:
            self._draw(Progressing("", what, 0, 0))

    def _above(self, text: str) -> None:
        folded = _folded(str(text))
        if self._bar is None:
            write(folded)
        else:
            self._bar.console.print(folded, markup=False, highlight=False, soft_wrap=True)

    def _draw(self, line: Progressing) -> None:
        if line.what != self._what:
            self._stop()
        if self._bar is None:
            self._bar, self._what = _bar(), line.what
            self._bar.start()
            self._task = self._bar.add_task(line.what, total=line.total or None)
            if line.total:
                self._bar.tasks[0].start_time = self._began.setdefault(line.what, self._bar.get_time())
        self._is_open_ended = not line.total
        self._bar.update(self._task, completed=line.done, total=line.total or None)
        if line.total and line.done >= line.total:
            self._stop()
            self._wait("working")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar, self._what, self._is_open_ended = None, "", False


class Events:
    """An object a line, for programs."""

    def say(self, line: str) -> None:
        if isinstance(line, Progressing):
            about = {"what": line.what, "done": line.done, "total": line.total, "eta_seconds": line.eta_seconds}
            self._event("progress", text=str(line), **about)
        else:
            self._event("warning" if line.lstrip().startswith("WARNING") else "line", text=line)

    def show(self, text: str) -> None:
        self._event("result", text=text)

    def show_verbatim(self, text: str) -> None:
        self.show(text)

    def close(self, exit_code: int) -> None:
        self._event("end", exit_code=exit_code)

    def _event(self, event: str, **values: Any) -> None:
        write(json.dumps({"event": event, "unix_time": round(time.time(), 3), **values}))


def display_for(quiet: bool = False, as_json: bool = False, is_long: bool = False) -> Display:
    """The display that the options and the terminal ask for; is_long: the command works for a while."""
    if as_json:
        return Events()
    if quiet or not sys.stdout.isatty() or os.environ.get("TERM", "") == "dumb":
        return Plain(quiet)
    return Live(is_long)


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size().columns


def complain(text: str) -> None:
    """An error, for people; its command stays whole on a terminal."""
    sys.stderr.write((_folded(text) if sys.stderr.isatty() else text) + "\n")


def _folded(text: str) -> str:
    return wrapped(fitted(text, width()), width())


def _bar() -> Any:
    from rich import progress
    from rich.text import Text

    class _Rate(progress.ProgressColumn):
        """Of the whole time so far, in items a second, or a minute where they are slow."""

        def render(self, task: progress.Task) -> Text:
            rate = task.finished_speed or task.speed
            if not rate:
                return Text("")
            return Text(f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.1f}/min")

    class _Count(progress.MofNCompleteColumn):
        """Nothing where the end is not known."""

        def render(self, task: progress.Task) -> Text:
            return super().render(task) if task.total or task.completed else Text("")

    class _Left(progress.TimeRemainingColumn):
        """As above."""

        def render(self, task: progress.Task) -> Text:
            return Text("ETA ").append_text(super().render(task)) if task.total else Text("")

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=None),
        _Count(),
        _Rate(),
        progress.TimeElapsedColumn(),
        _Left(),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def write(line: str) -> None:
    """Print a line at once; a terminal that is not UTF-8 still gets its numbers, one that is gone gets nothing."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except UnicodeEncodeError:
        sys.stdout.write(line.encode("ascii", "replace").decode() + "\n")
    except OSError:  # the terminal or the reader of a pipe has left: a run is worth more than its lines
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
