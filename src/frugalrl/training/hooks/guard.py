"""The guard during a run: what it sees, evaluates, and does. What it decides is in `training/guard/rules.py`.

Decisions:
- An evaluation that the guard requests is made right after its step. It has its own seeds, its own file
  (`evaluations/guard-step-*.jsonl`) and no line in `metrics.jsonl`, and no checkpoint is chosen by it: a run in which
  nothing fires has the numbers of a run without a guard.
- With validation problems it evaluates a new random subset each time, one sample each. Without, it evaluates all of a
  held-out slice of the training problems; the best of these evaluations is the reference, whose checkpoint is saved.
- A rollback is made when the next step begins, and is `pending` in the guard's state until then. So a checkpoint
  holds the weights that were evaluated at its step, whatever was decided there, and a resumed run makes the rollback
  that the stopped one had before it.
- The step count continues, and with it the learning-rate schedule, the budget and the position in the data: what was
  spent stays spent, and the batches that led to the collapse are not repeated. Only weights, masters, reference and
  optimizer are restored or reset.
- `guard.jsonl` has a line for each decision and each rollback; every line of `metrics.jsonl` has `guard/rollbacks`, so
  that abandoned steps can be told from those that count.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from random import Random

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.evaluation.records import Evaluation
from frugalrl.evaluation.runner import evaluate, load_evaluation, save_evaluation
from frugalrl.training.distributed.placement import own_part
from frugalrl.training.evaluating import VALIDATION, read_evaluation, subject
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
from frugalrl.training.guard.state import GuardState, from_json, to_json
from frugalrl.training.hooks.hook import After, StepHook, StepRecord, StepSettings
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.training.state.checkpoint import checkpoint_name, load_training_state, load_weights
from frugalrl.training.state.manifest import damage
from frugalrl.training.state.pointers import saved_steps
from frugalrl.training.weights import BASE_STEP, load_base_weights, publish_weights, reset_reference
from frugalrl.types import Prompt

GUARD = "guard"
"""File-name prefix of the guard's own evaluations."""


class Guard(StepHook):
    """Watches each step and evaluation, evaluates when needed; rolls back before the next step, or ends the run."""

    name = "guard"

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings

    def before(self, run: Run, progress: Progress, settings: StepSettings) -> tuple[Progress, StepSettings]:
        if self._state(progress).pending:
            progress = self._roll_back(run, progress)
        return progress, replace(settings, lr_factor=self._state(progress).lr_factor * settings.lr_factor)

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        lr_factor = self._state(progress).lr_factor  # of this step, not of what is decided after it
        state, decision = observe(self._state(progress), record.step, record.metrics, self._rule(run))
        if decision.action == "evaluate" and _is_over(run, progress):
            decision = Decision(record.step)  # the end of the run evaluates, and there is no next step to roll back for
        own = guard_metrics(state) | {"guard/lr_factor": lr_factor}
        return replace(self._announced(run, progress, self._state(progress), state, decision), metrics=own)

    def evaluated(self, run: Run, progress: Progress, evaluation: Evaluation, metrics: Mapping[str, float]) -> After:
        if _is_over(run, progress):
            return After(progress)  # there is nothing left to guard
        return self._judged(run, progress, evaluation, called=False)

    def between(self, run: Run, progress: Progress) -> After:
        """Make the requested evaluation; without validation problems, that of the base too."""
        state = self._state(progress)
        is_base = progress.step == BASE_STEP and state.reference is None and bool(run.problems.held_out)
        if _is_over(run, progress) or not (state.asked or is_base):
            return After(progress)
        began, settings = run.seconds, run.recipe.evaluation
        prompts = run.problems.held_out if not run.problems.validation else self._some(run, progress.step)
        with run.clock.timed("evaluation"), run.evaluating():
            evaluation = evaluate(
                run.evaluation_engine,
                run.policy.tokenizer,
                prompts,
                # No recipe can have a seed below 0, so these samples occur in no scheduled evaluation.
                settings.model_copy(update={"samples_per_problem": 1, "seed": -1 - progress.step}),
                run.largest_cap,
                run.judge,
            )
            about, file = subject(run, GUARD, progress.step), run.evaluation_file(GUARD, progress.step)
            run.world.main(lambda: save_evaluation(evaluation, file, about))
        look = progress.spending.after_look(run.seconds - began, evaluation.total_tokens)
        progress = replace(progress, spending=look)
        made = self._judged(run, progress, evaluation, called=True)
        reference = self._state(made.progress).reference
        return replace(made, save=reference is not None and reference.step == progress.step > BASE_STEP)

    def checkpoints_needed(self, run: Run, progress: Progress) -> set[int]:
        state = self._state(progress)
        targets = {state.reference.step} if state.reference is not None else set()
        if state.pending:
            targets.add(state.rollbacks[-1].to)
        return targets - {BASE_STEP}

    def _state(self, progress: Progress) -> GuardState:
        saved = progress.states.get(self.name)
        return GuardState() if saved is None else from_json(saved)

    def _rule(self, run: Run) -> GuardRule:
        rollout, problems = run.recipe.rollout, run.problems
        step_samples = rollout.prompts_per_step * rollout.group_size
        called, every = len(problems.held_out), None
        if problems.validation:
            called, every = called_samples(step_samples, len(problems.validation)), run.recipe.evaluation.every
        return GuardRule(step_samples, called, every, **self._settings.model_dump(exclude={"enabled", "held_out"}))

    def _some(self, run: Run, step: int) -> list[Prompt]:
        """Validation problems for a requested evaluation, in their order; others at each step."""
        problems, count = run.problems.validation, self._rule(run).look_samples
        rng = Random(f"guard/{run.recipe.seed}/{step}")
        return [problems[index] for index in sorted(rng.sample(range(len(problems)), count))]

    def _judged(self, run: Run, progress: Progress, evaluation: Evaluation, called: bool) -> After:
        state = self._state(progress)
        correct = _known(evaluation)
        best = {} if state.reference is None else _known_at_best(run, progress, state.reference.step)
        names = [name for name in correct if not best or name in best]
        looked = Look(
            step=progress.step,
            correct=[correct[name] for name in names],
            best=[best[name] for name in names] if best else [],
            mean_tokens=evaluation.mean_tokens,
            called=called,
            whole=not called or not run.problems.validation,
        )
        after, decision = judge(state, looked, self._rule(run))
        return self._announced(run, progress, state, after, decision)

    def _announced(
        self, run: Run, progress: Progress, before: GuardState, state: GuardState, decision: Decision
    ) -> After:
        """Log a decision, and show it unless it is a routine evaluation, without a sign, that found nothing."""
        suspected = any(
            value is not None for value in (before.sign, before.suspect_since, state.sign, state.suspect_since)
        )
        is_routine = decision.action in ("evaluate", "clear") and not suspected
        progress = progress.with_state(self.name, to_json(state))
        if decision.action == "none":
            return After(progress)
        run.log.write_guard(json.dumps(asdict(decision)))
        ends = f"the guard: {decision.reason}" if decision.action == "stop" else None
        return After(progress, notes=() if is_routine else (_line(decision),), end_reason=ends)

    def _roll_back(self, run: Run, progress: Progress) -> Progress:
        """Carry out the rollback that was decided. Raises OutputError or ModelError if the weights cannot be read."""
        state = self._state(progress)
        run.writer.settle()
        target, notes = run.world.main(lambda: _target(run, state))
        for note in notes:
            run.show(note)
        if target == BASE_STEP:
            load_base_weights(run)
            run.optimizer.take_weights_as_masters()
        else:
            folder = run.checkpoint_folder(target)
            load_weights(run.policy, folder)
            state_there = own_part(run.world, lambda: load_training_state(folder))
            run.optimizer.load_state_tensors(state_there.tensors["optimizer"])
        reset_reference(run)
        state = rolled_back(state)
        progress = replace(
            progress.with_state(self.name, to_json(state)),
            policy_version=progress.policy_version + 1,
            reference_step=progress.step if run.reference is not None else progress.reference_step,
        )
        publish_weights(run, progress.policy_version)
        made = {"step": progress.step, "action": "rolled_back", "to": target, "lr_factor": state.lr_factor}
        run.log.write_guard(json.dumps(made))
        where = "the base model" if target == BASE_STEP else f"step {target}"
        run.show(
            f"   Rolled back to {where}; reference and optimizer are reset, "
            f"the learning rate is {state.lr_factor:g} x the schedule's."
        )
        return progress


