"""`frugalrl curate SPEC`: from raw pools to a clean, difficulty-mixed set, and why each problem stayed or went.

The work is in `curation/`, behind `frugalrl.curate`; this reads the arguments and prints.
"""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import STOPPED, say, show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "curate",
        help="from raw pools of problems to a clean, difficulty-mixed set, and why each was kept or dropped",
        description="Apply the steps of a spec to pools of problems. Writes train/validation/test as JSONL and "
        "Parquet, a ledger of every decision, a report card and a manifest with hashes.",
    )
    parser.add_argument(
        "spec", help="a YAML file, or the name of a shipped one such as curate/open-rs: see `frugalrl recipes`"
    )
    parser.add_argument("--out", type=Path, help="folder of the set (default: curated/NAME)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="replace a value of the spec; may be repeated"
    )
    parser.add_argument("--resume", action="store_true", help="resume where an earlier run in the folder was stopped")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Curate and print a line for each step. Raises UserErrors for spec, data, solvers and folder."""
    from frugalrl import api
    from frugalrl.curation.workspace import DEFAULT_PARENT

    spec = api.load_recipe(arguments.spec, arguments.set, kind="curate")
    show(f"{spec.name}: {spec.description}" if spec.description else spec.name)
    try:
        result = api.curate(spec, out=arguments.out, resume=arguments.resume, show=say)
    except KeyboardInterrupt:
        show(f"\nStopped. What is finished is in {arguments.out or DEFAULT_PARENT / spec.name}; resume with --resume.")
        return STOPPED
    if result.report is None:
        show(f"{result.folder} is complete already, and its files are as they were written.")
        return 0
    written = ", ".join(f"{name} {count:,}" for name, count in result.summary.items() if count)
    show(f"{written} problems in {result.folder}. Report: {result.folder}/report.html")
    return 0
