"""GRPO with verifiable rewards: the loop.

Departures from the textbook algorithm (arXiv 2402.03300), all of them settings of the recipe:
- the loss is averaged over the tokens of the whole batch by default, not over each completion first;
- old log-probs are the rollout's own where the engine computes exactly what the trainer does (fp32);
- without a KL term (`kl_coef` 0, the default) no reference model is held.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from frugalrl.config.schema import TrainRecipe
from frugalrl.evaluation.evaluator import evaluate, load_evaluation, save_evaluation
from frugalrl.evaluation.records import Evaluation
from frugalrl.reporting.console import PROGRESS_HEADER, estimate, progress_line
from frugalrl.reporting.model_card import training_card
from frugalrl.reporting.run_log import RunLog
from frugalrl.reporting.summary import Summary, summarise, write_summary
from frugalrl.rewards.language_id import load_identifier
from frugalrl.rewards.rubric import score_group
from frugalrl.rollout.collect import collect_groups
from frugalrl.rollout.engine import SamplingParams
from frugalrl.rollout.refill import FilledBatch, fill_batch
from frugalrl.training.alarms import ALARM_STEP, alarms
from frugalrl.training.batching import micro_batches, training_rows
from frugalrl.training.checkpoint import checkpoint_name, load_training_state, save_checkpoint, save_model
from frugalrl.training.metrics import step_metrics
from frugalrl.training.run import (
    Show,
    TrainingRun,
    advantage_rule,
    entropy_coefficient,
    note_entropy,
    option_metrics,
    prepare_run,
    reset_reference,
    update_settings,
)
from frugalrl.training.schedule import lr_factor
from frugalrl.training.update import update_policy
from frugalrl.types import ScoredGroup, StepMetrics

STEP_PHASES = ("rollout", "reward", "update")


def train(
    recipe: TrainRecipe,
    folder: Path,
    resume_from: Path | None = None,
    show: Show = lambda line: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Summary | None:
    """Train as the recipe says, from its model or from a checkpoint of this recipe.

    folder: the run's folder, which exists. Written below it: `metrics.jsonl`, `samples.jsonl`,
        `evaluations/`, `checkpoints/`, `model/` and `summary.json`.
    should_stop: asked before every step; once true, the run saves a checkpoint and ends without a summary.
    Raises UserError for whatever in recipe, data or model makes training impossible.
    """
    kept_steps = 0 if resume_from is None else int(load_training_state(resume_from).values["step"])
    # Without a complete step the base is evaluated again, so its lines go too.
    with RunLog(folder, recipe.trackers, recipe.name, truncate_after=kept_steps or -1) as log:
        run = prepare_run(recipe, folder, resume_from, log, show)
        if run.step == 0:
            _evaluate_all(run)
        run_steps(run, should_stop)
        if run.step < recipe.training.steps:
            checkpoint = _save_checkpoint(run)
            show(f"Stopped after step {run.step} of {recipe.training.steps}. Saved {checkpoint}; go on with --resume.")
            return None
        return _finish(run)


def run_steps(run: TrainingRun, should_stop: Callable[[], bool]) -> None:
    """The loop: problems -> groups -> rewards -> advantages -> update -> log -> evaluate -> checkpoint."""
    recipe, rollout, algorithm = run.recipe, run.recipe.rollout, run.recipe.algorithm
    constant_tokens = algorithm.loss.constant_tokens or rollout.max_completion_tokens
    first_groups: list[ScoredGroup] = []
    run.show(PROGRESS_HEADER)
    while run.step < recipe.training.steps and not should_stop():
        step, clock_before = run.step + 1, dict(run.clock)
        batch = _collect(run, step)
        with run.timed("update"):
            rule = advantage_rule(algorithm.advantage)
            rows = training_rows(
                batch.kept, rule, algorithm.loss.aggregation, constant_tokens, algorithm.mask_truncated
            )
            batches = micro_batches(
                rows, recipe.training.micro_batch_tokens, run.policy.pad_token_id, run.policy.device
            )
            factor = _lr_factor(recipe, run.step)
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
        metrics = step_metrics(step, batch.sampled, updated, learning_rate, seconds, load_identifier())
        _report(run, metrics, batch.sampled)
        if step <= ALARM_STEP:
            first_groups += batch.sampled[: rollout.prompts_per_step]
            _raise_alarms(run, first_groups)
        if _is_due(run, algorithm.reference_reset_every):
            reset_reference(run)
            run.show(f"   The policy after step {step} is the reference now; the optimizer starts anew.")
        if run.problems.validation and _is_due(run, recipe.evaluation.every):
            _evaluate(run, "validation")
        if _is_due(run, recipe.training.save_every):
            _save_checkpoint(run)


def _collect(run: TrainingRun, step: int) -> FilledBatch:
    """The groups of a step, scored; those that teach nothing replaced as far as the recipe allows."""
    recipe, rollout = run.recipe, run.recipe.rollout
    sampling = SamplingParams(rollout.max_completion_tokens, rollout.temperature, rollout.top_p, rollout.top_k)

    def sample(count: int, round_number: int) -> list[ScoredGroup]:
        # In a small data set a problem can come up twice in a step: then it is sampled with other seeds.
        seed_parts = (recipe.seed, step) if round_number == 0 else (recipe.seed, step, "refill", round_number)
        with run.timed("rollout"):
            groups = collect_groups(
                run.engine, run.policy.tokenizer, run.next_prompts(count), rollout.group_size, sampling, seed_parts
            )
        with run.timed("reward"):
            return [score_group(run.rubric, group) for group in groups]

    return fill_batch(sample, rollout.prompts_per_step, int(rollout.max_extra_groups * rollout.prompts_per_step))


def _is_due(run: TrainingRun, every: int | None) -> bool:
    """At every multiple but the last step's, which the end of the run takes care of."""
    return every is not None and run.step % every == 0 and run.step < run.recipe.training.steps


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
    run.log.write(metrics.step, metrics.values)
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


