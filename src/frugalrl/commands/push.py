"""`frugalrl push SOURCE ORG/NAME`: a model, adapter, data set or report to the Hub, with its card."""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "push",
        help="a model, adapter, data set or report to the Hub, with its card",
        description="Upload what a run made, a data set or a report to the Hugging Face Hub, with the card that was "
        "written with it. Checkpoints, logs and optimizer states stay here. --dry-run lists the files "
        "and uploads none.",
    )
    parser.add_argument("source", type=Path, help="a run's folder, a model, a curated or exported set, a report.html")
    parser.add_argument("repo", metavar="ORG/NAME", help="the repository; it is made if need be")
    parser.add_argument("--kind", choices=("model", "adapter", "dataset", "report"), help="what (default: told)")
    parser.add_argument("--private", action="store_true", help="a new repository is private")
    parser.add_argument("--dry-run", action="store_true", help="list the files, upload nothing")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """List or upload. Raises OutputError for what cannot be found, read or uploaded."""
    from frugalrl.reporting.pushing import parcel_of, push

    parcel = parcel_of(arguments.source, arguments.kind)
    size = parcel.size_bytes / 1e6
    show(f"{parcel.kind}: {len(parcel.files)} files, {size:,.1f} MB from {parcel.folder}")
    if arguments.dry_run:
        show("\n".join(f"  {name}" for name in parcel.files))
        return 0
    show(f"Uploaded: {push(parcel, arguments.repo, arguments.private)}")
    return 0
