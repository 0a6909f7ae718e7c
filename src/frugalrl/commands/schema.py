"""`frugalrl schema KIND`: the JSON Schema of a recipe, for editors."""

import argparse
import json
from typing import Any

from frugalrl.commands.running import show_verbatim


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser("schema", help="print the JSON Schema of a recipe, for editors")
    parser.add_argument("kind", choices=("train", "sft", "curate"), help="which kind of recipe")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the schema."""
    from frugalrl.config.curation_schema import CurationSpec
    from frugalrl.config.schema import SftRecipe, TrainRecipe
    from frugalrl.config.section import Section

    kinds: dict[str, type[Section]] = {"train": TrainRecipe, "sft": SftRecipe, "curate": CurationSpec}
    show_verbatim(json.dumps(kinds[arguments.kind].model_json_schema(), indent=2))
    return 0
