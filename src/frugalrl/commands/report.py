"""`frugalrl report RUN [RUN ...]`: whether a run helped, as one HTML file and a Markdown card.

`frugalrl report --paper` makes the same of the numbers that Open-RS published.
"""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show
from frugalrl.errors import OutputError
from frugalrl.results import ReportResult


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "report",
        help="one HTML page and a model card of a run, or of several over each other",
        description="Write one self-contained HTML page (no network) and a Markdown card: whether training "
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
    from frugalrl import api

    runs: list[Path] = arguments.runs
    if arguments.paper == bool(runs):
        raise OutputError("A report is of runs or of the paper. Name one or more run folders, or give --paper.")
    written = (
        _paper_report(arguments.out or Path("open-rs.html")) if arguments.paper else api.report(runs, arguments.out)
    )
    show(f"Report: {written.page} (opens in a browser, from disk)\nCard:   {written.card}")
    return 0


def _paper_report(out: Path) -> ReportResult:
    """The report on the published numbers."""
    from frugalrl.reporting.report import report_paper

    return ReportResult(out, report_paper(out), ())
