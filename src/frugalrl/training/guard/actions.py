"""The guard in a running run: what it sees, asks for, and does.

Decisions:
- An evaluation that the guard calls is made right after its step. It has seeds of its own, a file of its own
  (`evaluations/guard-step-*.jsonl`) and no line in `metrics.jsonl`, and no checkpoint is chosen by it: a run in which
  nothing fires has the numbers of a run without a guard.
- With validation problems it asks some of them, drawn anew each time, one sample each. Without, it asks all of a slice
  that was held out of the training problems; the best of these evaluations is the reference, whose checkpoint is saved.
- A rollback is made when the next step begins, and is `pending` in the guard's state until then. So a checkpoint
  holds the weights that were evaluated at its step, whatever was decided there, and a resumed run makes the rollback
  that the stopped one had before it.
- Steps go on counting, and with them the schedule of the learning rate, the budget and the position in the data: what
  was spent was spent, and the batches that led to the collapse do not come again. Only weights, masters, reference
  and optimizer go back or start anew.
- `guard.jsonl` has a line for each decision and each rollback; every line of `metrics.jsonl` has `guard/rollbacks`, so
  that steps which were abandoned can be told from those that count.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random

from frugalrl.evaluation.evaluator import evaluate, load_evaluation, save_evaluation
from frugalrl.evaluation.records import Evaluation
from frugalrl.training.guard.rules import (
    Decision,
    GuardRule,
    Look,
    called_samples,
    guard_metrics,
    judge,
    observe,
    rolled_back,
)
from frugalrl.training.length_schedule import largest_cap
from frugalrl.training.problem_sets import GUARD, VALIDATION
from frugalrl.training.run import TrainingRun, load_base_weights, reset_reference
from frugalrl.training.state.checkpoint import checkpoint_name, load_training_state, load_weights
from frugalrl.training.state.manifest import damage
from frugalrl.training.state.pointers import saved_steps
from frugalrl.types import Prompt, StepMetrics

BASE = 0
"""The step of the base model, where no checkpoint is good."""


def guarded(run: TrainingRun, metrics: StepMetrics) -> tuple[StepMetrics, Decision]:
    """Let the guard look at a training step; its metrics with the guard's own, and what it decided."""
    lr_factor = run.guard.lr_factor  # of this step, not of what was decided after it
    decision = look(run, metrics.step, metrics.values)
    if not run.recipe.guard.enabled:
        return metrics, decision
    own = guard_metrics(run.guard) | {"guard/lr_factor": lr_factor}
    return dataclasses.replace(metrics, values={**metrics.values, **own}), decision


def look(run: TrainingRun, step: int, values: Mapping[str, float]) -> Decision:
    """Let the guard look at the metrics of a step."""
    if not run.recipe.guard.enabled:
        return Decision(step)
    run.guard, decision = observe(run.guard, step, values, _rule(run))
    is_last = step == run.recipe.training.steps  # the run's end evaluates, and nothing is left to roll back for
    return Decision(step) if is_last and decision.action == "evaluate" else decision


def announce(run: TrainingRun, decision: Decision) -> None:
    """Log a decision and show it; a stop ends the run in the ordinary way."""
    if decision.action == "none":
        return
    _note(run, **dataclasses.asdict(decision))
    said = {
        "warn": "WARNING by the guard",
        "evaluate": "The guard evaluates",
        "clear": "The guard goes on",
        "rollback": "ROLLBACK by the guard",
        "stop": "STOP by the guard",
    }[decision.action]
    run.show(f"   {said} after step {decision.step}. {decision.reason}")
    if decision.action == "stop":
        run.end_reason = f"the guard: {decision.reason}"


def evaluation_called_for(run: TrainingRun) -> bool:
    """Whether the guard waits for an evaluation of the policy as it is. After the last step none is of use."""
    return run.guard.asked and run.step < run.recipe.training.steps and run.end_reason is None


def evaluate_for_guard(run: TrainingRun) -> bool:
    """Make the evaluation that the guard called for, or that of the base; whether it is the best so far of a run
    without validation problems, whose checkpoint is then to be saved. Raises StopRequested; nothing is decided then.
    """
    began, settings = run.spending.seconds, run.recipe.evaluation
    whole = not run.problems.validation
    prompts = run.problems.held_out if whole else _some(run)
    with run.timed("evaluation"), run.evaluating():
        evaluation = evaluate(
            run.evaluation_engine,
            run.policy.tokenizer,
            prompts,
            settings.model_copy(update={"samples_per_problem": 1, "seed": -1 - run.step}),  # no recipe's seed is used
            largest_cap(run.recipe.length_schedule, run.recipe.rollout.max_completion_tokens),
        )
        save_evaluation(evaluation, run.evaluation_file(GUARD, run.step))
    tokens = sum(record.completion_tokens for records in evaluation.records for record in records)
    run.spending.add_look(run.spending.seconds - began, tokens)
    announce(run, judged(run, evaluation, called=True))
    reference = run.guard.reference
    return whole and reference is not None and reference.step == run.step > BASE


