"""`frugalrl check-golds FILE`: the preflight of gold answers, before any token is paid for.

The checks are in `verify/golds.py` and `tasks/gold_rows.py`; this prints what fails, and returns 1 if anything does.
"""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import say, show
from frugalrl.errors import DataError


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "check-golds",
        help="can every gold answer be read and verified? run it before you train",
        description="Check every gold of a .jsonl or .parquet file (.gz too): it can be read in a box, is accepted for "
        "itself and in another spelling, is not accepted for wrong answers, and is fast. Exit code 1 if any fails.",
    )
    parser.add_argument("file", type=Path, help="rows with `gold`, `answer` or `solution`")
    parser.add_argument("--field", help="column of the gold answer, if it has another name")
    parser.add_argument("--workers", type=int, default=2, help="verifier processes (default: 2)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what fails. Raises DataError for a file that cannot be read, or has no column of golds."""
    from frugalrl.curation.progress import Progress
    from frugalrl.tasks.gold_rows import check_file

    if arguments.workers < 1:
        raise DataError(f"There cannot be {arguments.workers} verifier processes. Give --workers 1 or more.")
    bars: list[Progress] = []

    def tell(done: int, total: int) -> None:
        if not bars:
            bars.append(Progress("checking golds", total, say))
        bars[0](done)

    text, is_fit = check_file(arguments.file, arguments.field, arguments.workers, tell)
    show(text.rstrip("\n"))
    return 0 if is_fit else 1
