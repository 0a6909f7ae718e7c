"""`frugalrl compare A B`: whether B is better than A, on the same problems, or why that cannot be told."""

import argparse
import sys
from pathlib import Path
from typing import Any

from frugalrl.errors import DataError


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "compare",
        help="two models on the same problems: better, worse, or inconclusive, and what would be needed",
        description="Compare two evaluations problem by problem: the paired difference with its interval, a "
        "permutation test, and a plain verdict. A run alone is compared with its own base.",
    )
    parser.add_argument(
        "first",
        type=Path,
        metavar="A",
        help="a folder or file that `frugalrl eval` wrote, a run's folder, or a file of its evaluations/",
    )
    parser.add_argument("second", type=Path, nargs="?", metavar="B", help="the same of another model")
    parser.add_argument(
        "--other-prompt",
        action="store_true",
        help="compare although the prompt or chat template differs: models with their prompts, not models alone",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print. Raises UserErrors for what cannot be found, read or paired."""
    from frugalrl.evaluation.comparing import compare
    from frugalrl.evaluation.measured_reader import read_first_and_last, read_measured
    from frugalrl.reporting.comparison_text import comparison_lines

    first, second = arguments.first, arguments.second
    for path in (first, second):
        if path is not None and not path.exists():
            raise DataError(f"There is nothing at {path}. Name a run's folder, or what `frugalrl eval` wrote.")
    if second is None:
        base, trained = read_first_and_last(first)
        names = f"{first}, its base", f"{first}, kept"
    else:
        base, trained = read_measured(first), read_measured(second)
        names = str(first), str(second)
    sys.stdout.write(comparison_lines(compare(base, trained, arguments.other_prompt), *names) + "\n")
    return 0
