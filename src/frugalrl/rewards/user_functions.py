"""A user's own reward function, named by its dotted path and called with TRL's signature.

``f(prompts=..., completions=..., completion_ids=..., **columns) -> list[float | None]``, sync or async. As in
TRL, each column holds one entry for each completion, None means "no verdict", and a function that names its
parameters without ``**kwargs`` is given only those.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from frugalrl.errors import RecipeError
from frugalrl.types import RolloutGroup

Values = Sequence[float | None]


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

    What the function raises is passed on with a note that names it; RecipeError if it gives no list.
    """
    keywords = _accepted(function, _keywords(group, conversational) | dict(args))
    try:
        values = function(**keywords)
        if inspect.isawaitable(values):
            values = _wait_for(values)
    except Exception as error:  # whatever the user's code raises, they need to see it, and whose it is
        error.add_note(f"Raised by the reward {path}.")
        raise
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise RecipeError(f"The reward {path} gave {values!r}. Return a list with one number or None a completion.")
    return list(values)


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
    }


def _accepted(function: Callable[..., Any], keywords: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return keywords
    named = {parameter.name for parameter in parameters}
    return {name: value for name, value in keywords.items() if name in named}


def _wait_for(values: Any) -> Any:
    """Run a coroutine to its end; in a thread of its own where a loop runs in this one already."""

    async def waited() -> Any:
        return await values

    coroutine: Coroutine[Any, Any, Any] = waited()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
