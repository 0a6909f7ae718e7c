"""`frugalrl train RECIPE`: GRPO from a recipe: a better checkpoint, and how much better."""

import argparse
from typing import Any

from frugalrl.commands.running import FAILED, STOPPED, add_run_arguments, say, show
from frugalrl.types import NOTHING_TO_LEARN


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser("train", help="GRPO from a recipe: a better checkpoint, and how much better")
    add_run_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="check the recipe, print what would happen, and stop")
    parser.add_argument("--ignore-doctor", action="store_true", help="start though the checks before it are red")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and print. Raises UserErrors for recipe, data, model and folder."""
    from frugalrl import api

    recipe = api.load_recipe(arguments.recipe, arguments.set)
    if arguments.dry_run:
        return _dry_run(recipe)
    from frugalrl.reporting.console import final_lines

    show(f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name)
    result = api.train(
        recipe, out=arguments.out, resume=arguments.resume, show=say, ignore_doctor=arguments.ignore_doctor
    )
    if result.summary is None:
        return STOPPED
    show(final_lines(result.summary, str(result.folder)))
    return FAILED if (result.summary.ended_early or "").startswith(NOTHING_TO_LEARN) else 0


def _dry_run(recipe: Any) -> int:
    """The derived figures; rewards, surrogate and advantage rule are checked as a run would."""
    from frugalrl.planning.figures import training_figures
    from frugalrl.reporting.console import table
    from frugalrl.rewards.rubric import build_rubric
    from frugalrl.training.rules import check_algorithm

    build_rubric(recipe.rewards, recipe.rollout.max_completion_tokens)
    check_algorithm(recipe)
    show(table(training_figures(recipe)))
    return 0
