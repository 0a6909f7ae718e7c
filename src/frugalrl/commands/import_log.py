"""`frugalrl import LOG --out FOLDER`: another tool's log as results of ours, with intervals and a page."""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "import",
        help="logs of inspect_ai, lm-evaluation-harness or lighteval as results with intervals and a page",
        description="Read samples and scores of another tool's log. The verdicts stay the tool's; `frugalrl regrade` "
        "judges them again, and `frugalrl compare` compares them.",
    )
    parser.add_argument(
        "log", type=Path, help="an inspect_ai .eval or .json, or the folder that lm_eval or lighteval wrote"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Import and print the table. Raises UserErrors for what cannot be read or written."""
    from frugalrl.api_logs import import_log

    result = import_log(arguments.log, arguments.out)
    show(result.text)
    show(f"Page: {result.page} (opens in a browser, from disk)")
    show(f"Results: {result.folder}")
    return 0
