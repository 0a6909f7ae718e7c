"""`frugalrl report RUN [RUN ...]`: what a run brought, as one HTML file and a Markdown card.

`frugalrl report --paper` makes the same of the numbers that Open-RS published.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from frugalrl.errors import OutputError


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page and a model card of a run, or of several over each other",
        description="Write one self-contained HTML page (no network, no scripts) and a Markdown card: whether training "
        "helped, accuracy with intervals, how training went, samples, recipe and versions.",
    )
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="a folder that `frugalrl train` wrote")
    parser.add_argument(
        "--out",
        type=Path,
        help="the .html file to write, its card beside it as .md "
        "(default: RUN/report.html; report.html here for several runs; open-rs.html here for --paper)",
    )
    parser.add_argument("--paper", action="store_true", help="the numbers Open-RS published, with honest intervals")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the report and print where it is. Raises UserErrors for what cannot be read or written."""
    from frugalrl.reporting.report import report_paper, report_runs

    runs: list[Path] = arguments.runs
    if arguments.paper == bool(runs):
        raise OutputError("A report is of runs or of the paper. Name one or more run folders, or give --paper.")
    out = arguments.out or _default_out(runs)
    card = report_paper(out) if arguments.paper else report_runs(runs, out)
    sys.stdout.write(f"Report: {out} (opens in a browser, from disk)\nCard:   {card}\n")
    return 0


def _default_out(runs: list[Path]) -> Path:
    if not runs:
        return Path("open-rs.html")
    return runs[0] / "report.html" if len(runs) == 1 else Path("report.html")
