"""The ledger on disk: a part for each finished step, which is also what a killed run resumes from.

A part is written atomically. Its last line has the step's notes and marks it complete; the lines before it are ledger
entries. Lines are written and read one at a time.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from frugalrl.curation.records import Deciding, Decision, Ending, decision_of, ledger_line
from frugalrl.errors import OutputError
from frugalrl.files import atomic_write

_LINES = json.JSONEncoder(ensure_ascii=False)
"""Made once: `json.dumps` makes one for each line."""


class _StepError(Exception):
    """An OSError of the step itself, which says nothing about the file that is being written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def write_part(path: Path, step: str, deciding: Deciding) -> Deciding:
    """Pass the decisions through and write each one; the part exists when they end. Raises OutputError."""
    try:
        with atomic_write(path) as file:
            while True:
                try:
                    decision = next(deciding)
                except StopIteration as stop:
                    ending: Ending = stop.value
                    break
                except OSError as error:
                    raise _StepError(error) from None
                file.write(_LINES.encode(ledger_line(step, decision)) + "\n")
                yield decision
            end = {"end": step, "notes": list(ending.notes), "facts": dict(ending.facts)}
            file.write(_LINES.encode(end) + "\n")
    except _StepError as inside:
        raise inside.error from None
    return ending


def read_part(path: Path) -> Deciding:
    """A step's decisions and ending as they were written. Raises OutputError if the part is damaged."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                values = json.loads(line)
                if "end" in values:
                    return Ending(tuple(values["notes"]), values["facts"])
                yield decision_of(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, str(error)) from None
    raise _damaged(path, "its end is missing")


def _damaged(path: Path, why: str) -> OutputError:
    return OutputError(f"{path} is damaged: {why}. Remove it; --resume then does its step again.")


def join_parts(parts: Sequence[Path], path: Path) -> None:
    """Write the full ledger from its parts, in order, without their last lines."""
    with atomic_write(path) as file:
        for part in parts:
            for line in _lines_but_the_last(part):
                file.write(line)


def exhausted(deciding: Deciding) -> tuple[list[Decision], Ending]:
    """All decisions at once, for steps known to be small."""
    decisions = []
    while True:
        try:
            decisions.append(next(deciding))
        except StopIteration as stop:
            return decisions, stop.value


def _lines_but_the_last(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        held = file.readline()
        for line in file:
            yield held
            held = line
