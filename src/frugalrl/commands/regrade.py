"""`frugalrl regrade PATH`: judge stored completions again, and see which verdicts change."""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show
from frugalrl.errors import OutputError


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "regrade",
        help="judge the samples of an evaluation again: after a fix, with another policy or a second verifier",
        description="Judge every stored sample again and show what changes. Nothing is sampled and no model is loaded. "
        "Without --out or --in-place nothing is written.",
    )
    parser.add_argument(
        "path", type=Path, help="a results file or folder of `frugalrl eval`, an imported log, or a run's folder"
    )
    parser.add_argument(
        "--with",
        dest="verifier",
        default="frugalrl",
        metavar="VERIFIER",
        help="frugalrl (default), math-verify as published, or module.function of (completion, gold) that returns "
        "True, False or None",
    )
    parser.add_argument(
        "--several-boxes",
        choices=("last", "first", "refuse"),
        default="last",
        help="which of several boxed answers counts (default: last)",
    )
    parser.add_argument(
        "--without-box",
        choices=("refuse", "stated"),
        default="refuse",
        help="an answer outside a box: refuse it as training does (default), or read it where it is stated",
    )
    parser.add_argument("--cpu-seconds", type=float, default=2.0, help="processor seconds for each answer (default: 2)")
    parser.add_argument("--workers", type=int, default=2, help="verifier processes (default: 2)")
    parser.add_argument("--show", type=int, default=10, metavar="N", help="changed samples to list (default: 10)")
    written = parser.add_mutually_exclusive_group()
    written.add_argument("--out", type=Path, help="folder for the files with the new verdicts")
    written.add_argument("--in-place", action="store_true", help="replace the files")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Judge again and print. Raises UserErrors for what cannot be read, judged or written."""
    from frugalrl import api

    if arguments.show < 0:
        raise OutputError(f"--show is {arguments.show}. Give 0 or more.")
    result = api.regrade(
        arguments.path,
        verifier=arguments.verifier,
        several_boxes=arguments.several_boxes,
        without_box=arguments.without_box,
        cpu_seconds=arguments.cpu_seconds,
        workers=arguments.workers,
        out=arguments.out,
        in_place=arguments.in_place,
        listed=arguments.show,
    )
    show(result.text)
    return 0
