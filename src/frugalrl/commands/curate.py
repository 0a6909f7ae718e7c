"""`frugalrl curate SPEC`: from raw pools to a clean, difficulty-mixed set, and why each problem stayed or went.

The work is in `curation/`; this reads the spec, holds the folder, and prints.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

_STOPPED = 130


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "curate",
        help="from raw pools of problems to a clean, difficulty-mixed set, and why each was kept or dropped",
        description="Apply the steps of a spec to pools of problems. Writes train/validation/test as JSONL and "
        "Parquet, a ledger of every decision, a report card and a manifest with hashes.",
    )
    parser.add_argument("spec", type=Path, help="a YAML file, see recipes/curate/")
    parser.add_argument("--out", type=Path, help="folder of the set (default: curated/NAME)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="replace a value of the spec; may be repeated"
    )
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run in the folder was stopped")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Curate and print a line for each step. Raises UserErrors for spec, data, solvers and folder."""
    from frugalrl.config.curation_schema import CurationSpec
    from frugalrl.config.loading import load_recipe
    from frugalrl.curation.pipeline import curate
    from frugalrl.curation.workspace import open_workspace

    spec = load_recipe(arguments.spec, CurationSpec, arguments.set)
    _show(f"{spec.name}: {spec.description}" if spec.description else spec.name)
    with open_workspace(spec, arguments.out, arguments.resume) as workspace:
        try:
            report = curate(spec, workspace, _show)
        except KeyboardInterrupt:
            _show(f"\nStopped. What is finished is in {workspace.path}; go on with --resume.")
            return _STOPPED
        if report is None:
            _show(f"{workspace.path} is complete already, and its files are as they were written.")
            return 0
        written = ", ".join(f"{name} {count:,}" for name, count in report.splits.items() if count)
        _show(f"{written} problems in {workspace.path}. Report: {workspace.path}/report.html")
    return 0


def _show(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