def _evaluate_all(run: TrainingRun) -> None:
    """The policy as it is on the splits that base and final model are measured on."""
    for split in ("validation", "test"):
        if run.problems_of(split):
            _evaluate(run, split)


def _evaluate(run: TrainingRun, split: str) -> Evaluation:
    """Evaluate the current policy on a split; keep its records and log what they say."""
    with run.timed("evaluation"):
        evaluation = evaluate(
            run.evaluation_engine,
            run.policy.tokenizer,
            run.problems_of(split),
            run.recipe.evaluation,
            run.recipe.rollout.max_completion_tokens,
        )
        save_evaluation(evaluation, run.evaluation_file(split, run.step))
    accuracy = evaluation.accuracy
    values = {
        "avg_at_k": accuracy.value,
        "ci_low": accuracy.ci_low,
        "ci_high": accuracy.ci_high,
        "truncated_frac": evaluation.truncated_fraction,
        "mean_tokens": evaluation.mean_tokens,
    }
    run.log.write(run.step, {f"{split}/{name}": value for name, value in values.items()})
    run.show(f"   {split} after step {run.step}: {estimate(accuracy)}")
    return evaluation


def _save_checkpoint(run: TrainingRun) -> Path:
    path = run.folder / "checkpoints" / checkpoint_name(run.step)
    with run.timed("checkpoint"):
        save_checkpoint(run.policy, run.state, path, training_card(run.recipe, None))
    return path


def _finish(run: TrainingRun) -> Summary:
    """Evaluate the trained model, compare it with the base, save it, and sum up."""
    _evaluate_all(run)
    compared = run.problems_of(run.final_split)
    pair = None
    if compared:
        files = [run.evaluation_file(run.final_split, step) for step in (0, run.step)]
        pair = (load_evaluation(compared, files[0]), load_evaluation(compared, files[1]))
    summary = summarise(run.recipe, run.step, run.clock, run.final_split, pair)
    with run.timed("checkpoint"):
        save_model(run.policy, run.folder / "model", training_card(run.recipe, summary))
    write_summary(summary, run.folder / "summary.json")
    return summary
