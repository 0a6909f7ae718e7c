"""`frugalrl sft RECIPE`: supervised fine-tuning on prompts and completions, or from scratch."""

import argparse
import os
from typing import Any

from frugalrl.commands.running import STOPPED, GracefulStop, add_run_arguments, refuse_several_processes, show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser("sft", help="supervised fine-tuning on prompts and completions, or from scratch")
    add_run_arguments(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and print. Raises UserErrors for recipe, data, model and folder."""
    from frugalrl.config.loading import load_recipe
    from frugalrl.config.schema import SftRecipe
    from frugalrl.training.sft import run_sft
    from frugalrl.training.state.run_folder import open_run_folder

    recipe = load_recipe(arguments.recipe, SftRecipe, arguments.set)
    refuse_several_processes(os.environ)
    show(f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name)
    with open_run_folder(recipe, arguments.out, arguments.resume) as opened, GracefulStop() as stop:
        show(opened.message)
        model = run_sft(recipe, opened.path, opened.checkpoint, show, stop.requested)
        if model is None:
            return STOPPED
        show(f"The model is in {model}. Train it further with: frugalrl train RECIPE --set model.path={model}")
    return 0