def judged(run: TrainingRun, evaluation: Evaluation, called: bool = False) -> Decision:
    """Let the guard look at an evaluation of the policy as it is: one that it called, or one of all validation
    problems, that of the base included.
    """
    if not run.recipe.guard.enabled:
        return Decision(run.step)
    correct, reference = _known(evaluation), run.guard.reference
    best: dict[str, list[bool]] = {}
    if reference is not None:
        split, prompts = _reference_problems(run)
        best = _known(load_evaluation(prompts, run.evaluation_file(split, reference.step)))
        correct = {name: samples for name, samples in correct.items() if name in best}
    one = Look(
        step=run.step,
        correct=list(correct.values()),
        best=[best[name] for name in correct] if best else [],
        mean_tokens=evaluation.mean_tokens,
        called=called,
        whole=not called or not run.problems.validation,
    )
    run.guard, decision = judge(run.guard, one, _rule(run))
    return decision


def roll_back_if_pending(run: TrainingRun) -> None:
    """Make the rollback that was decided. Raises OutputError or ModelError if the weights cannot be read."""
    if not run.guard.pending:
        return
    checkpoints = run.folder / "checkpoints"
    target = _target(run, checkpoints)
    if target == BASE:
        _go_back_to_the_base(run)
    else:
        folder = checkpoints / checkpoint_name(target)
        load_weights(run.policy, folder)
        run.optimizer.load_state_tensors(load_training_state(folder).tensors["optimizer"])
    reset_reference(run)
    run.guard = rolled_back(run.guard)
    run.publish_weights()
    _note(run, step=run.step, action="rolled_back", to=target, lr_factor=run.guard.lr_factor)
    where = "the base model" if target == BASE else f"step {target}"
    run.show(
        f"   Rolled back to {where}; reference and optimizer start anew, "
        f"the learning rate is {run.guard.lr_factor:g} x the schedule's."
    )


def needed_to_roll_back(run: TrainingRun) -> set[int]:
    """Steps whose checkpoints rotation must leave: where a rollback would go."""
    targets = {run.guard.reference.step} if run.guard.reference is not None else set()
    if run.guard.pending:
        targets.add(run.guard.rollbacks[-1].to)
    return targets - {BASE}


def _rule(run: TrainingRun) -> GuardRule:
    rollout, problems = run.recipe.rollout, run.problems
    step_samples = rollout.prompts_per_step * rollout.group_size
    if not problems.validation:
        return GuardRule(run.recipe.guard, step_samples, len(problems.held_out), None)
    called = called_samples(step_samples, len(problems.validation))
    return GuardRule(run.recipe.guard, step_samples, called, run.recipe.evaluation.every)


def _some(run: TrainingRun) -> list[Prompt]:
    """Validation problems for a called evaluation, in their order; others at each step."""
    problems = run.problems.validation
    rng = Random(f"guard/{run.recipe.seed}/{run.step}")
    return [problems[index] for index in sorted(rng.sample(range(len(problems)), _rule(run).look_samples))]


def _reference_problems(run: TrainingRun) -> tuple[str, list[Prompt]]:
    problems = run.problems
    return (VALIDATION, problems.validation) if problems.validation else (GUARD, problems.held_out)


def _known(evaluation: Evaluation) -> dict[str, list[bool]]:
    """Verdicts by problem, without those that are unknown: a verifier that fails says nothing of the policy."""
    found = {
        samples[0].problem_id: [one.verdict == "correct" for one in samples if one.verdict != "unknown"]
        for samples in evaluation.records
        if samples
    }
    return {name: verdicts for name, verdicts in found.items() if verdicts}


def _target(run: TrainingRun, checkpoints: Path) -> int:
    """The newest whole checkpoint up to the best evaluation that no earlier rollback left behind."""
    *earlier, newest = run.guard.rollbacks
    for step in sorted(saved_steps(checkpoints), reverse=True):
        if step > newest.to or any(one.to < step <= one.step for one in earlier):
            continue
        wrong = damage(checkpoints / checkpoint_name(step))
        if wrong is None:
            return step
        run.show(f"   The checkpoint of step {step} is damaged: {wrong}. An earlier one is taken.")
    return BASE


def _go_back_to_the_base(run: TrainingRun) -> None:
    load_base_weights(run)
    masters = {f"master/{name}": parameter.detach() for name, parameter in run.policy.model.named_parameters()}
    run.optimizer.load_state_tensors(masters)


def _note(run: TrainingRun, **values: object) -> None:
    run.log.write_guard(json.dumps(values))
