"""The ledger on disk: a part for each finished step, which is also what a killed run resumes from.

A part is written whole under its final name, so it is there or it is not. Its last line holds the step's notes and
says that it is complete; the lines before it are the ledger's own.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from frugalrl.curation.records import StepOutcome, decision_of, ledger_line
from frugalrl.errors import OutputError
from frugalrl.files import written_whole

_LINES = json.JSONEncoder(ensure_ascii=False)
"""Made once: `json.dumps` makes one for each line."""


def write_part(path: Path, step: str, outcome: StepOutcome) -> None:
    """Write a step's outcome, all of it or nothing. Raises OutputError."""
    with written_whole(path) as file:
        for decision in outcome.decisions:
            file.write(_LINES.encode(ledger_line(step, decision)) + "\n")
        end = {"end": step, "notes": list(outcome.notes), "facts": dict(outcome.facts)}
        file.write(_LINES.encode(end) + "\n")


def read_part(path: Path) -> StepOutcome:
    """A step's outcome as it was written. Raises OutputError if the part is damaged."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        end = lines.pop()
        return StepOutcome(tuple(decision_of(line) for line in lines), tuple(end["notes"]), end["facts"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise OutputError(f"{path} is damaged: {error}. Remove it; --resume then does its step again.") from None


def join_parts(parts: Sequence[Path], path: Path) -> None:
    """The whole ledger from its parts, in order, without their last lines."""
    with written_whole(path) as file:
        for part in parts:
            for line in _lines_but_the_last(part):
                file.write(line)


def _lines_but_the_last(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        held = file.readline()
        for line in file:
            yield held
            held = line
