"""Lines for people that also say how far something is; tables and sentences that fit a terminal.

A `Progressing` is a text like any other, so whatever takes lines (``print``, a file, a list) takes it; a terminal that
knows it draws a bar instead.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Self

_GAP = 2
"""Blanks between two columns of a table."""


class Progressing(str):
    """A line of progress."""

    what: str
    """What is going on, in a few words."""
    done: int
    total: int
    """0 where the number is not known."""
    eta_seconds: float | None
    keeps: bool
    """Whether the line says more than how far it is, and stays on the screen."""

    def __new__(
        cls, text: str, what: str, done: int, total: int, eta_seconds: float | None = None, keeps: bool = False
    ) -> Self:
        line = super().__new__(cls, text)
        line.what, line.done, line.total, line.eta_seconds, line.keeps = what, done, total, eta_seconds, keeps
        return line


def fitted(text: str, width: int) -> str:
    """The text with its tables split into parts of at most `width` characters, the first column in each.

    A table is two or more lines in a row whose columns are apart by two blanks or more; what cannot be split is left as
    it is, and so are sentences, also those in a last column, see `wrapped`.
    """
    lines: list[str] = []
    for block in _blocks(text.split("\n")):
        lines += _split(block, width) if len(block) > 1 and max(map(len, block)) > width else block
    return "\n".join(lines)


def wrapped(text: str, width: int) -> str:
    """The text with its long sentences broken between words; a cell at the end of a row goes on below itself.

    A command and an option with its value stay whole, so that they can be copied; a word longer than a line does, too.
    """
    return "\n".join(_wrapped(line, width) for line in text.split("\n"))


_KEPT = re.compile(r"\bfrugalrl [a-z][^.;:]*(?:\.\w[^.;:]*)*|--[a-z][\w-]* [^\s,;]*[^\s,;.]")
"""A command up to the end of its sentence; an option and its value."""
_BLANK = "\0"
"""Stands for a blank at which no line may end."""


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    start = len(line) - len(line.lstrip())
    gaps = [gap.end() for gap in re.finditer(r"(?<=\S) {2,}(?=\S)", line) if gap.end() <= width // 2]
    hang = gaps[-1] if gaps else start
    head = line[:hang]
    kept = _KEPT.sub(lambda found: found[0].replace(" ", _BLANK), line[hang:])
    rows = textwrap.wrap(kept, width - hang, break_long_words=False, break_on_hyphens=False)
    return "\n".join([head + rows[0], *(" " * hang + row for row in rows[1:])]).replace(_BLANK, " ")


def _blocks(lines: Sequence[str]) -> Iterator[list[str]]:
    """Runs of lines that may be a table: each has a gap in it."""
    block: list[str] = []
    for line in lines:
        if re.search(r"\S {2,}\S|^ {2,}\S", line) and line.strip():
            block.append(line)
            continue
        if block:
            yield block
        yield [line]
        block = []
    if block:
        yield block


def _split(rows: list[str], width: int) -> list[str]:
    columns = _columns(rows)
    if len(columns) < 2 or _ends_in_sentences(rows, columns[-1][0], width):
        return rows
    first, *others = columns
    parts: list[list[tuple[int, int]]] = [[]]
    for column in others:
        used = _width([first, *parts[-1], column])
        if parts[-1] and used > width:
            parts.append([])
        parts[-1].append(column)
    return [_row(row, [first, *part]) for part in parts for row in rows]


def _ends_in_sentences(rows: Sequence[str], start: int, width: int) -> bool:
    """Whether the last column begins in the left half, and most of what is too long in it is words."""
    long = [row[start:] for row in rows if len(row) > width]
    return start <= width // 2 and all(cell.count(" ") >= _WORDS for cell in long)


_WORDS = 4
"""Blanks in the shortest sentence."""


def _columns(rows: Sequence[str]) -> list[tuple[int, int]]:
    """Where columns begin and end: between stretches of two or more characters that are blank in every row."""
    most = max(map(len, rows))
    blank = [all(at >= len(row) or row[at] == " " for row in rows) for at in range(most)]
    columns, start, at = [], 0, 0
    while at < most:
        if blank[at]:
            end = at
            while end < most and blank[end]:
                end += 1
            if end - at >= _GAP and at > start:
                columns.append((start, at))
                start = end
            at = end
        else:
            at += 1
    return [*columns, (start, most)] if start < most else columns


def _width(columns: Sequence[tuple[int, int]]) -> int:
    return sum(end - begin for begin, end in columns) + _GAP * (len(columns) - 1)


def _row(row: str, columns: Sequence[tuple[int, int]]) -> str:
    cells = [row[begin:end].ljust(end - begin) for begin, end in columns]
    return (" " * _GAP).join(cells).rstrip()
