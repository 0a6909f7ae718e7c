"""Sizes that memory would hold and that are far from what is known to be useful: groups, steps, samples, adapters.

Pure: a recipe in, findings out. What memory does not hold is said by `plan_checks`.
"""

import math
from collections.abc import Iterator

from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.doctor.finding import Finding
from frugalrl.planning.forecast.shape import ModelShape

_LARGE_GROUP, _USUAL_GROUP = 64, 16
"""Completions of a problem: 6 in Open-RS (2503.16219), 16 in DAPO (2503.14476), 64 in DeepSeekMath (2402.03300)."""
_LARGE_STEP, _USUAL_STEP = 16_384, 512
"""Completions of a step: 24 to 144 in Open-RS, 1,024 in DeepSeekMath, 8,192 in DAPO."""
_SMALL_STEP = 8
_MANY_SAMPLES, _USUAL_SAMPLES = 128, 16
"""Of a problem of an evaluation: up to 64 in papers; the spread from problem to problem is left beyond."""


def size_findings(recipe: TrainRecipe, shape: ModelShape) -> list[Finding]:
    """A line for each size that is far off; one that says so if none is."""
    found = [*_steps(recipe), *_samples(recipe), *_rank(recipe, shape)]
    rollout = recipe.rollout
    size = f"{rollout.prompts_per_step} problems x {rollout.group_size} completions a step"
    return found or [Finding("optimisation/sizes", "green", size)]


def _yellow(name: str, message: str, fix: str) -> Finding:
    return Finding(name, "yellow", message, fix)


def _steps(recipe: TrainRecipe) -> Iterator[Finding]:
    prompts, group = recipe.rollout.prompts_per_step, recipe.rollout.group_size
    if group > _LARGE_GROUP:
        yield _yellow(
            "optimisation/group_size",
            f"{group:,} completions of each problem (6 in Open-RS, 64 in DeepSeekMath): another problem would teach "
            "more than another completion of the same.",
            f"--set rollout.group_size={_USUAL_GROUP}",
        )
    elif prompts * group > _LARGE_STEP:
        yield _yellow(
            "optimisation/prompts_per_step",
            f"{prompts:,} problems x {group} are {prompts * group:,} completions a step (8,192 in DAPO): a step costs "
            "so much that few are made.",
            f"--set rollout.prompts_per_step={max(1, _USUAL_STEP // group)}",
        )
    if prompts == 1 or prompts * group < _SMALL_STEP:
        few = "problem" if prompts == 1 else "problems"
        yield _yellow(
            "optimisation/prompts_per_step",
            f"{prompts} {few} x {group} completions a step: where all of them are right, or all wrong, the step has no "
            "learning signal, and else it has that of a few.",
            f"--set rollout.prompts_per_step={max(4, math.ceil(4 * _SMALL_STEP / group))}",
        )


def _samples(recipe: TrainRecipe) -> Iterator[Finding]:
    samples = recipe.evaluation.samples_per_problem
    if samples > _MANY_SAMPLES:
        yield _yellow(
            "statistics/samples_per_problem",
            f"{samples:,} samples of each problem in every evaluation (up to 64 in papers): what is left of its "
            "uncertainty is the choice of problems.",
            f"--set evaluation.samples_per_problem={_USUAL_SAMPLES}",
        )


def _rank(recipe: TrainRecipe, shape: ModelShape) -> Iterator[Finding]:
    lora = recipe.model.lora
    if lora is not None and 2 * lora.rank > shape.hidden:
        rank = max(1, min(32, shape.hidden // 8))
        yield _yellow(
            "optimisation/lora_rank",
            f"Adapters of rank {lora.rank:,} beside matrices of {shape.hidden:,} have as many weights as what they "
            "adapt, and cost more than training that (8 to 64 in papers).",
            f"--set model.lora.rank={rank} --set model.lora.alpha={4 * rank}",
        )
