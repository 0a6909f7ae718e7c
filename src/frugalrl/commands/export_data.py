"""`frugalrl export-data SOURCE --to hub`: problems as a folder for the Hub, TRL or verl, with a card."""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import say, show


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "export-data",
        help="data as a Hub folder with a card, or as prompts of TRL and verl",
        description="Write problems as a folder that the Hub, TRL or verl takes: Parquet by split, and "
        "a README.md that "
        "says what it is. The source is anything that a recipe takes: a file, a folder, a curated set, a Hub id.",
    )
    parser.add_argument("source", help="JSONL, JSON, CSV or Parquet file, folder, curated set, or Hub id")
    parser.add_argument("--to", choices=("hub", "trl", "verl"), default="hub", help="for whom (default: hub)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--recipe", help="take the prompt around each problem from this recipe (trl, verl)")
    parser.add_argument("--split", default="train", help="of a Hub id or a single file (default: train)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and say what was written. Raises UserErrors for source, recipe and folder."""
    from frugalrl.config.loading import load_recipe
    from frugalrl.config.schema import ProblemSource, PromptSettings, TrainRecipe
    from frugalrl.tasks.exporting import export_problems

    prompt = load_recipe(arguments.recipe, TrainRecipe).data.prompt if arguments.recipe else PromptSettings()
    source = ProblemSource(source=arguments.source, split=arguments.split)
    rows = export_problems(source, arguments.to, arguments.out, prompt, say)
    counts = ", ".join(f"{split} {count:,}" for split, count in rows.items())
    show(f"Written: {arguments.out} ({counts} problems), with a card in README.md.")
    if arguments.to == "hub":
        show(f"Look at the card, then: frugalrl push {arguments.out} ORG/NAME --kind dataset")
    return 0
