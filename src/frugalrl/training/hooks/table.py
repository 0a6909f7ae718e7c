"""Which hooks a recipe turns on, in the order in which they are called."""

from frugalrl.algorithms.entropy import EntropyRule
from frugalrl.config.schema import TrainRecipe
from frugalrl.training.hooks.alarms import Alarms
from frugalrl.training.hooks.entropy import EntropyControl
from frugalrl.training.hooks.guard import Guard
from frugalrl.training.hooks.hook import StepHook
from frugalrl.training.hooks.length import LengthSchedule
from frugalrl.training.hooks.reference_reset import ReferenceReset


def hooks_of(recipe: TrainRecipe) -> tuple[StepHook, ...]:
    """The options that are on."""
    algorithm, steps = recipe.algorithm, recipe.training.steps
    hooks: list[StepHook] = []
    if algorithm.entropy.adaptive or algorithm.entropy.coef > 0:
        hooks.append(EntropyControl(EntropyRule(**algorithm.entropy.model_dump())))
    if recipe.length_schedule is not None:
        hooks.append(LengthSchedule(recipe.length_schedule, recipe.rollout.max_completion_tokens, steps))
    if algorithm.reference_reset_every is not None:
        hooks.append(ReferenceReset(algorithm.reference_reset_every, steps))
    if recipe.guard.enabled:
        hooks.append(Guard(recipe.guard))
    return (*hooks, Alarms())
