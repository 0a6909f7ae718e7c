"""The rubric: a weighted sum of rewards, with its breakdown kept for each completion.

A term sees a whole group at once (the completions of one prompt) and gives a number or None for each:
None is "no verdict" and adds nothing. A user's own function is named by its dotted path and called with TRL's
signature, ``f(prompts=..., completions=..., completion_ids=..., **columns) -> list[float | None]``.
"""

import difflib
import functools
import importlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.config.schema import RewardTerm
from frugalrl.data.prompts import prefills_think
from frugalrl.errors import RecipeError
from frugalrl.rewards.answers import CORRECT_VALUE, judge
from frugalrl.rewards.format import format_reward
from frugalrl.rewards.length import cosine_reward
from frugalrl.types import RolloutGroup, ScoredCompletion, ScoredGroup, Verdict

Values = Sequence[float | None]
Term = Callable[[RolloutGroup, Sequence[Verdict]], Values]
"""A group and its verdicts in, a value for each completion out."""


@dataclass(frozen=True)
class Rubric:
    """Weighted terms by name."""

    terms: Mapping[str, Term]
    weights: Mapping[str, float]


def build_rubric(settings: Sequence[RewardTerm], max_completion_tokens: int) -> Rubric:
    """The rubric of a recipe. Raises RecipeError for an unknown reward, argument, or dotted path."""
    terms = {term.name: _term(term, max_completion_tokens) for term in settings}
    return Rubric(terms, {term.name: term.weight for term in settings})


def score_group(rubric: Rubric, group: RolloutGroup) -> ScoredGroup:
    """Judge and reward every completion of a group."""
    verdicts = verdicts_of(group)
    columns = {name: list(term(group, verdicts)) for name, term in rubric.terms.items()}
    for name, values in columns.items():
        _check_values(name, values, len(group.completions))
    scored = []
    for index, completion in enumerate(group.completions):
        breakdown = {name: values[index] for name, values in columns.items()}
        reward = sum(rubric.weights[name] * value for name, value in breakdown.items() if value is not None)
        scored.append(ScoredCompletion(completion, reward, breakdown, verdicts[index]))
    return ScoredGroup(group.prompt, tuple(scored))


def verdicts_of(group: RolloutGroup) -> list[Verdict]:
    """One verdict a completion, in order."""
    reasoning_open = prefills_think(group.prompt.text)
    return [judge(completion.text, group.prompt.problem.gold, reasoning_open) for completion in group.completions]


def _accuracy(group: RolloutGroup, verdicts: Sequence[Verdict]) -> Values:
    return [CORRECT_VALUE[verdict.label] for verdict in verdicts]


def _format(group: RolloutGroup, verdicts: Sequence[Verdict]) -> Values:
    reasoning_open = prefills_think(group.prompt.text)
    return [format_reward(completion.text, reasoning_open) for completion in group.completions]


def _cosine(group: RolloutGroup, verdicts: Sequence[Verdict], **args: Any) -> Values:
    return [
        None
        if verdict.label == "unknown"
        else cosine_reward(verdict.label == "correct", len(completion.token_ids), **args)
        for completion, verdict in zip(group.completions, verdicts, strict=True)
    ]


_BUILT_IN: dict[str, tuple[Callable[..., Values], Callable[..., float] | None]] = {
    "accuracy": (_accuracy, None),
    "format": (_format, None),
    "cosine": (_cosine, cosine_reward),
}
"""Name -> the term, and the pure function whose keyword arguments a recipe may set."""


def _term(settings: RewardTerm, max_completion_tokens: int) -> Term:
    if settings.name not in _BUILT_IN:
        return _user_term(settings)
    term, function = _BUILT_IN[settings.name]
    allowed = set(inspect.signature(function).parameters) - {"correct", "length_tokens"} if function else set()
    for key in settings.args:
        if key not in allowed:
            known = f"It takes {', '.join(sorted(allowed))}." if allowed else "It takes none."
            raise RecipeError(f"The reward {settings.name} has no argument {key!r}. {known}")
    args: dict[str, Any] = dict(settings.args)
    if "max_length_tokens" in allowed:
        args.setdefault("max_length_tokens", max_completion_tokens)
    return functools.partial(term, **args)


def _user_term(settings: RewardTerm) -> Term:
    function = _import_function(settings.name)

    def term(group: RolloutGroup, verdicts: Sequence[Verdict]) -> Values:
        count = len(group.completions)
        problem = group.prompt.problem
        columns = {name: [value] * count for name, value in problem.columns.items()}
        columns |= {"problem": [problem.text] * count, "answer": [problem.gold] * count}
        values: Values = function(
            prompts=[group.prompt.text] * count,
            completions=[completion.text for completion in group.completions],
            completion_ids=[list(completion.token_ids) for completion in group.completions],
            **columns,
            **settings.args,
        )
        return values

    return term


def _import_function(path: str) -> Callable[..., Values]:
    module_name, _, name = path.rpartition(".")
    if not module_name:
        close = difflib.get_close_matches(path, _BUILT_IN, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(_BUILT_IN)}."
        raise RecipeError(f"There is no reward {path!r}. {hint} A function of your own is module.function.")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"The reward {path!r} cannot be imported: {error}. Check the path and PYTHONPATH.") from None
    if not callable(function):
        raise RecipeError(f"The reward {path!r} is not a function. Name one that takes TRL's arguments.")
    return function  # type: ignore[no-any-return]


def _check_values(name: str, values: Sequence[object], expected: int) -> None:
    if len(values) != expected:
        raise RecipeError(f"The reward {name} gave {len(values)} values for {expected} completions. Return one each.")
    for value in values:
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise RecipeError(f"The reward {name} gave {value!r}. Return a finite number, or None for no verdict.")