def _is_over(run: Run, progress: Progress) -> bool:
    return progress.step >= run.recipe.training.steps or progress.end_reason is not None


def _known_at_best(run: Run, progress: Progress, step: int) -> dict[str, list[bool]]:
    return run.world.main(lambda: _known(_reference_evaluation(run, progress, step)))


def _reference_evaluation(run: Run, progress: Progress, step: int) -> Evaluation:
    """The best evaluation so far. Raises OutputError if it was lost."""
    if run.problems.validation:
        return read_evaluation(run, progress, VALIDATION, step)
    return load_evaluation(run.problems.held_out, run.evaluation_file(GUARD, step))


def _known(evaluation: Evaluation) -> dict[str, list[bool]]:
    """Verdicts by problem, without unknown ones: a verifier that fails says nothing about the policy."""
    found = {
        samples[0].problem_id: [one.verdict == "correct" for one in samples if one.verdict != "unknown"]
        for samples in evaluation.records
        if samples
    }
    return {name: verdicts for name, verdicts in found.items() if verdicts}


def _line(decision: Decision) -> str:
    said = {
        "warn": "WARNING by the guard",
        "evaluate": "The guard evaluates",
        "clear": "The guard found no fall",
        "rollback": "ROLLBACK by the guard",
        "stop": "STOP by the guard",
    }[decision.action]
    return f"   {said} after step {decision.step}. {decision.reason}"


def _target(run: Run, state: GuardState) -> tuple[int, list[str]]:
    """The newest intact checkpoint up to the best evaluation that no earlier rollback abandoned; lines to print."""
    *earlier, newest = state.rollbacks
    notes: list[str] = []
    for step in sorted(saved_steps(run.folder / "checkpoints"), reverse=True):
        if step > newest.to or any(one.to < step <= one.step for one in earlier):
            continue
        wrong = damage(run.checkpoint_folder(step))
        if wrong is None:
            return step, notes
        notes.append(f"   The checkpoint {checkpoint_name(step)} is damaged: {wrong}. Using an earlier one.")
    return BASE_STEP, notes
