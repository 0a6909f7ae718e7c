"""`frugalrl init`: write a recipe for a model and data of your own, asking little and checking what it is told.

Without a terminal, or with both --model and --data, it asks nothing.
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from frugalrl.commands.running import say, show
from frugalrl.errors import OutputError, RecipeError, UserError

T = TypeVar("T")


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "init",
        help="write a recipe for your model and data",
        description="Write a recipe for your model and data. Asks for what is not given, reads the model's "
        "configuration and the first rows of the data, and says what it found. No weights are loaded.",
    )
    parser.add_argument("--model", help="folder in Hub layout, Hub id, or builtin:tiny")
    parser.add_argument("--data", help="JSONL, JSON, CSV or Parquet file, folder, Hub id, or arithmetic")
    parser.add_argument("--steps", type=int, default=100, help="of training (default: 100)")
    parser.add_argument("--name", help="the recipe's name (default: made of the data's)")
    parser.add_argument("--out", type=Path, help="the file to write (default: NAME.yaml)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask, look, write. Raises UserErrors for model, data and the file."""
    from frugalrl.config.foreign import recipe_text
    from frugalrl.files import atomic_write
    from frugalrl.planning.starter import look_at_data, look_at_model, starter_recipe
    from frugalrl.reporting.console import table

    if arguments.steps < 1:
        raise RecipeError(f"There cannot be {arguments.steps} steps. Give --steps 1 or more.")
    model = _answered(arguments.model, "Model (folder or Hub id)", "builtin:tiny", "--model", look_at_model)
    about = "unknown until it is loaded" if model.context_tokens is None else f"{model.context_tokens:,} tokens"
    say(f"Model: {model.path}; context {about}.")
    data = _answered(
        arguments.data, "Data (file, folder or Hub id)", "arithmetic", "--data", lambda one: look_at_data(one, say)
    )
    missing = f", {data.without_gold} rows without a gold answer are left out" if data.without_gold else ""
    say(f"Data: {data.source}; {data.rows} rows looked at{missing}.")
    name = (
        arguments.name or re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data.source).name.split(".")[0]).strip("-.") or "mine"
    )
    out = arguments.out or Path(f"{name}.yaml")
    if out.exists() and not arguments.force:
        raise OutputError(f"{out} is there already. Choose another --out, or replace it with --force.")
    text = recipe_text(starter_recipe(name, model, data, arguments.steps))
    with atomic_write(out) as file:
        file.write(text)
    next_steps = [
        (f"frugalrl train {out} --dry-run", "every derived figure, before any cost"),
        (f"frugalrl doctor {out}", "what would keep it from learning"),
        (f"frugalrl train {out}", ""),
    ]
    if data.source != "arithmetic" and Path(data.source).is_file():
        next_steps.insert(0, (f"frugalrl check-golds {data.source}", "can every answer be verified?"))
    show(f"Written: {out}\n\n{table([('', *step) for step in next_steps])}")
    return 0


def _answered(given: str | None, question: str, default: str, option: str, look: Callable[[str], T]) -> T:
    """What a look at an answer found; asked again on a terminal until the answer is one."""
    if given is not None:
        return look(given)
    if not sys.stdin.isatty():
        raise RecipeError(f"There is no terminal to ask on. Give {option}.")
    while True:
        answer = input(f"{question} [{default}]: ").strip() or default
        try:
            return look(answer)
        except UserError as error:
            say(f"  {error}")
