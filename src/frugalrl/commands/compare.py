"""`frugalrl compare A B`: whether B is better than A, on the same problems, or why that cannot be told."""

import argparse
import json
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show, show_verbatim


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
    parser.add_argument(
        "others", type=Path, nargs="*", metavar="B", help="the same of other models, each compared with the first"
    )
    parser.add_argument(
        "--other-prompt",
        action="store_true",
        help="compare although the prompt or chat template differs: models with their prompts, not models alone",
    )
    parser.add_argument(
        "--no-worse-than",
        type=float,
        metavar="POINTS",
        help="say whether a loss of more than this can be ruled out, and whether the two are equivalent",
    )
    parser.add_argument(
        "--looks",
        type=int,
        default=1,
        help="how often this comparison will be made as samples come in; each gets its share of the 5 %% (default: 1)",
    )
    parser.add_argument("--show", type=int, default=5, metavar="N", help="changed problems to list (default: 5)")
    parser.add_argument("--page", type=Path, help="an .html file with every sample of all models side by side")
    parser.add_argument(
        "--format", choices=("text", "json", "markdown", "latex"), default="text", help="what to print (default: text)"
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print. Raises UserErrors for what cannot be found, read or paired."""
    from frugalrl.api_comparison import compare_models
    from frugalrl.reporting.detail_text import latex_table, markdown_table

    result = compare_models(
        [arguments.first, *arguments.others],
        other_prompt=arguments.other_prompt,
        no_worse_than=arguments.no_worse_than,
        looks=arguments.looks,
        listed=arguments.show,
        page=arguments.page,
    )
    tables = {"markdown": markdown_table, "latex": latex_table}
    if arguments.format == "json":
        show_verbatim(json.dumps(result.metrics, indent=1))
    elif arguments.format in tables:
        show_verbatim(tables[arguments.format](result.rows))
    else:
        show(result.text)
        if result.page is not None:
            show(f"\nPage: {result.page} (opens in a browser, from disk)")
    return 0
