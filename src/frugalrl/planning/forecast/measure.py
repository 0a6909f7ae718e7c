"""This machine's rates, from a step's worth of the recipe's own work: sampling, judging, and an update, thrown away."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from frugalrl.config.schema import TrainRecipe
from frugalrl.planning.forecast.clock import OPERATIONS_PER_LAYER, Machine, Work, decode_seconds, update_seconds
from frugalrl.planning.forecast.lengths import Lengths, prior, seen
from frugalrl.planning.forecast.shape import ModelShape, shape_of_config
from frugalrl.planning.forecast.work import work_of
from frugalrl.reporting.run_log import RunLog
from frugalrl.rewards.rubric import score_groups
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.training.batching import training_rows
from frugalrl.training.hooks.hook import StepSettings
from frugalrl.training.model.kernels import ready_kernels
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run, load_run, samples_here
from frugalrl.training.step import update_within_memory
from frugalrl.types import RolloutGroup

_SECONDS = 20.0
"""For sampling: a longer cap is cut to what can be sampled in this time, and lengths are then assumed."""
_TRIAL_TOKENS = 24
_UNCERTAINTY = 1.3
"""A few seconds were measured. Steps of runs that were planned so took 0.74 to 1.31 times as long on a busy machine."""


def measure(recipe: TrainRecipe) -> tuple[Machine, Lengths, ModelShape]:
    """Rates, the lengths of the base model's own completions, and the model's shape. Raises UserError."""
    with tempfile.TemporaryDirectory() as scratch, RunLog(Path(scratch), (), recipe.name) as log:
        run = load_run(recipe, Path(scratch), None, log, lambda line: None)
        try:
            return _measured(run)
        finally:
            run.close()


def _measured(run: Run) -> tuple[Machine, Lengths, ModelShape]:
    recipe, rollout = run.recipe, run.recipe.rollout
    shape, work = (
        shape_of_config(run.policy.model.config),
        work_of(run.recipe, shape_of_config(run.policy.model.config)),
    )
    ready_kernels(run.policy, run.show, samples_here(recipe), learns=True)
    _sample(run, 1, 1, 2)
    alone, alone_seconds = _sample(run, 1, 1, min(_TRIAL_TOKENS, rollout.max_completion_tokens))
    per_token = alone_seconds / _tokens(alone)[0]
    cap = min(rollout.max_completion_tokens, max(16, int(_SECONDS / (3 * per_token))))
    groups, seconds = _sample(run, rollout.prompts_per_step, rollout.group_size, cap)
    tokens = _tokens(groups)
    whole = cap == rollout.max_completion_tokens
    lengths = (
        seen(tokens, cap, f"{len(tokens)} completions of the base model")
        if whole
        else prior(rollout.max_completion_tokens)
    )
    began = time.monotonic()
    scored = score_groups(run.rubric(rollout.max_completion_tokens), groups)
    reward = (time.monotonic() - began) / len(tokens)
    algorithm = recipe.algorithm
    rows = training_rows(scored, run.advantage, algorithm.loss.aggregation, rollout.max_completion_tokens)
    settings = StepSettings(rollout.max_completion_tokens, run.update.entropy_coef, 0.0)
    update_within_memory(run, Progress(), rows, settings)  # the first one makes moments and buffers
    began = time.monotonic()
    update_within_memory(run, Progress(), rows, settings)
    update = time.monotonic() - began
    machine = Machine(
        name=f"this machine ({run.policy.device.type}, {torch.get_num_threads()} threads)",
        launch_seconds=per_token / (shape.layers * OPERATIONS_PER_LAYER),
        bandwidth=2e10,
        flops=1e12,
        decode_flops=1e12,
        is_serial=True,
        reward_seconds=reward,
        uncertainty=_UNCERTAINTY,
    )
    prompts = [len(group.prompt.token_ids) for group in groups]
    own = replace(work, prompt_tokens=sum(prompts) / len(prompts))
    return _fitted(machine, shape, own, seen(tokens, cap, "seen"), seconds, update), lengths, shape


def _fitted(
    machine: Machine, shape: ModelShape, work: Work, lengths: Lengths, rollout: float, update: float
) -> Machine:
    """The rates at which the clock gives what was measured."""
    width = work.value_bytes

    def sampled(flops: float) -> float:
        tried = replace(machine, decode_flops=flops)
        return decode_seconds(shape, tried, lengths, work.completions, work.rows, work.prompt_tokens, width)

    low, high = 1e6, 1e16
    for _ in range(80):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if sampled(middle) > rollout else (low, middle)
    decode_flops = high
    flops = machine.flops * update_seconds(shape, replace(machine, bandwidth=1e30), work, lengths) / update
    return replace(machine, decode_flops=decode_flops, flops=flops)


def _sample(run: Run, prompts: int, group_size: int, cap: int) -> tuple[list[RolloutGroup], float]:
    rollout = run.recipe.rollout
    sampling = SamplingParams(cap, rollout.temperature, rollout.top_p, rollout.top_k)
    began = time.monotonic()
    groups = collect_groups(
        run.engine, run.policy.tokenizer, run.problems.train[:prompts], group_size, sampling, (run.recipe.seed, "plan")
    )
    return groups, time.monotonic() - began


def _tokens(groups: Sequence[RolloutGroup]) -> list[int]:
    return [len(one.token_ids) for group in groups for one in group.completions]
