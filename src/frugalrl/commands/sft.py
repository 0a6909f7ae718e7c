"""`frugalrl sft RECIPE`: supervised fine-tuning on prompts and completions, or from scratch."""

import argparse
from typing import Any

from frugalrl.commands.running import STOPPED, add_run_arguments, say, show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser("sft", help="supervised fine-tuning on prompts and completions, or from scratch")
    add_run_arguments(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and print. Raises UserErrors for recipe, data, model and folder."""
    from frugalrl import api

    recipe = api.load_recipe(arguments.recipe, arguments.set, kind="sft")
    show(f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name)
    result = api.sft(recipe, out=arguments.out, resume=arguments.resume, show=say)
    if result.model is None:
        return STOPPED
    show(
        f"The model is in {result.model}. Train it further with: frugalrl train RECIPE --set model.path={result.model}"
    )
    return 0
