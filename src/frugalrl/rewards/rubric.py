"""The rubric: a weighted sum of rewards, with its breakdown kept for each completion.

A term sees a whole group at once (the completions of one prompt) and gives a number or None for each:
None is "no verdict" and adds nothing. The names are in `registry.py`; a user's function is named by its dotted path
and called with TRL's signature, see `user_functions.py`.

A term with `gate_group_accuracy` is off while the group's accuracy is below it: length terms that shape a
policy before it can solve its problems are known to start collapse (GRPO-lambda, arXiv 2505.18086).
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import BudgetEndedError, RecipeError, RewardTimeoutError
from frugalrl.functions import import_function
from frugalrl.rewards.registry import CARRIES_ACCURACY, Term, built_in_term, is_built_in, unknown_reward
from frugalrl.rewards.time_limit import OutOfTimeError, call_within
from frugalrl.rewards.user_functions import Values, call_user_function, check_parameters
from frugalrl.tasks.judging import Judge, judge_groups
from frugalrl.types import Problem, RolloutGroup, ScoredCompletion, ScoredGroup, Verdict
from frugalrl.verify.answers import CORRECT_VALUE

_GRACE_SECONDS = 10.0
"""For a function that is at work when the budget ends: a step that is nearly done is not thrown away."""
MAX_REWARD = 1e9
"""Of a completion, by absolute value. Without a divisor it is the advantage, whose gradient is squared in float32."""


RewardFunctions = Mapping[str, Callable[..., Any]]
"""Functions of the user's own by the name that the recipe's rewards have for them."""


@dataclass(frozen=True)
class Rubric:
    """Weighted terms by name."""

    terms: Mapping[str, Term]
    weights: Mapping[str, float]
    timeouts: Mapping[str, float]
    """Seconds that a user's function may take for a group."""


def build_rubric(
    settings: Sequence[RewardTerm], max_completion_tokens: int, functions: RewardFunctions | None = None
) -> Rubric:
    """The rubric of a recipe.

    functions: of the user's own; those that are not among them are imported by their dotted path.

    Raises RecipeError for an unknown reward, argument or dotted path, an argument of another type or out of
    range, a name that stands twice, and a rubric in which nothing has a weight.
    """
    names = [term.name for term in settings]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"The rubric names the reward {name} twice. Keep one, with the sum of their weights.")
    if not any(term.weight for term in settings):
        raise RecipeError("No reward has a weight, so every completion would earn 0. Give one a weight.")
    terms = {term.name: _term(term, max_completion_tokens, functions) for term in settings}
    timeouts = {term.name: term.timeout_seconds for term in settings if not is_built_in(term.name)}
    return Rubric(terms, {term.name: term.weight for term in settings}, timeouts)


def check_columns(
    settings: Sequence[RewardTerm], problems: Sequence[Problem], functions: RewardFunctions | None = None
) -> None:
    """Raise RecipeError for a function of the user's own with a parameter that the problems have no column for."""
    columns = set.intersection(*(set(problem.columns) for problem in problems)) if problems else set()
    for term in settings:
        if not is_built_in(term.name):
            check_parameters(_own_function(term.name, functions), term.name, term.args, columns)


def score_groups(
    rubric: Rubric,
    groups: Sequence[RolloutGroup],
    seconds_left: Callable[[], float] = lambda: math.inf,
    judge: Judge = judge_groups,
) -> list[ScoredGroup]:
    """Judge and reward every completion of some groups; the answers of all are judged together.

    seconds_left: of the run's budget, asked before each group. judge: what gives the verdicts.
    Raises RewardTimeoutError for a user's function that is still at work at its own limit, and BudgetEndedError for
    one that is when the budget ends.
    """
    judged = zip(groups, judge(groups), strict=True)
    return [_scored(rubric, group, verdicts, seconds_left()) for group, verdicts in judged]


def score_group(rubric: Rubric, group: RolloutGroup, seconds_left: float = math.inf) -> ScoredGroup:
    """Judge and reward every completion of a group. Raises as `score_groups` does."""
    return score_groups(rubric, [group], lambda: seconds_left)[0]


def _scored(rubric: Rubric, group: RolloutGroup, verdicts: Sequence[Verdict], seconds_left: float) -> ScoredGroup:
    columns = term_values(rubric, group, verdicts, seconds_left)
    scored = []
    for index, completion in enumerate(group.completions):
        breakdown = {name: values[index] for name, values in columns.items()}
        reward = sum((rubric.weights[name] * value for name, value in breakdown.items() if value is not None), 0.0)
        _refuse_too_large(rubric, reward, breakdown)
        scored.append(ScoredCompletion(completion, reward, breakdown, verdicts[index]))
    return ScoredGroup(group.prompt, tuple(scored))


