"""`frugalrl recipes`: the recipes that are shipped, by name; with a name, the file itself."""

import argparse
from typing import Any

from frugalrl.commands.running import show, show_verbatim


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "recipes",
        help="the recipes that are shipped, by name",
        description="List the shipped recipes by name, with the command that runs each. With a name, print the file, "
        "to read or to change.",
    )
    parser.add_argument("name", nargs="?", help="print this one")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list or one file. Raises RecipeError for a name that there is not."""
    from frugalrl.config.loading import find_recipe, read_yaml, shipped_recipes
    from frugalrl.convert.detect import kind_of

    if arguments.name is not None:
        show_verbatim(find_recipe(arguments.name).read_text(encoding="utf-8").rstrip())
        return 0
    lines = []
    for name, path in shipped_recipes().items():
        values = read_yaml(path)
        command = kind_of(values)
        lines.append(f"frugalrl {command} {name}\n    {values.get('description', '')}")
    show("\n".join(lines) + "\n\nTo change one: frugalrl recipes NAME > my.yaml, or --set A.B=C.")
    return 0
