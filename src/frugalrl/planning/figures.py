"""The size of a run, from the recipe alone: the figures of `--dry-run`."""

from frugalrl.config.schema import TrainRecipe
from frugalrl.training.length_schedule import largest_cap


def training_figures(recipe: TrainRecipe) -> list[tuple[str, str]]:
    """Names and values, in order of interest."""
    rollout, algorithm, training = recipe.rollout, recipe.algorithm, recipe.training
    completions = rollout.prompts_per_step * rollout.group_size
    longest = rollout.max_prompt_tokens + largest_cap(recipe.length_schedule, rollout.max_completion_tokens)
    rows_at_once = max(1, training.micro_batch_tokens // longest)
    updates = algorithm.updates_per_batch
    lora = recipe.model.lora
    waits = ", its weights in host memory" if algorithm.reference_place == "host" else ""
    held = f"held{waits}" if lora is None else "the model with its adapters off"
    reference = held if algorithm.loss.kl_coef > 0 else "not held (kl_coef is 0)"
    return [
        ("model", f"{recipe.model.path}, computing in {recipe.model.dtype}"),
        *([] if lora is None else [("trained", f"LoRA adapters of rank {lora.rank} in {', '.join(lora.target)}")]),
        ("reference model", reference),
        *_states(recipe),
        ("training data", recipe.data.train.source),
        ("rewards", " + ".join(f"{term.weight:g} x {term.name}" for term in recipe.rewards)),
        ("steps", f"{training.steps}"),
        ("prompts per step", f"{rollout.prompts_per_step}"),
        ("completions per step", f"{rollout.prompts_per_step} x {rollout.group_size} = {completions}"),
        *_dynamic_sampling(recipe),
        ("updates per step", f"{updates}"),
        ("updates in all", f"{updates * training.steps}"),
        ("problems shown in all", f"{rollout.prompts_per_step * training.steps}"),
        ("completions in all", f"{completions * training.steps}"),
        ("tokens per step, at most", f"{completions * longest:,} ({completions} x {longest:,})"),
        (
            "micro-batches per step, at most",
            f"{-(-completions // rows_at_once)} of up to {rows_at_once} of the longest completions; more on a CPU",
        ),
        ("warm-up", f"{recipe.optimizer.warmup_fraction:.0%} of the steps, then {recipe.optimizer.schedule}"),
        ("evaluations", _evaluations(recipe)),
        ("checkpoints", _checkpoints(recipe)),
    ]


def _states(recipe: TrainRecipe) -> list[tuple[str, str]]:
    optimizer = recipe.optimizer
    parts = ["moments of 8 bits"] * (optimizer.state_bits == 8) + ["in host memory"] * optimizer.offload
    return [("optimizer states", ", ".join(parts))] if parts else []


def _dynamic_sampling(recipe: TrainRecipe) -> list[tuple[str, str]]:
    extra = int(recipe.rollout.max_extra_groups * recipe.rollout.prompts_per_step)
    return [("dynamic sampling", f"at most {extra} more groups per step")] if extra else []


def _evaluations(recipe: TrainRecipe) -> str:
    held_out = [name for name in ("validation", "test") if getattr(recipe.data, name) is not None]
    if not held_out:
        return "none (data.validation and data.test are not set)"
    between = _multiples_before(recipe.evaluation.every, recipe.training.steps) if recipe.data.validation else 0
    samples = recipe.evaluation.samples_per_problem
    return (
        f"{' and '.join(held_out)} before and after, validation {between} times between, {samples} samples per problem"
    )


def _checkpoints(recipe: TrainRecipe) -> str:
    training = recipe.training
    if recipe.training.save_every is None:
        return "none to resume from (training.save_every is not set), only the best and the final model"
    saved = _multiples_before(recipe.training.save_every, training.steps) + 1
    kept = "" if training.keep_last is None else f", the last {training.keep_last} and the best kept"
    return f"{saved} to resume from{kept}, and the final model"


def _multiples_before(every: int | None, steps: int) -> int:
    return 0 if every is None else (steps - 1) // every