def _refuse_too_large(rubric: Rubric, reward: float, breakdown: Mapping[str, float | None]) -> None:
    if abs(reward) <= MAX_REWARD:  # false for NaN, which is inf - inf
        return
    parts = {name: rubric.weights[name] * value for name, value in breakdown.items() if value is not None}
    largest = max(parts, key=lambda name: abs(parts[name]))
    raise RecipeError(
        f"The reward of a completion is {reward:g} ({largest} gave {parts[largest]:g}), and beyond {MAX_REWARD:g} "
        "gradients overflow in 32 bits. Scale what the reward returns, or lower its weight."
    )


def term_values(
    rubric: Rubric, group: RolloutGroup, verdicts: Sequence[Verdict], seconds_left: float = math.inf
) -> dict[str, Values]:
    """Each reward's values for a group: finite numbers or None, one per completion. Raises as `score_groups` does."""
    columns = {name: _values_of(rubric, name, group, verdicts, seconds_left) for name in rubric.terms}
    for name, values in columns.items():
        _check_values(name, values, len(group.completions))
    return columns


def _values_of(
    rubric: Rubric, name: str, group: RolloutGroup, verdicts: Sequence[Verdict], seconds_left: float
) -> Values:
    term, timeout = rubric.terms[name], rubric.timeouts.get(name)
    if timeout is None:
        return term(group, verdicts)
    seconds = min(timeout, max(seconds_left, _GRACE_SECONDS))
    try:
        return call_within(lambda: term(group, verdicts), seconds)
    except OutOfTimeError:
        if seconds < timeout:
            raise BudgetEndedError(
                f"The run's budget ended while the reward {name} was running. Raise the budget, or give the reward a "
                "time limit on what it waits for."
            ) from None
        raise RewardTimeoutError(
            f"The reward {name} did not return within {timeout:g} s for the {len(group.completions)} completions of "
            "one prompt. Give it a time limit on what it waits for, or raise its timeout_seconds."
        ) from None


def group_accuracy(verdicts: Sequence[Verdict]) -> float:
    """Correct among the known verdicts, in 0..1; NaN when all are unknown."""
    known = [verdict.label == "correct" for verdict in verdicts if verdict.label != "unknown"]
    return sum(known) / len(known) if known else math.nan


def _own_function(name: str, functions: RewardFunctions | None) -> Callable[..., Any]:
    """A function of the user's own: as it was given, or imported. Raises RecipeError."""
    if functions and name in functions:
        return functions[name]
    if name.startswith("__main__.") or "<" in name:
        raise RecipeError(
            f"The reward {name} was given in a script or notebook and cannot be imported. Give the function again: "
            "frugalrl.train(recipe, rewards=[...], out=..., resume=True)."
        )
    return import_function(name, "reward")


def _term(settings: RewardTerm, max_completion_tokens: int, functions: RewardFunctions | None) -> Term:
    if is_built_in(settings.name):
        term = built_in_term(settings.name, settings.args, max_completion_tokens)
    elif "." in settings.name:
        function = _own_function(settings.name, functions)
        check_parameters(function, settings.name, settings.args, None)
        term = functools.partial(_user_term, function, settings)
    else:
        raise unknown_reward(settings.name)
    if settings.gate_group_accuracy is None:
        return term
    return functools.partial(_gated, term, settings.gate_group_accuracy, settings.name in CARRIES_ACCURACY)


def _gated(
    term: Term,
    least_accuracy: float,
    carries_accuracy: bool,
    group: RolloutGroup,
    verdicts: Sequence[Verdict],
) -> Values:
    """The term's values, or while the gate is closed nothing, or the plain verdict if it holds the accuracy."""
    if group_accuracy(verdicts) >= least_accuracy:
        return term(group, verdicts)
    return [CORRECT_VALUE[verdict.label] if carries_accuracy else None for verdict in verdicts]


def _user_term(
    function: Callable[..., object], settings: RewardTerm, group: RolloutGroup, verdicts: Sequence[Verdict]
) -> Values:
    return call_user_function(function, settings.name, group, settings.args, settings.conversational)


def _check_values(name: str, values: Sequence[object], expected: int) -> None:
    if len(values) != expected:
        raise RecipeError(f"The reward {name} gave {len(values)} values for {expected} completions. Return one each.")
    for value in values:
        if value is not None and not _is_finite_number(value):
            raise RecipeError(f"The reward {name} gave {value!r}. Return a finite number, or None for no verdict.")


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
