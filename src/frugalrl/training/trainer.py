"""GRPO with verifiable rewards: the loop.

Departures from the textbook algorithm (arXiv 2402.03300), all of them settings of the recipe:
- the loss is averaged over the tokens of the whole batch by default, not over each completion first;
- old log-probs are the rollout's own where the engine computes exactly what the trainer does (fp32);
- without a KL term (`kl_coef` 0, the default) no reference model is held.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from frugalrl.config.schema import TrainRecipe
from frugalrl.data.sampler import observe
from frugalrl.errors import RecipeError
from frugalrl.reporting.console import PROGRESS_HEADER, progress_line
from frugalrl.reporting.environment import describe_environment, record_environment
from frugalrl.reporting.run_log import RunLog
from frugalrl.reporting.summary import Summary
from frugalrl.rewards.rubric import group_accuracy, score_group
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.refill import FilledBatch, fill_batch
from frugalrl.text.language_id import load_identifier
from frugalrl.training.batching import micro_batches, training_rows
from frugalrl.training.choosing import early_stop
from frugalrl.training.guard.actions import announce, guarded, roll_back_if_pending
from frugalrl.training.length_schedule import observe_length
from frugalrl.training.limits.alarms import ALARM_STEP, alarms
from frugalrl.training.limits.stopping import StopRequested
from frugalrl.training.metrics import step_metrics
from frugalrl.training.milestones import (
    divides,
    evaluate_all,
    evaluate_if_due,
    finish,
    is_due,
    save_run,
    save_unless_saved,
    saved_for_resume,
)
from frugalrl.training.problem_sets import Show
from frugalrl.training.rules import advantage_rule, update_settings
from frugalrl.training.run import (
    TrainingRun,
    entropy_coefficient,
    note_entropy,
    option_metrics,
    prepare_run,
    reset_reference,
    set_length,
)
from frugalrl.training.schedule import lr_factor
from frugalrl.training.state.checkpoint import load_training_state
from frugalrl.training.update import update_policy
from frugalrl.types import ScoredGroup, StepMetrics

STEP_PHASES = ("rollout", "reward", "update")


def train(
    recipe: TrainRecipe,
    folder: Path,
    resume_from: Path | None = None,
    show: Show = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
    evaluating: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Summary | None:
    """Train as the recipe says, from its model or from a checkpoint of this recipe.

    folder: the run's folder, which exists. Written below it: `metrics.jsonl`, `samples.jsonl`, `environment.json`,
        `evaluations/`, `checkpoints/`, `model/` and `summary.json`.
    should_stop: asked before every step; once true, the run saves a checkpoint and ends without a summary.
    evaluating: entered around evaluations; leaves one by raising StopRequested, which also saves and ends the run.
    Raises UserError for whatever in recipe, data or model makes training impossible.
    """
    with RunLog(folder, recipe.trackers, recipe.name) as log:
        run = prepare_run(recipe, folder, resume_from, log, show)
        run.evaluating = evaluating
        _take_up(run, resume_from)
        try:
            if run.evaluated_step < 0:
                evaluate_all(run)
                run.evaluated_step = 0
            if run_steps(run, should_stop):
                if recipe.training.save_every is None:
                    run.evaluating = nullcontext  # no checkpoint to make the closing again from: it is waited for
                return finish(run)
        except StopRequested:
            pass
        show(f"Stopped after step {run.step} of {recipe.training.steps}. {saved_for_resume(run)}")
        return None


def _take_up(run: TrainingRun, resume_from: Path | None) -> None:
    """Note where the run goes on, and cut its log back to there: only now is it sure that it can."""
    environment = describe_environment(run.recipe, run.problems.hashes, run.base_weights)
    notes = [record_environment(run.folder, environment, None if resume_from is None else run.step)]
    lengths = {} if resume_from is None else load_training_state(resume_from).values["log_lengths"]
    notes += run.log.cut(lengths, run.step)
    for note in notes:
        if note is not None:
            run.show(note)


def run_steps(run: TrainingRun, should_stop: Callable[[], bool]) -> bool:
    """The loop: problems -> groups -> rewards -> advantages -> update -> log -> evaluate -> checkpoint.

    False if it was asked to stop before the run's end. Raises StopRequested out of an evaluation.
    """
    recipe, rollout, algorithm = run.recipe, run.recipe.rollout, run.recipe.algorithm
    constant_tokens = algorithm.loss.constant_tokens or rollout.max_completion_tokens
    first_groups: list[ScoredGroup] = []
    run.show(PROGRESS_HEADER)
    evaluate_if_due(run)  # a run that was stopped inside this evaluation makes it now
    while not _is_over(run):
        if should_stop():
            return False
        roll_back_if_pending(run)
        step, clock_before, began = run.step + 1, dict(run.clock), run.spending.seconds
        batch = _collect(run, step)
        with run.timed("update"):
            rule = advantage_rule(algorithm.advantage)
            rows = training_rows(
                batch.kept, rule, algorithm.loss.aggregation, constant_tokens, algorithm.mask_truncated
            )
            batches = micro_batches(
                rows, recipe.training.micro_batch_tokens, run.policy.pad_token_id, run.policy.device
            )
            factor = run.guard.lr_factor * _lr_factor(recipe, run.step)
            entropy_coef = entropy_coefficient(run)
            settings = update_settings(recipe, run.engine.logprobs_are_exact, entropy_coef)
            updated = update_policy(run.policy, run.reference, run.optimizer, batches, settings, factor)
            note_entropy(run, updated["policy/entropy"])
            updated |= option_metrics(run, entropy_coef)
            run.step = step
            run.publish_weights()
        learning_rate = factor * recipe.optimizer.learning_rate
        seconds = {phase: run.clock[phase] - clock_before.get(phase, 0.0) for phase in STEP_PHASES}
        if rollout.max_extra_groups > 0:
            updated |= {"group/refilled": float(batch.refilled), "rollout/extra_frac": batch.extra_frac}
        if run.length is not None:
            updated |= {"completion/cap_tokens": float(run.cap_tokens)}
        metrics = step_metrics(step, batch.sampled, updated, learning_rate, seconds, load_identifier())
        metrics, decision = guarded(run, metrics)
        run.spending.add_step(run.spending.seconds - began, _tokens_of(batch.sampled))
        _report(run, metrics, batch.sampled)
        announce(run, decision)
        _move_cap(run, metrics)
        if step <= ALARM_STEP:
            first_groups += batch.sampled[: rollout.prompts_per_step]
            _raise_alarms(run, first_groups)
        if is_due(run, algorithm.reference_reset_every):
            reset_reference(run)
            run.show(f"   The policy after step {step} is the reference now; the optimizer starts anew.")
        evaluate_if_due(run)
        if is_due(run, recipe.training.save_every):
            save_run(run)
    if recipe.training.save_every is not None:
        save_unless_saved(run)  # so that the closing can be left, or killed, without losing a step
    return True


def _is_over(run: TrainingRun) -> bool:
    """Whether the run closes now: after its last step, or for a reason that is kept in `end_reason` and shown."""
    recipe, step = run.recipe, run.step
    if step >= recipe.training.steps or run.end_reason is not None:
        return True
    evaluates = bool(run.problems.validation) and divides(recipe.evaluation.every, step + 1)
    reason = early_stop(run) if run.evaluated_step == step > 0 else None
    if reason is not None:
        run.show(f"   {reason}")
        run.end_reason = reason
        return True
    reason = run.spending.reason_to_end(step, evaluates, divides(recipe.training.save_every, step + 1))
    if reason is not None and step == 0:
        raise RecipeError(f"The budget does not allow a single step ({reason}). Raise it, or evaluate less.")
    if reason is not None:
        run.show(f"Ending after step {step} of {recipe.training.steps} to keep within {reason}.")
    run.end_reason = reason
    return reason is not None


def _tokens_of(scored: Sequence[ScoredGroup]) -> int:
    return sum(len(one.completion.token_ids) for group in scored for one in group.completions)


def _collect(run: TrainingRun, step: int) -> FilledBatch:
    """The groups of a step, scored; those that teach nothing replaced as far as the recipe allows."""
    recipe, rollout = run.recipe, run.recipe.rollout
    sampling = SamplingParams(run.cap_tokens, rollout.temperature, rollout.top_p, rollout.top_k)

    taken: list[int] = []

    def sample(count: int, round_number: int) -> list[ScoredGroup]:
        # In a small data set a problem can come up twice in a step: then it is sampled with other seeds.
        seed_parts = (recipe.seed, step) if round_number == 0 else (recipe.seed, step, "refill", round_number)
        indices = run.next_problems(count)
        taken.extend(indices)
        prompts = [run.problems.train[index] for index in indices]
        with run.timed("rollout"):
            groups = collect_groups(run.engine, run.policy.tokenizer, prompts, rollout.group_size, sampling, seed_parts)
        with run.timed("reward"):
            return [score_group(run.rubric, group) for group in groups]

    batch = fill_batch(sample, rollout.prompts_per_step, int(rollout.max_extra_groups * rollout.prompts_per_step))
    accuracies = [group_accuracy([one.verdict for one in group.completions]) for group in batch.sampled]
    run.sampler = observe(run.sampler, run.sampler_rule, zip(taken, accuracies, strict=True))
    return batch


def _move_cap(run: TrainingRun, metrics: StepMetrics) -> None:
    """Let the length schedule look at a step."""
    schedule, recipe, before = run.recipe.length_schedule, run.recipe, run.cap_tokens
    if schedule is None or run.length is None:
        return
    first_cap = recipe.rollout.max_completion_tokens
    length = observe_length(run.length, run.step, metrics.values, schedule, first_cap, recipe.training.steps)
    set_length(run, length)
    if run.cap_tokens != before:
        run.show(f"   The cap on completions goes from {before} to {run.cap_tokens} tokens.")


def _lr_factor(recipe: TrainRecipe, step: int) -> float:
    settings = recipe.optimizer
    return lr_factor(step, recipe.training.steps, settings.schedule, settings.warmup_fraction, settings.min_lr_fraction)


def _raise_alarms(run: TrainingRun, first_groups: Sequence[ScoredGroup]) -> None:
    seen_from_the_start = len(first_groups) == ALARM_STEP * run.recipe.rollout.prompts_per_step
    if run.step == ALARM_STEP and seen_from_the_start:
        for warning in alarms(first_groups):
            run.show(f"WARNING: {warning}")


def _report(run: TrainingRun, metrics: StepMetrics, scored: Sequence[ScoredGroup]) -> None:
    """Log the step and its first group, and show a line."""
    run.log.write(metrics.step, {**metrics.values, **run.spending.metrics(metrics.step)})
    completions = [
        {
            "text": one.completion.text,
            "reward": one.reward,
            "breakdown": dict(one.breakdown),
            "verdict": one.verdict.label,
            "reason": one.verdict.reason,
        }
        for one in scored[0].completions
    ]
    prompt = scored[0].prompt
    sample = {
        "step": metrics.step,
        "prompt": prompt.text,
        "gold": prompt.problem.gold,
        "completions": completions,
    }
    run.log.write_sample(json.dumps(sample, ensure_ascii=False))
    seconds = sum(value for name, value in metrics.values.items() if name.startswith("time/"))
    run.step_seconds.append(seconds)
    recent = run.step_seconds[-20:]
    eta = sum(recent) / len(recent) * (run.recipe.training.steps - metrics.step)
    run.show(progress_line(metrics.step, run.recipe.training.steps, metrics.values, eta))
