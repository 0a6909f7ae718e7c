"""`frugalrl export RESULTS --out LOG.json`: an evaluation as a log of inspect_ai, for its viewer."""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "export",
        help="an evaluation as a log that inspect_ai's viewer opens",
        description="Write each results file of an evaluation as a log of inspect_ai (JSON, version 2).",
    )
    parser.add_argument("results", type=Path, help="a results file or folder of `frugalrl eval`, or a run's folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for the logs")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and print the files. Raises UserErrors for what cannot be read or written."""
    from frugalrl.api_logs import export_logs

    for path in export_logs(arguments.results, arguments.out):
        show(f"Written: {path}")
    return 0
