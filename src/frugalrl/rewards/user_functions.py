"""A user's reward function, named by its dotted path and called with TRL's signature.

``f(prompts=..., completions=..., completion_ids=..., **columns) -> list[float | None]``, sync or async. As in
TRL, each column holds one entry for each completion, None means "no verdict", and a function that names its
parameters without ``**kwargs`` is given only those. `trainer_state` knows the global step and nothing else. Values
may be numbers of numpy or torch, or an array of them.
"""

import asyncio
import inspect
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Real
from typing import Any

from frugalrl.errors import RecipeError
from frugalrl.types import RolloutGroup

Values = Sequence[float | None]

_GIVEN = frozenset({"prompts", "completions", "completion_ids", "trainer_state", "problem", "answer"})
_TRL_ALONE = frozenset({"log_extra", "log_metric", "environments"})
"""What newer TRL passes too, and has no counterpart here."""


@dataclass(frozen=True)
class TrainerState:
    """What a function may read from TRL's `trainer_state`."""

    global_step: int
    """Optimizer updates that the sampling weights had seen."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"trainer_state has global_step and no {name}: that belongs to another trainer")


def check_parameters(
    function: Callable[..., Any], path: str, args: Collection[str], columns: Collection[str] | None
) -> None:
    """Raise RecipeError for an argument that the function does not take, or a parameter that nothing would fill.

    columns: of every problem; None while the data are not known, when any name may still be one of theirs.
    """
    parameters = _parameters(function)
    if parameters is None:
        return
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    unknown = sorted(set(args) - {one.name for one in parameters})
    if unknown and not takes_all:
        raise RecipeError(f"The reward {path} has no parameter {unknown[0]!r}. Take it out of its args.")
    for one in parameters:
        if one.kind is inspect.Parameter.POSITIONAL_ONLY and one.default is inspect.Parameter.empty:
            raise RecipeError(f"The reward {path} takes {one.name} by position only. Rewards are called by name.")
        is_needed = one.kind in _BY_NAME and one.default is inspect.Parameter.empty
        is_known = one.name in _GIVEN or one.name in args
        if not is_needed or is_known or (columns is None and one.name not in _TRL_ALONE) or one.name in (columns or ()):
            continue
        there = ", ".join(sorted(_GIVEN | set(columns or ())))
        raise RecipeError(
            f"The reward {path} needs {one.name!r}, which is no column of every problem. Give the parameter a "
            f"default, set it in args, or use one of: {there}."
        )


_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """None for a compiled function without a signature."""
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:
        return None


def call_user_function(
    function: Callable[..., Any],
    path: str,
    group: RolloutGroup,
    args: Mapping[str, float | int | str | bool],
    conversational: bool,
) -> Values:
    """Its values for a group.

    conversational: hand prompts and completions as lists of messages, as TRL does for a conversational data
        set, e.g. for functions that read ``completion[0]["content"]``; else as text.

    What the function raises is passed on with a note that names it; RecipeError if it gives no list or exits.
    """
    keywords = _accepted(function, _keywords(group, conversational) | dict(args))
    try:
        values = function(**keywords)
        if inspect.isawaitable(values):
            values = _wait_for(values)
    except SystemExit as error:
        raise RecipeError(
            f"The reward {path} ended the program (exit code {error.code}). Return a value or raise an exception."
        ) from error
    except Exception as error:  # whatever the user's code raises, they need to see it, and whose it is
        error.add_note(f"Raised by the reward {path}.")
        raise
    return _plain_values(values, path)


def _plain_values(values: Any, path: str) -> Values:
    """Built-in numbers and None, from a list or an array of numpy or torch. What is neither is left for the rubric."""
    is_array = hasattr(values, "tolist")
    plain = values.tolist() if is_array else values
    if isinstance(plain, str | bytes | Mapping) or not hasattr(plain, "__iter__"):
        raise RecipeError(f"The reward {path} gave {values!r}. Return a list with one number or None per completion.")
    return [_plain_number(_only(value) if is_array else value) for value in plain]


def _plain_number(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = _only(value.tolist())
    return float(value) if isinstance(value, Real) else value


def _only(value: Any) -> Any:
    """The one number of a row or a vector of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _keywords(group: RolloutGroup, conversational: bool) -> dict[str, Any]:
    problem, count = group.prompt.problem, len(group.completions)
    columns = dict(problem.columns) | {"problem": problem.text, "answer": problem.gold}
    prompt: Any = group.prompt.text
    completions: list[Any] = [completion.text for completion in group.completions]
    if conversational:
        prompt = [{"role": "user", "content": problem.text}]
        completions = [[{"role": "assistant", "content": text}] for text in completions]
    return {name: [value] * count for name, value in columns.items()} | {
        "prompts": [prompt] * count,
        "completions": completions,
        "completion_ids": [list(completion.token_ids) for completion in group.completions],
        "trainer_state": TrainerState(
            max((max(one.policy_versions, default=0) for one in group.completions), default=0)
        ),
    }


def _accepted(function: Callable[..., Any], keywords: dict[str, Any]) -> dict[str, Any]:
    parameters = _parameters(function)
    if parameters is None or any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return keywords
    named = {parameter.name for parameter in parameters}
    return {name: value for name, value in keywords.items() if name in named}


def _wait_for(values: Any) -> Any:
    """Run a coroutine to its end; in its own thread if this one already runs a loop."""

    async def waited() -> Any:
        return await values

    coroutine: Coroutine[Any, Any, Any] = waited()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
