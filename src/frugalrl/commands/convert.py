"""`frugalrl convert FILE`: recipes of TRL, open-r1 and open-rs into ours, and ours into those of other trainers.

The work is in `convert/`, behind `frugalrl.config.foreign`; this reads arguments, prints, and writes one file.
"""

import argparse
from pathlib import Path
from typing import Any

from frugalrl.commands.running import show, show_verbatim


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "convert",
        help="a GRPO recipe of TRL, open-r1 or open-rs into ours; ours into TRL's, verl's, prime-rl's",
        description="Read a GRPO recipe of TRL, open-r1 or open-rs and write ours, with a line for each "
        "key: translated, "
        "or not, with the reason and what to write instead. With --to, the other way round.",
    )
    parser.add_argument("file", help="their YAML file; with --to, a recipe of ours or the name of a shipped one")
    parser.add_argument("--out", type=Path, help="the file to write (default: print it)")
    parser.add_argument("--to", choices=("trl", "verl", "prime-rl"), help="write our recipe for another trainer")
    parser.add_argument(
        "--processes", type=int, help="training processes it was started with (num_processes; default: 1, and said)"
    )
    parser.add_argument("--rows", type=int, help="rows of the training data, to turn epochs into steps")
    parser.add_argument(
        "--defaults",
        metavar="VERSION",
        help="the version of TRL whose defaults it relied on, such as 0.18 (default: the newest its keys allow)",
    )
    parser.add_argument("--name", help="the recipe's name (default: the file's)")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert. Returns 1 if something that changes what is learned could not be translated. Raises RecipeError."""
    from frugalrl.config.foreign import export_recipe, import_recipe
    from frugalrl.convert.report import account
    from frugalrl.convert.trl_reading import Circumstances
    from frugalrl.files import atomic_write

    if arguments.to is not None:
        text, lines = export_recipe(arguments.file, arguments.to, arguments.processes or 1)
    else:
        name = arguments.name or Path(arguments.file).stem
        given = Circumstances(arguments.processes, arguments.rows, arguments.defaults, name)
        text, lines = import_recipe(arguments.file, given)
    if arguments.out is None:
        show_verbatim(f"{text.rstrip()}\n")
    else:
        with atomic_write(arguments.out) as file:
            file.write(text)
    show(account(lines))
    if arguments.out is not None:
        after = (
            f"Check it: frugalrl train {arguments.out} --dry-run" if arguments.to is None else "It needs its own data."
        )
        show(f"\nWritten: {arguments.out}. {after}")
    return int(arguments.to is None and any(line.fate in ("missing", "unknown") for line in lines))
