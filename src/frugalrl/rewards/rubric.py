"""The rubric: a weighted sum of rewards, with its breakdown kept for each completion.

A term sees a whole group at once (the completions of one prompt) and gives a number or None for each:
None is "no verdict" and adds nothing. Which names there are is `registry.py`'s business; a user's own function
is named by its dotted path and called with TRL's signature, see `user_functions.py`.

A term with `gate_group_accuracy` is off while the group's accuracy is below it: length terms that shape a
policy before it can solve its problems are known to start collapse (GRPO-lambda, arXiv 2505.18086).
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from frugalrl.config.schema import RewardTerm
from frugalrl.errors import RecipeError
from frugalrl.functions import import_function
from frugalrl.rewards.registry import CARRIES_ACCURACY, Term, built_in_term, is_built_in, unknown_reward
from frugalrl.rewards.user_functions import Values, call_user_function
from frugalrl.tasks.logic import is_logic, logic_verdict
from frugalrl.text.reasoning import prefills_think
from frugalrl.types import Problem, RolloutGroup, ScoredCompletion, ScoredGroup, Verdict
from frugalrl.verify.answers import CORRECT_VALUE, AnswerItem, judge_many
from frugalrl.verify.code.checker import code_verdicts, find_tests


@dataclass(frozen=True)
class Rubric:
    """Weighted terms by name."""

    terms: Mapping[str, Term]
    weights: Mapping[str, float]


def build_rubric(settings: Sequence[RewardTerm], max_completion_tokens: int) -> Rubric:
    """The rubric of a recipe.

    Raises RecipeError for an unknown reward, argument or dotted path, an argument of another type or out of
    range, a name that stands twice, and a rubric in which nothing has a weight.
    """
    names = [term.name for term in settings]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"The rubric names the reward {name} twice. Keep one, with the sum of their weights.")
    if not any(term.weight for term in settings):
        raise RecipeError("No reward has a weight, so every completion would earn 0. Give one a weight.")
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
    """One verdict a completion, in order: a logic puzzle by its checker, a code problem by its tests, all else
    by comparing answers."""
    reasoning_open = prefills_think(group.prompt.text)
    problem = group.prompt.problem
    if find_tests(problem) is not None:
        return code_verdicts([completion.text for completion in group.completions], problem, reasoning_open)
    if is_logic(problem):
        return [logic_verdict(completion.text, problem, reasoning_open) for completion in group.completions]
    return judge_many(AnswerItem(completion.text, problem.gold, reasoning_open) for completion in group.completions)


def compares_answers(problem: Problem) -> bool:
    """Whether a problem's verdicts come from comparing answers, rather than from tests or a puzzle's checker."""
    return find_tests(problem) is None and not is_logic(problem)


def group_accuracy(verdicts: Sequence[Verdict]) -> float:
    """Correct among the known verdicts, in 0..1; NaN when all are unknown."""
    known = [verdict.label == "correct" for verdict in verdicts if verdict.label != "unknown"]
    return sum(known) / len(known) if known else math.nan


def _term(settings: RewardTerm, max_completion_tokens: int) -> Term:
    if is_built_in(settings.name):
        term = built_in_term(settings.name, settings.args, max_completion_tokens)
    elif "." in settings.name:
        term = functools.partial(_user_term, import_function(settings.name, "reward"), settings)
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
