"""Rewards as a Python program gives them: names, functions, pairs with a weight and sections, as a recipe's terms.

A function is named by its module and its own name. What cannot be imported by that name later (a lambda, a function of
a script or a notebook) has to be given again to resume its run.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import RecipeError

Given = str | Callable[..., Any] | tuple[str | Callable[..., Any], float] | Mapping[str, Any] | RewardTerm
"""One reward: a name, a function, either of them with its weight, or a section of a recipe (as a mapping, `name` may be
a function)."""


def given_rewards(given: Sequence[Given]) -> tuple[tuple[RewardTerm, ...], dict[str, Callable[..., Any]]]:
    """The terms, and the functions among them by name.

    A plain function whose name a term before it has is that term's function: so a saved recipe gets its functions
    back. Raises RecipeError for what is no reward, and for two functions of one name.
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise RecipeError(f"rewards is {given!r}. Give a list, for example rewards=['accuracy', (my_function, 0.5)].")
    terms: dict[str, RewardTerm] = {}
    functions: dict[str, Callable[..., Any]] = {}
    for one in given:
        term, function = _term(one)
        if function is not None and functions.setdefault(term.name, function) is not function:
            raise RecipeError(f"Two rewards are called {term.name}. Give each function a name of its own.")
        if term.name in terms and not callable(one):
            raise RecipeError(f"The reward {term.name} is given twice. Give it once, with the weight you mean.")
        terms.setdefault(term.name, term)
    return tuple(terms.values()), functions


def function_name(function: Callable[..., Any]) -> str:
    """The dotted path of a function, or of the class of a callable object: ``my_rewards.brevity``."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _term(one: Given) -> tuple[RewardTerm, Callable[..., Any] | None]:
    if isinstance(one, RewardTerm):
        return one, None
    if isinstance(one, tuple):
        if len(one) != 2:
            raise RecipeError(f"The reward {one!r} is no pair. Give (function, weight).")
        section: Mapping[str, Any] = {"name": one[0], "weight": one[1]}
    else:
        section = one if isinstance(one, Mapping) else {"name": one}
    name = section.get("name")
    function = name if callable(name) else None
    values = {**section, "name": name if function is None else function_name(function)}
    try:
        return RewardTerm.model_validate(values), function
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        raise RecipeError(
            f"The reward {one!r} is given wrongly: {key}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}. Give a name, a "
            "function, (function, weight), or a mapping with the keys of a recipe's reward."
        ) from None
