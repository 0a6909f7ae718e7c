"""Rewards, tried on traps (`traps.py`): what is nearly right, or right by accident, must not be paid as right."""

from collections.abc import Mapping, Sequence
from typing import Any

from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.doctor.finding import Finding, Level
from frugalrl.planning.doctor.paid import Paid, own_functions, paid_of
from frugalrl.planning.doctor.probes import made_up
from frugalrl.planning.doctor.remedies import instead
from frugalrl.planning.doctor.traps import other_forms, trap_group
from frugalrl.rewards.rubric import Rubric, score_group
from frugalrl.types import Prompt, RolloutGroup

_TAGGED = ("tag_count", "open_rs_tag_count")
_TRAPS: Mapping[str, tuple[str, Level]] = {
    "wrong_ending": ("a number that only begins like the gold", "red"),
    "wrong_beginning": ("a number that only ends like the gold", "red"),
    "wrong_chinese": ("a wrong answer with reasoning in Chinese", "red"),
    "boxes": ("a list of boxes, of which the gold is one and not the last", "yellow"),
}


def trap_findings(
    recipe: TrainRecipe, rubric: Rubric, tokenizer: Any, prompts: Sequence[Prompt], pays_for_right: bool
) -> list[Finding]:
    """prompts: of problems whose right answer is judged correct. pays_for_right: if not, nothing is a trap."""
    tags, cap = any(term.name in _TAGGED for term in recipe.rewards), recipe.rollout.max_completion_tokens
    groups = [trap_group(tokenizer, prompt, cap, tags) for prompt in prompts]
    paid = paid_of(rubric, groups[0][0], [score_group(rubric, group) for _, group in groups])
    kinds = _TRAPS if pays_for_right else ()
    found = [one for kind in kinds if (one := _trap(recipe, paid, kind)) is not None]
    if own_functions(rubric):
        found += _form(recipe, rubric, paid, tokenizer, prompts[0])
    return found or [Finding("rewards/traps", "green", "near misses and answers given away earn less than a right one")]


def _trap(recipe: TrainRecipe, paid: Paid, kind: str) -> Finding | None:
    right, here = paid.total["right"], paid.total[kind]
    worst = min(paid.total.values())
    if right <= worst + 1e-9 or here < right - 0.01 * (right - worst):
        return None
    position, term = max(
        enumerate(recipe.rewards), key=lambda one: one[1].weight * (paid.terms[one[1].name][kind] or 0.0)
    )
    if term.name.startswith("open_rs_"):  # as the paper's own functions do
        return None
    what, level = _TRAPS[kind]
    how = f"let {term.name} read the last \\boxed{{}} after </think> and compare all of it"
    fix = f"{instead(recipe, position, 'accuracy')}, or {how}"
    return Finding(
        f"rewards/pays {kind}",
        level,
        f"{what[0].upper()}{what[1:]} earns {here:g}, and a right answer {right:g}: the policy will find that.",
        fix,
    )


def _form(recipe: TrainRecipe, rubric: Rubric, paid: Paid, tokenizer: Any, prompt: Prompt) -> list[Finding]:
    """A function of the user's own that pays nothing for a right answer in a box, and something for another form."""
    blind = [
        name
        for name in rubric.timeouts
        if (paid.terms[name]["right"] or 0.0) <= (paid.terms[name]["wrong_chinese"] or 0.0) + 1e-9
    ]
    if not blind:
        return []
    forms = other_forms(prompt)
    texts = [text for pair in forms.values() for text in pair]
    completions = tuple(made_up(tokenizer, text, recipe.rollout.max_completion_tokens, False) for text in texts)
    scored = score_group(rubric, RolloutGroup(prompt, completions)).completions
    for index, (form, _) in enumerate(forms.items()):
        right, wrong = scored[2 * index], scored[2 * index + 1]
        for name in blind:
            if (right.breakdown[name] or 0.0) > (wrong.breakdown[name] or 0.0) + 1e-9:
                position = [term.name for term in recipe.rewards].index(name)
                return [
                    Finding(
                        "rewards/form",
                        "red",
                        f"{name} pays a right answer {form} and none in \\boxed{{}}, which is what evaluations and "
                        "the built-in rewards read.",
                        f"{instead(recipe, position, 'accuracy')}, or let {name} read \\boxed{{}}",
                    )
                ]
    return []
