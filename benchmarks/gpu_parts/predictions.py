"""What the plan says of a measurement, from the rates that the same run measured: `frugalrl.planning.forecast`."""

from frugalrl.config.loading import load_recipe
from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.forecast.clock import Machine, iteration_seconds, seconds_of
from frugalrl.planning.forecast.lengths import prior
from frugalrl.planning.forecast.memory import MemoryPlan, MemorySettings, memory_of
from frugalrl.planning.forecast.shape import ModelShape, shape_of_config
from frugalrl.planning.forecast.work import checkpoint_bytes, work_of
from gpu_parts.rows import Setup

UTILISATION = 0.3
"""Of the matrix rate in an update, as `frugalrl plan` assumes for cards."""
_REACHED = 0.8
_LAUNCH_SECONDS = 8e-6


def shape_of(setup: Setup) -> ModelShape:
    """Of the model that is measured."""
    return shape_of_config(setup.policy.model.config)


def machine_of(setup: Setup) -> Machine:
    """The machine by its measured bandwidth and matrix rate, with the plan's assumptions of what is reached."""
    limits = setup.limits
    return Machine(
        "measured", _LAUNCH_SECONDS, _REACHED * limits.copy_bytes_per_second, UTILISATION * limits.matrix_flops,
        0.5 * limits.matrix_flops, is_serial=not setup.is_cuda,
    )  # fmt: skip


def token_seconds(setup: Setup, batch: int, width: int) -> float:
    """Of a token for each row. CUDA graphs replay a step in one launch: on a GPU the host is not waited for."""
    machine = machine_of(setup)
    launch = 0.0 if setup.is_cuda else machine.launch_seconds
    own = Machine(
        machine.name, launch, machine.bandwidth, machine.flops, machine.decode_flops, is_serial=machine.is_serial
    )
    return iteration_seconds(shape_of(setup), own, batch, batch * width, value_bytes(setup))


def memory_plan(setup: Setup, rows: int, tokens: int, micro_batch: int, chunk: int) -> MemoryPlan:
    """Peaks of a rollout and of an update without a reference."""
    shape = shape_of(setup)
    return memory_of(
        shape,
        MemorySettings(
            value_bytes=value_bytes(setup), trained=shape.parameters, has_reference=False, trains_head=True,
            checkpointing=setup.is_recomputing, rollout_rows=rows, rollout_tokens=tokens, evaluation_rows=0,
            evaluation_tokens=0, micro_batch_tokens=micro_batch, logits_chunk=chunk,
        ),
    )  # fmt: skip


def step_seconds(setup: Setup, overrides: tuple[str, ...]) -> float:
    """Of a step of the recipe as it is run."""
    recipe = load_recipe(setup.recipe, TrainRecipe, list(overrides))
    shape = shape_of(setup)
    work = work_of(recipe, shape)
    seconds = seconds_of(shape, machine_of(setup), work, prior(recipe.rollout.max_completion_tokens))
    return (seconds.rollout + seconds.reward + seconds.update) / work.steps


def checkpoint_gb(setup: Setup, overrides: tuple[str, ...]) -> float:
    """Of weights, masters and moments."""
    return checkpoint_bytes(load_recipe(setup.recipe, TrainRecipe, list(overrides)), shape_of(setup)) / 1e9


def value_bytes(setup: Setup) -> int:
    """Of the compute dtype."""
    return 4 if setup.dtype == "float32" else 2
