"""The command line. Imports no torch until a command needs it, so that `frugalrl --help` answers at once.

Exit codes: 0 done, 1 our fault (a traceback), 2 the user's mistake (one message), 3 a run that ended because nothing
could be learned any more, 130 stopped by Ctrl-C, SIGTERM or SIGHUP.
"""

import argparse
import difflib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from frugalrl import __version__
from frugalrl.commands import (
    check_golds,
    compare,
    convert,
    curate,
    doctor,
    guard,
    meter,
    regrade,
    report,
    schema,
    score,
    sft,
    train,
)
from frugalrl.commands import eval as evaluate
from frugalrl.commands.running import STOPPED
from frugalrl.errors import UserError

_COMMANDS = (
    train,
    doctor,
    sft,
    curate,
    evaluate,
    regrade,
    compare,
    report,
    guard,
    score,
    check_golds,
    meter,
    convert,
    schema,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    parser = _parser()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given:  # nothing is misspelt where nothing is written
        parser.print_help(sys.stderr)
        return 2
    chosen = parser.parse_args(given)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    warnings.filterwarnings("default", module="frugalrl")
    try:
        return int(chosen.func(chosen))
    except UserError as error:
        sys.stderr.write(f"frugalrl: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nfrugalrl: stopped at once; the newest checkpoint, if there is one, is kept.\n")
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
        is_missing = "required" in message  # then no word of the message is the user's
        close = None if is_missing else next((m for part in wrong for m in _closest(part, known)), None)
        hint = f" Did you mean {close}?" if close else f" See {self.prog} --help."
        self.exit(2, f"{self.prog}: {message}.{hint}\n")


def _closest(part: str, known: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(part, known, n=1)


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
    for command in _COMMANDS:
        command.register(commands)
    return parser
