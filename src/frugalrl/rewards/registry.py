"""The rewards a recipe can name, with their aliases from open-r1 and their settings.

A built-in pairs a term (a group and its verdicts in, values out) with the pure function that carries its
maths; a recipe may set that function's keyword arguments and no others. The function is tried once on a
harmless sample when the recipe is read, so that a bound out of range is found before a model is loaded.
"""

import difflib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.errors import RecipeError
from frugalrl.rewards import terms
from frugalrl.rewards.format import tag_count_reward
from frugalrl.rewards.length import cosine_reward, soft_overlong_reward
from frugalrl.rewards.open_rs import open_rs_cosine, open_rs_repetition
from frugalrl.rewards.process import NOTHING_STATED, process_reward
from frugalrl.rewards.process_model import process_model_settings
from frugalrl.rewards.reasoning_steps import reasoning_steps_reward
from frugalrl.rewards.user_functions import Values
from frugalrl.types import RolloutGroup, Verdict
from frugalrl.verify.code.checker import code_settings

Term = Callable[[RolloutGroup, Sequence[Verdict]], Values]
"""A group and its verdicts in, a value for each completion out."""
Setting = float | int | str | bool


@dataclass(frozen=True)
class BuiltIn:
    """A reward by name."""

    term: Callable[..., Values]
    """``term(group, verdicts, **settings)``."""
    formula: Callable[..., object] | None = None
    """Its keyword arguments, after those that `sample` fills, are the settings; None: it takes none."""
    sample: tuple[object, ...] = ()
    """Arguments to try the formula on."""
    load: Callable[..., object] | None = None
    """Called with the settings when the recipe is read, so that errors are found before the run."""


BUILT_IN: dict[str, BuiltIn] = {
    "accuracy": BuiltIn(terms.accuracy),
    "format": BuiltIn(terms.format_),
    "tag_count": BuiltIn(terms.tag_count, tag_count_reward, ("", False)),
    "cosine": BuiltIn(terms.cosine, cosine_reward, (True, 1)),
    "length": BuiltIn(terms.length),
    "soft_overlong": BuiltIn(terms.soft_overlong, soft_overlong_reward, (1,)),
    "repetition": BuiltIn(terms.repetition, terms.repetition_settings),
    "reasoning_steps": BuiltIn(terms.reasoning_steps, reasoning_steps_reward, ("", False)),
    "language": BuiltIn(terms.language, terms.language_settings),
    "clean": BuiltIn(terms.clean, terms.clean_settings),
    "process": BuiltIn(terms.process, process_reward, (NOTHING_STATED,)),
    "process_model": BuiltIn(terms.process_model_term, process_model_settings, load=terms.load_process_model),
    "code": BuiltIn(terms.code, code_settings),
    "code_format": BuiltIn(terms.code_format),
    "open_rs_accuracy": BuiltIn(terms.open_rs_accuracy),
    "open_rs_format": BuiltIn(terms.open_rs_format),
    "open_rs_tag_count": BuiltIn(terms.open_rs_tag_count),
    "open_rs_cosine": BuiltIn(terms.open_rs_cosine, open_rs_cosine, (1.0, 1)),
    "open_rs_length": BuiltIn(terms.open_rs_length),
    "open_rs_repetition": BuiltIn(terms.open_rs_repetition, open_rs_repetition, ("",)),
    "open_rs_reasoning_steps": BuiltIn(terms.open_rs_reasoning_steps),
}

ALIASES: dict[str, str] = {
    "soft_overlong_punishment": "soft_overlong",
    "repetition_penalty": "repetition",
    "binary_code": "code",
}
"""open-r1's names that differ from ours; its other names are ours too."""

CARRIES_ACCURACY = frozenset({"cosine", "open_rs_cosine"})
"""Length terms that include the accuracy: with a closed gate they pay the plain verdict, not nothing."""


def is_built_in(name: str) -> bool:
    """Whether a reward's name is built in or an alias."""
    return name in BUILT_IN or name in ALIASES


def built_in_term(name: str, args: Mapping[str, Setting], max_completion_tokens: int) -> Term:
    """The term of a built-in reward with a recipe's settings.

    `max_length_tokens` is `max_completion_tokens` unless set. Raises RecipeError for a setting that is not
    known, of another type, or out of range, and ModelError for a model that cannot be loaded.
    """
    built_in = BUILT_IN[ALIASES.get(name, name)]
    allowed = _settings_of(built_in)
    for key, value in args.items():
        if key not in allowed:
            raise RecipeError(f"The reward {name} has no argument {key!r}. {_hint(key, sorted(allowed))}")
        if not _fits(value, allowed[key]):
            raise RecipeError(f"The reward {name} cannot take {value!r} as {key}. Give {_type_name(allowed[key])}.")
    settings: dict[str, Any] = dict(args)
    if "max_length_tokens" in allowed:
        settings.setdefault("max_length_tokens", max_completion_tokens)
    _try_out(name, built_in, settings)
    if built_in.load is not None:
        built_in.load(**settings)
    return functools.partial(built_in.term, **settings)


def unknown_reward(name: str) -> RecipeError:
    """The error for a name that is neither built in nor a dotted path."""
    known = [*BUILT_IN, *ALIASES]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(sorted(known))}."
    return RecipeError(f"There is no reward {name!r}. {hint} Name your own function as module.function.")


def _settings_of(built_in: BuiltIn) -> dict[str, Any]:
    if built_in.formula is None:
        return {}
    hints = typing.get_type_hints(built_in.formula)
    parameters = list(inspect.signature(built_in.formula).parameters)[len(built_in.sample) :]
    return {parameter: hints[parameter] for parameter in parameters}


def _try_out(name: str, built_in: BuiltIn, settings: Mapping[str, Any]) -> None:
    if built_in.formula is None:
        return
    try:
        built_in.formula(*built_in.sample, **settings)
    except ValueError as error:
        raise RecipeError(f"The reward {name} is set wrongly: {error}. Change its args.") from None
    except TypeError:
        missing = ", ".join(sorted(_required(built_in) - set(settings)))
        raise RecipeError(f"The reward {name} lacks {missing}. Add it to its args.") from None


def _required(built_in: BuiltIn) -> set[str]:
    if built_in.formula is None:
        return set()
    parameters = list(inspect.signature(built_in.formula).parameters.values())[len(built_in.sample) :]
    return {parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty}


def _fits(value: object, expected: Any) -> bool:
    if isinstance(expected, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(expected))
    if typing.get_origin(expected) is typing.Literal:
        return value in typing.get_args(expected)
    if expected is bool or isinstance(value, bool):
        return expected is bool and isinstance(value, bool)
    return isinstance(value, int | float) if expected is float else isinstance(value, expected)


def _type_name(expected: Any) -> str:
    if typing.get_origin(expected) is typing.Literal:
        return " or ".join(map(str, typing.get_args(expected)))
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    return names.get(expected, str(expected))


def _hint(key: str, allowed: Sequence[str]) -> str:
    if not allowed:
        return "It takes none."
    close = difflib.get_close_matches(key, allowed, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(allowed)}."
