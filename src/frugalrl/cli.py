"""The command line. Imports a command's module when it is called, and torch only when that needs it.

Decisions:
- argparse, not typer: importing typer alone takes longer than this whole `--help`, and the commands need nothing that
  argparse lacks but a grouped list, which is made from `commands/table.py`.
- Exit codes: 0 done, 1 our fault (a traceback), 2 the user's mistake (one message), 3 a run that ended because nothing
  could be learned any more, 130 stopped by Ctrl-C, SIGTERM or SIGHUP.
"""

import argparse
import difflib
import importlib
import itertools
import math
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from frugalrl import __version__
from frugalrl.commands.table import GROUPS, commands

_SUMMARY = "Improve a small reasoning model with GRPO and verifiable rewards."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given:  # nothing is misspelt where nothing is written
        sys.stderr.write(help_text())
        return 2
    if given[0] in ("-h", "--help"):
        sys.stdout.write(help_text())
        raise SystemExit(0)  # as the help of a command ends
    if given[0] == "--version":
        sys.stdout.write(f"frugalrl {__version__}\n")
        return 0
    if given[0] not in commands():
        return _unknown(given[0])
    chosen = _parser(given[0]).parse_args(given)
    wrong = _without_value(given, chosen)
    if wrong is not None:
        sys.stderr.write(f"frugalrl {given[0]}: {wrong}\n")
        return 2
    return _run(given, chosen)


def _without_value(given: Sequence[str], chosen: argparse.Namespace) -> str | None:
    """What argparse takes and nothing can be done with: an empty text, which as a path is the current folder, and a
    number that is none. None if all is well."""
    for before, word in itertools.pairwise(given):
        if not word.strip() or (word.startswith("--") and word.endswith("=") and word.count("=") == 1):
            name = word.rstrip("=") if word.strip() else before
            return f"{name} is given an empty text. Is a variable of the shell not set? Give a value or leave it out."
    for name, value in vars(chosen).items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"--{name.replace('_', '-')} is {value}. Give a finite number."
    return None


def _run(given: Sequence[str], chosen: argparse.Namespace) -> int:
    import logging
    import warnings

    from frugalrl.commands.display import complain
    from frugalrl.commands.launching import is_to_launch, launch
    from frugalrl.commands.running import STOPPED, displaying
    from frugalrl.errors import UserError
    from frugalrl.threads import settle_threads
    from frugalrl.training.distributed.launch import refuse_several_processes, speaks

    command, shared = given[0], getattr(chosen, "shared_by", None)
    try:
        if shared is not None and not getattr(chosen, "dry_run", False) and is_to_launch(shared, os.environ):
            return launch(given, shared)
    except UserError as error:
        complain(f"frugalrl: {error}")
        return 2
    settle_threads()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    warnings.filterwarnings("default", module="frugalrl")
    is_long = commands()[command].is_long or commands()[command].is_slow
    complaint = ""
    with displaying(getattr(chosen, "quiet", False), getattr(chosen, "json", False), is_long) as ended:
        try:
            if command not in ("train", "sft", "eval"):
                refuse_several_processes(os.environ, command)
            code = ended(int(chosen.func(chosen)))
        except UserError as error:
            code = ended(2)
            complaint = f"frugalrl: {error}" if speaks(error) else ""
        except KeyboardInterrupt:
            code = ended(STOPPED)
            complaint = "\nfrugalrl: stopped at once; the newest checkpoint, if there is one, is kept."
        except BrokenPipeError:
            # The reader of a pipe (head, less) has left; writing to it again at exit would raise once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
    if complaint:  # below whatever bar there was
        complain(complaint)
    return code


def help_text() -> str:
    """The commands by group, and the first ones to try."""
    lines = ["usage: frugalrl COMMAND ...", "", _SUMMARY]
    for heading, group in GROUPS.items():
        lines += ["", f"{heading}:", *(f"  {name:<13}{command.purpose}" for name, command in group.items())]
    lines += [
        "",
        "First:   frugalrl train quickstart     a tiny model, on a CPU, in minutes",
        "Then:    frugalrl init                 a recipe for your model and your data",
        "More:    frugalrl COMMAND --help       options and examples",
    ]
    return "\n".join(lines) + "\n"


def _unknown(word: str) -> int:
    close = difflib.get_close_matches(word, commands(), n=1)
    hint = f"Did you mean {close[0]}?" if close else "See frugalrl --help."
    sys.stderr.write(f"frugalrl: there is no command {word!r}. {hint}\n")
    return 2


class _Parser(argparse.ArgumentParser):
    """argparse with the nearest name where an option is misspelt."""

    def error(self, message: str) -> NoReturn:
        known = _words_of(self)
        wrong = [part for part in message.replace("'", " ").replace("=", " ").split() if part not in known]
        is_missing = "required" in message  # then no word of the message is the user's
        close = None if is_missing else next((m for part in wrong for m in _closest(part, known)), None)
        hint = f" Did you mean {close}?" if close else f" See {self.prog} --help."
        self.exit(2, f"{self.prog}: {message}.{hint}\n")


def _closest(part: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(part, known, n=1)


def _words_of(parser: argparse.ArgumentParser) -> list[str]:
    """Every option and choice that a parser and its commands know."""
    words: list[str] = []
    for action in parser._actions:
        words += [*action.option_strings, *(str(choice) for choice in action.choices or ())]
        if isinstance(action, argparse._SubParsersAction):
            words += [word for command in action.choices.values() for word in _words_of(command)]
    return words


def _parser(name: str) -> argparse.ArgumentParser:
    """The parser of one command, below `frugalrl`."""
    command = commands()[name]
    parser = _Parser(prog="frugalrl")
    below = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    importlib.import_module(f"frugalrl.commands.{command.module}").register(below)
    own: argparse.ArgumentParser = below.choices[name]
    own.formatter_class = argparse.RawDescriptionHelpFormatter
    own.description = _filled(own.description or command.purpose)
    own.epilog = "examples:\n" + "\n".join(f"  frugalrl {name} {one}".rstrip() for one in command.examples)
    if command.is_long:
        group = own.add_argument_group("output")
        group.add_argument("-q", "--quiet", action="store_true", help="warnings and results only")
        group.add_argument("--json", action="store_true", help="an event a line, as JSON")
    return parser


def options_of(name: str) -> list[str]:
    """Every option and choice of a command, for completion."""
    below = next(one for one in _parser(name)._actions if isinstance(one, argparse._SubParsersAction))
    return sorted(set(_words_of(below.choices[name])))


def _filled(text: str) -> str:
    import shutil
    import textwrap

    return textwrap.fill(text, max(40, min(100, shutil.get_terminal_size().columns - 2)))
