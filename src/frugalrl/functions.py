"""Functions that a recipe names: built-in ones by a short name, a user's by a dotted path.

A short name is an alias of a dotted path, so both are found in the same way. A new built-in is a file with the function
and a line in a table here; the recipe's schema takes the names it accepts from these tables.

A function gets its data as positional arguments and its settings as keywords: those keys of its section of the recipe
that its signature names, and `args`. How to write one: docs/extending.md.
"""

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from frugalrl.config.dotted_paths import import_dotted
from frugalrl.errors import RecipeError

SURROGATES: Mapping[str, str] = {
    "ppo": "frugalrl.algorithms.losses.ppo",
    "gspo": "frugalrl.algorithms.losses.gspo",
    "cispo": "frugalrl.algorithms.losses.cispo",
    "sapo": "frugalrl.algorithms.losses.sapo",
}
"""`algorithm.loss.surrogate`: (LossInputs) -> (loss of each token, where a bound took effect)."""

ADVANTAGE_RULES: Mapping[str, str] = {"group": "frugalrl.algorithms.advantages.group_advantages"}
"""`algorithm.advantage.rule`: (rewards [..., G]) -> advantages of the same shape."""

SAMPLERS: Mapping[str, str] = {
    "shuffle": "frugalrl.data.sampler.shuffled_epochs",
    "curriculum": "frugalrl.data.sampler.shuffled_epochs",
}
"""`data.sampler.mode`: (memory, Draw) -> (indices of problems, the memory after them)."""

ADVANTAGE_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper": {"center": "mean", "divisor": "std", "correction": 0, "epsilon": 0.0},
    "trl": {"center": "mean", "divisor": "std", "correction": 1, "epsilon": 1e-4},
    "dr_grpo": {"center": "mean", "divisor": "none", "correction": 0, "epsilon": 0.0},
    "population": {"center": "mean", "divisor": "std", "correction": 0, "epsilon": 1e-6},
}
"""`algorithm.advantage.preset`: settings of the rule `group`; their sources are in algorithms/advantages.py."""

Setting = float | int | str | bool
"""What a recipe may pass to a function in `args`."""


def known_name(name: str, table: Mapping[str, object], what: str, dotted: bool = True) -> str:
    """The name unchanged. Raises ValueError if it is neither in the table nor, where allowed, a dotted path."""
    if name in table or (dotted and "." in name):
        return name
    close = difflib.get_close_matches(name, table, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(table)}"
    own = "; a function of your own is module.function" if dotted else ""
    raise ValueError(f"there is no {what} {name!r} ({hint}{own})")


def import_function(path: str, what: str) -> Callable[..., Any]:
    """The function at ``package.module.name``; `what` is its role in the message, e.g. ``"reward"``.

    A module in the current folder is found too, after everything that is installed, so that a user's file with the name
    of a library shadows nothing. Raises RecipeError if there is nothing callable.
    """
    function = import_dotted(path, what)
    if not callable(function):
        raise RecipeError(f"The {what} {path!r} is not a function. Name a function of that module.")
    return function


def bound_function(
    name: str,
    table: Mapping[str, str],
    what: str,
    data: tuple[str, ...],
    section: Mapping[str, Any],
    args: Mapping[str, Setting],
    asked: Collection[str] = (),
) -> functools.partial[Any]:
    """The function that a recipe names, with its settings bound; what remains to pass is its `data`.

    data: the names of the positional arguments, for messages. section: keys of the recipe's section, of which the
    function gets those that its signature names. asked: those of them that the recipe has turned on, which a function
    that does not name them would ignore. Raises RecipeError for a function that cannot be imported or called so, and
    for a setting that is unknown, ignored or missing.
    """
    function = import_function(table.get(name, name), what)
    named, takes_any = _settings_of(function, name, what, data)
    ignored = [key for key in asked if key not in named and not takes_any]
    if ignored:
        raise RecipeError(f"The {what} {name} takes no {ignored[0]}, which the recipe sets. Leave {ignored[0]} out.")
    for key in args:
        if key in section:
            raise RecipeError(f"The {what} {name} is given {key} in args, which is a key of its section. Set it there.")
        if key not in named and not takes_any:
            close = difflib.get_close_matches(key, named, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(named) or 'none'}."
            raise RecipeError(f"The {what} {name} has no argument {key!r}. {hint}")
    offered = {key: value for key, value in section.items() if key in named or (takes_any and key in asked)}
    settings = offered | dict(args)
    missing = [key for key, parameter in named.items() if parameter.default is parameter.empty and key not in settings]
    if missing:
        raise RecipeError(f"The {what} {name} needs {', '.join(missing)}. Add it to its args.")
    return functools.partial(function, **settings)


def _settings_of(
    function: Callable[..., Any], name: str, what: str, data: tuple[str, ...]
) -> tuple[dict[str, inspect.Parameter], bool]:
    """The parameters after those of the data, and whether any keyword is accepted."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise RecipeError(f"The {what} {name} shows no signature. Name a function that is written in Python.") from None
    by_position = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(by_position) < len(data) and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        raise RecipeError(
            f"The {what} {name} takes {len(by_position)} positional arguments, and is called with "
            f"({', '.join(data)}). Give it these, and its settings as keywords."
        )
    named = {one.name: one for one in by_position[len(data) :] if one.kind is not one.POSITIONAL_ONLY}
    named |= {one.name: one for one in parameters if one.kind is one.KEYWORD_ONLY}
    return named, any(one.kind is one.VAR_KEYWORD for one in parameters)
