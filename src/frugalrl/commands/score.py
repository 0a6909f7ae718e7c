"""`frugalrl score FILE --reward accuracy,format --out OUT`: test a reward on stored completions, before training.

The work is in `rewards/scoring.py`, behind `frugalrl.score`; this reads the arguments and prints the summary.
"""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import say, show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "score",
        help="verdicts and rewards for stored completions",
        description="Score the completions of a .jsonl or .parquet file (.gz too) as training would, and write a row "
        "for each with its verdict, the answer it was read from, the reason, and each reward.",
    )
    parser.add_argument(
        "file",
        type=Path,
        help="rows with `completion` or `prediction`, and `gold` or `answer`; or a results file of `frugalrl eval`",
    )
    parser.add_argument("--out", type=Path, required=True, help="the .jsonl file to write")
    parser.add_argument("--reward", default="accuracy", help="names with commas between (default: accuracy)")
    parser.add_argument(
        "--without-box",
        choices=("stated", "refuse"),
        default="stated",
        help="an answer outside a box: read it where it is stated (default), or refuse it as training does",
    )
    parser.add_argument(
        "--several-boxes",
        choices=("last", "first", "refuse"),
        default="last",
        help="which of several boxed answers counts (default: last)",
    )
    parser.add_argument("--reasoning-open", action="store_true", help="the prompt's template had opened <think>")
    parser.add_argument(
        "--max-completion-tokens", type=int, default=4096, help="bound of length rewards (default: 4096)"
    )
    parser.add_argument(
        "--cpu-seconds",
        type=float,
        default=2.0,
        help="processor seconds for each answer (default: 2)",
    )
    parser.add_argument("--workers", type=int, default=2, help="verifier processes (default: 2)")
    parser.add_argument("--page", type=Path, help="an .html file with every row, to filter and read")
    parser.add_argument(
        "--task", help="what judges the rows: maths, code, logic, choice (default: told by each row's columns)"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the scored rows and print a summary. Raises UserErrors for what cannot be read, named or written."""
    from frugalrl import api

    result = api.score(
        arguments.file,
        rewards=[name.strip() for name in arguments.reward.split(",") if name.strip()],
        out=arguments.out,
        without_box=arguments.without_box,
        several_boxes=arguments.several_boxes,
        reasoning_open=arguments.reasoning_open,
        max_completion_tokens=arguments.max_completion_tokens,
        cpu_seconds=arguments.cpu_seconds,
        workers=arguments.workers,
        task=arguments.task,
        page=arguments.page,
        show=say,
    )
    show(result.text)
    if arguments.page is not None:
        show(f"Page: {arguments.page} (opens in a browser, from disk)")
    return 0
