"""`frugalrl completion SHELL`: a script that completes commands, options and the names of shipped recipes."""

import argparse
from typing import Any

from frugalrl.commands.running import show_verbatim

_BASH = """_frugalrl() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" words
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"; else
    case "$command" in
{cases}
    *) words="" ;;
    esac; fi
    COMPREPLY=( $(compgen -W "$words" -- "$word") $(compgen -f -- "$word") )
}}
complete -o filenames -F _frugalrl frugalrl
"""


def register(subparsers: Any) -> None:
    """Add the command to an argparse subparsers object; `func` of what it parses returns the exit code."""
    parser = subparsers.add_parser(
        "completion",
        help="completion for your shell",
        description="Print a script that completes commands, options, shipped recipes and files. Put it into your "
        "shell's start-up file.",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="your shell")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    words = _words()
    if arguments.shell == "fish":
        lines = [f"complete -c frugalrl -n __fish_use_subcommand -f -a '{' '.join(words)}'"]
        lines += [
            f"complete -c frugalrl -n '__fish_seen_subcommand_from {name}' -a '{' '.join(known)}'"
            for name, known in words.items()
        ]
        show_verbatim("\n".join(lines))
        return 0
    cases = "\n".join(f'    {name}) words="{" ".join(known)}" ;;' for name, known in words.items())
    text = _BASH.format(commands=" ".join(words), cases=cases)
    show_verbatim("autoload -U bashcompinit && bashcompinit\n" + text if arguments.shell == "zsh" else text)
    return 0


def _words() -> dict[str, list[str]]:
    """What can follow each command: its options and choices, and recipes by name where it takes one."""
    from frugalrl.cli import options_of
    from frugalrl.commands.table import commands
    from frugalrl.config.loading import shipped_recipes

    names = list(shipped_recipes())
    taking = {"train": "", "sft": "", "recipes": "", "curate": "curate/", "convert": ""}
    found = {}
    for command in commands():
        start = taking.get(command)
        recipes = [] if start is None else [name for name in names if name.startswith(start)]
        found[command] = [*options_of(command), *recipes]
    return found
