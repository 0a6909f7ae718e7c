"""`frugalrl doctor RECIPE`: what would keep a run from learning, before it costs anything. Exit code 2 on red."""

import argparse
import json
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show, show_verbatim
from frugalrl.errors import RecipeError

RED = 2
"""Exit code where something is red: a mistake that the user can fix."""


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "doctor",
        help="what would keep a recipe from learning: run it before you train",
        description="Samples the real policy through the real template, data and rewards, tries an update on a copy, "
        "and prints a line for each check: green, yellow or red, with the fix. Exit code 2 if anything is red.",
    )
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped one: see `frugalrl recipes`")
    parser.add_argument(
        "--set", action="append", default=[], metavar="A.B=C", help="replace a value of the recipe; may be repeated"
    )
    parser.add_argument("--out", type=Path, help="the folder that the run would have")
    parser.add_argument("--cheap", action="store_true", help="no samples and no update: what `train` checks by itself")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long sampling may take (default: 3)")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found. A recipe that cannot be read is a red finding, too."""
    from frugalrl import api
    from frugalrl.planning.doctor.finding import Examination, Finding

    try:
        recipe = api.load_recipe(arguments.recipe, arguments.set)
    except RecipeError as error:
        if not arguments.as_json:
            raise
        finding = Finding("recipe/schema", "red", str(error), "Correct the recipe where the message says")
        found = Examination(arguments.recipe, (finding,), 0.0)
    else:
        found = api.doctor(recipe, out=arguments.out, minutes=arguments.minutes, cheap=arguments.cheap)
    if arguments.as_json:
        show_verbatim(json.dumps(found.to_json(), indent=1, ensure_ascii=False))
    else:
        show(found.to_text())
    return RED if found.reds else 0
