"""`frugalrl compare A B`: whether B is better than A, on the same problems, or why that cannot be told."""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show


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
    from frugalrl import api

    result = api.compare(arguments.first, arguments.second, other_prompt=arguments.other_prompt)
    show(result.text)
    return 0
