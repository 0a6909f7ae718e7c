"""The parts of a step around the algorithm: its settings, memory for the update, hooks, metrics, log lines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from frugalrl.errors import ModelError
from frugalrl.reporting.console import progress_line
from frugalrl.rollout.memory import is_out_of_memory
from frugalrl.rollout.refill import FilledBatch
from frugalrl.text.language_id import load_identifier
from frugalrl.training.batching import CPU_MICRO_BATCH_TOKENS, IDLE_ROW, TrainingRow, micro_batches
from frugalrl.training.distributed.dealing import deal_rows
from frugalrl.training.distributed.failures import out_of_memory_alone
from frugalrl.training.distributed.sharing import even_counts
from frugalrl.training.hooks.hook import StepHook, StepRecord, StepSettings
from frugalrl.training.metrics import step_metrics
from frugalrl.training.progress import Progress
from frugalrl.training.projecting import eta_seconds, projection_metrics, projection_notes
from frugalrl.training.run import Run
from frugalrl.training.schedule import lr_factor
from frugalrl.training.update import update_policy
from frugalrl.training.weights import publish_weights
from frugalrl.types import MicroBatch, ScoredGroup

_PHASES = ("rollout", "reward", "update")


@dataclass(frozen=True)
class StepReport:
    """What is logged and printed for a step."""

    metrics: Mapping[str, float]
    groups: Sequence[ScoredGroup]
    notes: tuple[str, ...]


def before_step(run: Run, progress: Progress, hooks: Sequence[StepHook]) -> tuple[Progress, StepSettings, float]:
    """The settings of the coming step, after the hooks; and the run's seconds at its start."""
    recipe, schedule = run.recipe, run.recipe.optimizer
    progress = progress.with_seconds(run.clock.take())
    began = run.seconds
    factor = lr_factor(
        progress.step,
        recipe.training.steps,
        schedule.schedule,
        schedule.warmup_fraction,
        schedule.min_lr_fraction,
    )
    settings = StepSettings(recipe.rollout.max_completion_tokens, run.update.entropy_coef, factor)
    for hook in hooks:
        progress, settings = hook.before(run, progress, settings)
    return progress, settings, began


def update_within_memory(
    run: Run, progress: Progress, rows: Sequence[TrainingRow], settings: StepSettings
) -> tuple[Progress, dict[str, float]]:
    """Update the policy; in smaller micro-batches if they do not fit into memory.

    The gradient does not depend on how the batch is cut, up to rounding. Raises the device's error if a single
    completion does not fit, or if memory ran out after weights had changed.
    """
    tokens = progress.micro_batch_tokens or run.recipe.training.micro_batch_tokens
    if run.policy.device.type == "cpu":
        tokens = min(tokens, CPU_MICRO_BATCH_TOKENS)
    update = replace(run.update, entropy_coef=settings.entropy_coef, policy_version=progress.policy_version)
    longest = max((len(row.prompt_ids) + len(row.completion_ids) for row in rows), default=0)
    while True:
        begun = run.optimizer.steps_begun
        batches = _own_batches(run, rows, tokens)
        try:
            updated = update_policy(
                run.policy, run.reference, run.optimizer, batches, update, settings.lr_factor, run.placement
            )
        except RuntimeError as error:
            if not is_out_of_memory(error) or tokens <= longest or run.optimizer.steps_begun > begun:
                raise
            if not run.world.agrees_on(error):
                raise ModelError(out_of_memory_alone(run.world.rank, tokens)) from error
        else:
            return progress, updated
        run.optimizer.discard_gradients()
        del batches
        torch.cuda.empty_cache()
        tokens = max(longest, tokens // 2)
        progress = replace(progress, micro_batch_tokens=tokens)
        run.show(
            f"   Out of memory in step {progress.step + 1}: micro-batches have {tokens} tokens from here on. "
            f"Set training.micro_batch_tokens={tokens} to start with them."
        )


def _own_batches(run: Run, rows: Sequence[TrainingRow], tokens: int) -> list[MicroBatch]:
    """This process's micro-batches; as many in every process, since layers may be gathered and added up together."""
    device = run.policy.device
    own = deal_rows(rows, lambda row: len(row.prompt_ids) + len(row.completion_ids), run.world.size)[run.world.rank]
    batches = micro_batches(own, tokens, device, even=device.type == "cpu")
    return even_counts(run.world, batches, lambda: micro_batches([IDLE_ROW], tokens, device)[0])


def after_step(
    run: Run,
    progress: Progress,
    hooks: Sequence[StepHook],
    settings: StepSettings,
    batch: FilledBatch,
    updated: Mapping[str, float],
    began: float,
) -> tuple[Progress, StepReport]:
    """The step's metrics, and the reactions of the hooks."""
    seconds = run.clock.take()
    if run.recipe.rollout.max_extra_groups > 0:
        updated = {**updated, "group/refilled": float(batch.refilled), "rollout/extra_frac": batch.extra_frac}
    metrics: Mapping[str, float] = step_metrics(
        progress.step,
        batch.sampled,
        updated,
        settings.lr_factor * run.recipe.optimizer.learning_rate,
        {phase: seconds.get(phase, 0.0) for phase in _PHASES},
        load_identifier(),
    ).values
    notes: list[str] = []
    for hook in hooks:
        looked = hook.after(run, progress, StepRecord(progress.step, settings, batch.sampled, metrics))
        progress, metrics = looked.progress, {**metrics, **looked.metrics}
        notes += looked.notes
        progress = replace(
            progress,
            end_reason=progress.end_reason or looked.end_reason,
        )
    tokens = sum(len(one.completion.token_ids) for group in batch.sampled for one in group.completions)
    spending = progress.spending.after_step(run.seconds - began, tokens)
    progress = replace(progress.with_seconds(seconds), spending=spending)
    metrics = {
        **metrics,
        **spending.metrics(run.budget, run.seconds, progress.step),
        **projection_metrics(run, progress),
    }
    return progress, StepReport(metrics, batch.sampled, (*notes, *projection_notes(run, progress)))


def publish_step(run: Run, progress: Progress) -> Progress:
    """Make the engines sample from the weights of this step; the progress with what that cost added to the step.

    The step itself is complete: where a server cannot take the weights, its checkpoint can still be saved.
    """
    began = run.seconds
    if run.ahead is not None:
        run.ahead.check()
    with run.clock.timed("update"):
        publish_weights(run, progress.policy_version)
    return replace(progress, spending=progress.spending.after_look(run.seconds - began, 0))


def report_step(run: Run, progress: Progress, report: StepReport) -> None:
    """Log the step and its first group, and print its line and the hooks' notes."""
    run.log.write(progress.step, {**report.metrics, **run.engine.metrics})
    run.log.write_sample(_sample(progress.step, report.groups[0]))
    steps = run.recipe.training.steps
    run.show(progress_line(progress.step, steps, report.metrics, eta_seconds(run, progress)))
    for note in report.notes:
        run.show(note)


def _sample(step: int, group: ScoredGroup) -> str:
    completions = [
        {
            "text": one.completion.text,
            "reward": one.reward,
            "breakdown": dict(one.breakdown),
            "verdict": one.verdict.label,
            "reason": one.verdict.reason,
        }
        for one in group.completions
    ]
    sample = {
        "step": step,
        "prompt": group.prompt.text,
        "gold": group.prompt.problem.gold,
        "completions": completions,
    }
    return json.dumps(sample, ensure_ascii=False)
