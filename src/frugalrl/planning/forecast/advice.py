"""What would make a run fit or make it cheaper, as the exact `--set`. Pure.

Every line was planned with the change in it; a test applies each and plans again. The changes of memory come in the
order of what they cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frugalrl.config.loading import change_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.errors import RecipeError
from frugalrl.planning.forecast.work import is_served, rollout_rows
from frugalrl.training.length_schedule import largest_cap

WORTH_SAYING = 0.05
"""Of the time."""
_FEW_ROWS = (64, 8)
"""Of the cache, tried where a ninth of the rows is too many."""


@dataclass(frozen=True)
class Advice:
    """A change and what it does."""

    sets: tuple[str, ...]
    effect: str


@dataclass(frozen=True)
class Outcome:
    """What matters of a plan here."""

    hours: float
    usd: float | None
    fits: bool


def to_fit(recipe: TrainRecipe, room_gb: float, memory_gb: float, peak_of: Callable[[TrainRecipe], float]) -> tuple[
    Advice, ...
]:  # fmt: skip
    """Changes, the ones that cost least first, until the run fits; then which of them suffices alone.

    room_gb: of the memory, what may be used. peak_of: gigabytes at the peak of a recipe.
    """
    chosen: list[str] = []
    alone: list[Advice] = []
    changed, now = recipe, peak_of(recipe)
    for sets in _savings_of_memory(recipe):
        only = changed_by(recipe, sets)
        if only is None:
            continue
        peak = peak_of(only)
        if peak <= room_gb:
            alone.append(Advice(sets, f"alone makes it fit: {peak:.1f} GB"))
        tried = changed_by(changed, sets)
        if tried is not None and now > room_gb and peak_of(tried) < now:
            keys = {one.partition("=")[0] for one in sets}
            changed, chosen = tried, [*(one for one in chosen if one.partition("=")[0] not in keys), *sets]
            now = peak_of(changed)
    if now <= room_gb:
        return (*alone[:3], Advice(tuple(chosen), f"together make it fit: {now:.1f} GB of {memory_gb:g}"))
    largest = f"even with every saving of memory it needs {now:.1f} GB of {memory_gb:g}: take a larger card"
    return (Advice(tuple(chosen), largest),)


def _savings_of_memory(recipe: TrainRecipe) -> list[tuple[str, ...]]:
    rows, training = rollout_rows(recipe), recipe.training
    fewer = sorted({max(1, rows // part) for part in (3, 9)} | {few for few in _FEW_ROWS if few < rows // 9})[::-1]
    longest = recipe.rollout.max_prompt_tokens + recipe.rollout.max_completion_tokens
    return [
        ("training.logits_chunk_tokens=256",),
        (f"training.micro_batch_tokens={min(training.micro_batch_tokens, longest)}",),
        *(((f"rollout.max_sequences={one}"), (f"evaluation.max_sequences={one}")) for one in fewer),
        ("model.gradient_checkpointing=true",),
        ("model.dtype=bfloat16",),
        ("optimizer.offload=true",),
        ("optimizer.state_bits=8",),
        ("algorithm.loss.kl_coef=0",),
        ("model.lora={}", "optimizer.learning_rate=1e-5"),
    ]


def to_save(recipe: TrainRecipe, now: Outcome, outcome_of: Callable[[TrainRecipe], Outcome]) -> tuple[Advice, ...]:
    """Changes that make it cheaper by more than 5 % and still fit, the most first."""
    found: list[tuple[float, Advice]] = []
    for sets, price in _savings_of_time(recipe):
        changed = changed_by(recipe, sets)
        if changed is None:
            continue
        other = outcome_of(changed)
        saved = 1 - other.hours / now.hours
        if saved > WORTH_SAYING and other.fits:
            usd = "" if now.usd is None or other.usd is None else f" (${now.usd - other.usd:.2f})"
            found.append((saved, Advice(sets, f"{saved:.0%} less time{usd}; {price}")))
    return tuple(advice for _, advice in sorted(found, key=lambda one: -one[0]))


def _savings_of_time(recipe: TrainRecipe) -> list[tuple[tuple[str, ...], str]]:
    steps, size, evaluation = recipe.training.steps, recipe.rollout.group_size, recipe.evaluation
    completions = recipe.rollout.prompts_per_step * size
    cap = largest_cap(recipe.length_schedule, recipe.rollout.max_completion_tokens)
    options: list[tuple[tuple[str, ...], str]] = [
        ((f"training.steps={min(steps, 100)}",), "Open-RS's best checkpoints are of steps 50 to 100"),
        (
            (f"evaluation.samples_per_problem={max(1, evaluation.samples_per_problem // 2)}",),
            "intervals of accuracy get wider",
        ),
        ((f"rollout.group_size={max(2, size // 2)}",), "fewer groups have rewards that differ (frugalrl doctor says)"),
        (("model.gradient_checkpointing=false",), "activations are kept: more memory"),
        (("algorithm.loss.kl_coef=0",), "no reference holds the policy near the base"),
    ]
    if not is_served(recipe):
        every = (f"rollout.max_sequences={completions}", f"evaluation.max_sequences={completions}")
        options.append((every, "all completions of a step at once: more cache"))
    if recipe.optimizer.offload:
        options.append((("optimizer.offload=false",), "masters and moments on the card: more memory"))
    if evaluation.every is not None:
        options.append(((f"evaluation.every={2 * evaluation.every}",), "half as many checkpoints to choose from"))
    if (evaluation.max_completion_tokens or 0) > cap:
        shorter = (f"evaluation.max_completion_tokens={cap}",)
        options.append((shorter, "evaluated as it is trained: what needs more tokens counts as wrong"))
    return options


def changed_by(recipe: TrainRecipe, sets: Sequence[str]) -> TrainRecipe | None:
    """None where the change is none, or the recipe would not be valid."""
    try:
        changed = change_recipe(recipe, list(sets))
    except RecipeError:
        return None
    return None if changed == recipe else changed
