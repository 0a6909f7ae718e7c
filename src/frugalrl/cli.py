"""The command line. Imports no torch until a command needs it, so that `frugalrl --help` answers at once.

Exit codes: 0 done, 1 our fault (a traceback), 2 the user's mistake (one message), 130 stopped by Ctrl-C.
"""

import argparse
import difflib
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from frugalrl import __version__
from frugalrl.commands import check_golds, compare, curate, guard, meter, report, score
from frugalrl.commands import eval as evaluate
from frugalrl.errors import UserError
from frugalrl.training.limits.stopping import StopRequest

STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    warnings.filterwarnings("default", module="frugalrl")
    try:
        return int(chosen.func(chosen))
    except UserError as error:
        sys.stderr.write(f"frugalrl: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nfrugalrl: stopped at once; what the last checkpoint holds is kept.\n")
        return STOPPED
    except BrokenPipeError:
        # The reader of a pipe (head, less) has left; writing to it again at exit would raise once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _Parser(argparse.ArgumentParser):
    """argparse with the nearest name where a command or option is misspelt."""

    def error(self, message: str) -> NoReturn:
        known = _words_of(self)
        wrong = [part for part in message.replace("'", " ").replace("=", " ").split() if part not in known]
        close = next((match for part in wrong for match in difflib.get_close_matches(part, known, n=1)), None)
        hint = f" Did you mean {close}?" if close else f" See {self.prog} --help."
        self.exit(2, f"{self.prog}: {message}.{hint}\n")


def _words_of(parser: argparse.ArgumentParser) -> list[str]:
    """Every option and command that a parser and its commands know."""
    words: list[str] = []
    for action in parser._actions:
        words += [*action.option_strings, *(str(choice) for choice in action.choices or ())]
        if isinstance(action, argparse._SubParsersAction):
            words += [word for command in action.choices.values() for word in _words_of(command)]
    return words


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="frugalrl",
        description="Improve a small reasoning model with GRPO and verifiable rewards, on a small budget.",
    )
    parser.add_argument("--version", action="version", version=f"frugalrl {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    train = commands.add_parser("train", help="GRPO from a recipe: a better checkpoint, and how much better")
    _add_run_arguments(train)
    train.add_argument("--dry-run", action="store_true", help="print what would happen, and stop")
    train.set_defaults(func=_train)
    sft = commands.add_parser("sft", help="supervised fine-tuning on prompts and completions, or from scratch")
    _add_run_arguments(sft)
    sft.set_defaults(func=_sft)
    for command in (curate, evaluate, compare, report, guard, score, check_golds, meter):
        command.register(commands)
    schema = commands.add_parser("schema", help="print the JSON Schema of a recipe, for editors")
    schema.add_argument("kind", choices=("train", "sft", "curate"), help="which kind of recipe")
    schema.set_defaults(func=_schema)
    return parser


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="a YAML file, see recipes/")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="replace a value of the recipe; may be repeated",
    )
    parser.add_argument("--out", type=Path, help="the run's folder (default: runs/NAME, or the next free one)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint of the run's folder")


def _train(chosen: argparse.Namespace) -> int:
    from frugalrl.config.loading import load_recipe
    from frugalrl.config.schema import TrainRecipe
    from frugalrl.planning.figures import training_figures
    from frugalrl.reporting.console import closing_lines, table

    recipe = load_recipe(chosen.recipe, TrainRecipe, chosen.set)
    if chosen.dry_run:
        from frugalrl.training.rules import check_algorithm

        check_algorithm(recipe)
        _show(table(training_figures(recipe)))
        return 0
    from frugalrl.reporting.report import report_runs
    from frugalrl.training.state.run_folder import open_run_folder
    from frugalrl.training.trainer import train

    _show(f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name)
    with open_run_folder(recipe, chosen.out, chosen.resume) as opened, _GracefulStop() as stop:
        _show(opened.message)
        summary = train(recipe, opened.path, opened.checkpoint, _show, stop.requested, stop.evaluating)
        if summary is None:
            return STOPPED
        report_runs([opened.path], opened.path / "report.html")
        _show(closing_lines(summary, str(opened.path)))
    return 0


def _sft(chosen: argparse.Namespace) -> int:
    from frugalrl.config.loading import load_recipe
    from frugalrl.config.schema import SftRecipe
    from frugalrl.training.sft import run_sft
    from frugalrl.training.state.run_folder import open_run_folder

    recipe = load_recipe(chosen.recipe, SftRecipe, chosen.set)
    _show(f"{recipe.name}: {recipe.description}" if recipe.description else recipe.name)
    with open_run_folder(recipe, chosen.out, chosen.resume) as opened, _GracefulStop() as stop:
        _show(opened.message)
        model = run_sft(recipe, opened.path, opened.checkpoint, _show, stop.requested)
        if model is None:
            return STOPPED
        _show(f"The model is in {model}. Train it further with: frugalrl train RECIPE --set model.path={model}")
    return 0


def _schema(chosen: argparse.Namespace) -> int:
    from frugalrl.config.curation_schema import CurationSpec
    from frugalrl.config.schema import SftRecipe, TrainRecipe
    from frugalrl.config.section import Section

    kinds: dict[str, type[Section]] = {"train": TrainRecipe, "sft": SftRecipe, "curate": CurationSpec}
    _show(json.dumps(kinds[chosen.kind].model_json_schema(), indent=2))
    return 0


def _show(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except UnicodeEncodeError:  # a terminal that is not UTF-8 still gets its numbers
        sys.stdout.write(line.encode("ascii", "replace").decode() + "\n")


class _GracefulStop:
    """Ctrl-C and SIGTERM: the first asks the run to stop after its step, a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self._request = StopRequest()
        self.requested, self.evaluating = self._request.requested, self._request.evaluating

    def __enter__(self) -> "_GracefulStop":
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested() and number == signal.SIGINT:
            raise KeyboardInterrupt
        try:
            self._request.ask()  # first: a second signal may come while the line is printed
        finally:
            _show("\nStopping after this step, with a checkpoint. Press Ctrl-C again to stop at once.")
