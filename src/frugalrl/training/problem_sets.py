"""The problems of a run: loaded, turned into prompts, disjoint between splits."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from frugalrl.config.schema import ProblemSource, TrainRecipe
from frugalrl.data.fingerprint import prompts_hash
from frugalrl.data.holdout import hold_out
from frugalrl.data.prompts import build_prompts
from frugalrl.errors import DataError
from frugalrl.evaluation.benchmarks import benchmark_in
from frugalrl.tasks.loading import load_problems
from frugalrl.types import Prompt

Show = Callable[[str], None]
"""Takes a line for people."""
_LONG_PROMPT = "Raise rollout.max_prompt_tokens, or leave such problems out with rollout.skip_long_prompts=true."


@dataclass(frozen=True)
class ProblemSets:
    """Prompts by split; no training problem has the same text as a held-out one."""

    train: list[Prompt]
    validation: list[Prompt]
    test: list[Prompt]
    held_out: list[Prompt] = field(default_factory=list)
    """Training problems held out for the guard where there are no validation problems."""

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Hashes by split. What the guard holds out follows from the recipe and the rest of the training problems."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {split: prompts_hash(prompts) for split, prompts in splits.items()}


def load_problem_sets(recipe: TrainRecipe, tokenizer: Any, show: Show) -> ProblemSets:
    """Prompts of every split. Training problems that are also in a held-out split are left out with a message."""
    data, rollout = recipe.data, recipe.rollout

    def prompts_of(source: ProblemSource | None) -> list[Prompt]:
        if source is None:
            return []
        problems = load_problems(source, note=show)
        longest, skip = rollout.max_prompt_tokens, rollout.skip_long_prompts
        prompts = build_prompts(tokenizer, problems, data.prompt, longest, skip, _LONG_PROMPT)
        if len(prompts) < len(problems):
            show(f"Left out {len(problems) - len(prompts)} problems of {source.source}: prompt too long.")
        return prompts

    _refuse_benchmark_as_validation(data.validation)
    validation, test, train = prompts_of(data.validation), prompts_of(data.test), prompts_of(data.train)
    tested = {_normalised(prompt) for prompt in test}
    choosing = [prompt for prompt in validation if _normalised(prompt) not in tested]
    if validation and not choosing:
        raise DataError(
            "Every validation problem is also in the test data, which must not select a checkpoint. Give "
            "data.validation other problems: another split, file or seed."
        )
    if len(choosing) < len(validation):
        show(f"Left out {len(validation) - len(choosing)} validation problems that are also in the test data.")
    held_out = tested | {_normalised(prompt) for prompt in choosing}
    disjoint = [prompt for prompt in train if _normalised(prompt) not in held_out]
    if not disjoint:
        raise DataError("Every training problem is also in the validation or test data. Give disjoint sets.")
    if len(disjoint) < len(train):
        show(f"Left out {len(train) - len(disjoint)} training problems that are also in validation or test.")
    stay, held = _held_out(recipe, disjoint, bool(choosing), show)
    if len(stay) < rollout.prompts_per_step:
        show(
            f"WARNING: {len(stay)} training problems are fewer than prompts_per_step ({rollout.prompts_per_step}): "
            "a step asks some of them more than once."
        )
    return ProblemSets(stay, choosing, test, held)


def _held_out(
    recipe: TrainRecipe, train: list[Prompt], has_validation: bool, show: Show
) -> tuple[list[Prompt], list[Prompt]]:
    """Training problems that remain, and those held out for the guard, with a message.

    At most twice as many as a step has completions, so that an evaluation does not cost much more than a step. The
    number of steps does not matter: a run that is extended keeps its problems.
    """
    guard, rollout = recipe.guard, recipe.rollout
    if has_validation or not guard.enabled:
        return train, []
    most = min(guard.held_out, 2 * rollout.prompts_per_step * rollout.group_size)
    stay, held = hold_out(train, most, recipe.seed)
    if held:
        show(
            f"There are no validation problems: {len(held)} of {len(train)} training problems are held out for the "
            "guard (guard.held_out=0 trains on all)."
        )
    return stay, held


def _refuse_benchmark_as_validation(validation: ProblemSource | None) -> None:
    name = None if validation is None else benchmark_in(validation.source, validation.split, validation.subset)
    if name is not None:
        raise DataError(
            f"data.validation is the benchmark {name}: what selects a checkpoint cannot measure it. Validate "
            "on other problems, such as rows held out of the training data."
        )


def _normalised(prompt: Prompt) -> str:
    return re.sub(r"\s+", " ", prompt.problem.text).strip().lower()
