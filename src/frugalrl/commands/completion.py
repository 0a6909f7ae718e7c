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
    from frugalrl.config.loading import read_yaml, shipped_recipes
    from frugalrl.convert.detect import kind_of

    kinds = {name: kind_of(read_yaml(path)) for name, path in shipped_recipes().items()}
    return {
        command: [*options_of(command), *(name for name, kind in kinds.items() if kind in _TAKES.get(command, ()))]
        for command in commands()
    }


_TAKES = {
    "recipes": ("train", "sft", "curate"), "train": ("train",), "doctor": ("train",), "plan": ("train",),
    "convert": ("train",), "sft": ("sft",), "curate": ("curate",),
}  # fmt: skip
"""The kinds of recipes that a command takes."""
