"""The guard in a running run: what it sees, says, and does. What it decides is in `training/guard/rules.py`.

Decisions:
- A rollback is made when the next step begins, and is `pending` in the guard's state until then. So a checkpoint
  holds the weights that were evaluated at its step, whatever was decided there, and a resumed run makes the rollback
  that the stopped one had before it.
- Steps go on counting, and with them the schedule of the learning rate, the budget and the position in the data: what
  was spent was spent, and the batches that led to the collapse do not come again. Only weights, masters, reference
  and optimizer go back or start anew.
- `guard.jsonl` has a line for each decision and each rollback; every line of `metrics.jsonl` has `guard/rollbacks`, so
  that steps which were abandoned can be told from those that count.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

from frugalrl.config.stability_schema import GuardSettings
from frugalrl.evaluation.records import Evaluation
from frugalrl.training.guard.rules import Decision, guard_metrics, last_good, needed, observe, rolled_back
from frugalrl.training.guard.state import GuardState, from_json, to_json
from frugalrl.training.hooks.hook import After, StepHook, StepRecord, StepSettings
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.training.state.checkpoint import checkpoint_name, load_training_state, load_weights
from frugalrl.training.state.manifest import damage
from frugalrl.training.state.pointers import saved_steps
from frugalrl.training.weights import BASE_STEP, load_base_weights, publish_weights, reset_reference


class Guard(StepHook):
    """Looks at each step and each validation; rolls back before the next step, or ends the run."""

    name = "guard"

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings

    def before(self, run: Run, progress: Progress, settings: StepSettings) -> tuple[Progress, StepSettings]:
        if self._state(progress).pending:
            progress = self._roll_back(run, progress)
        return progress, replace(settings, lr_factor=self._state(progress).lr_factor * settings.lr_factor)

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        lr_factor = self._state(progress).lr_factor  # of this step, not of what is decided after it
        looked = self._look(run, progress, record.step, record.metrics)
        own = guard_metrics(self._state(looked.progress)) | {"guard/lr_factor": lr_factor}
        return replace(looked, metrics=own)

    def evaluated(self, run: Run, progress: Progress, evaluation: Evaluation, metrics: Mapping[str, float]) -> After:
        if progress.step >= run.recipe.training.steps or progress.end_reason is not None:
            return After(progress)  # the run is over: there is nothing left to guard
        return self._look(run, progress, progress.step, metrics)

    def checkpoints_needed(self, run: Run, progress: Progress) -> set[int]:
        return needed(self._state(progress), saved_steps(run.folder / "checkpoints"), self._settings)

    def _state(self, progress: Progress) -> GuardState:
        saved = progress.states.get(self.name)
        return GuardState() if saved is None else from_json(saved)

    def _look(self, run: Run, progress: Progress, step: int, metrics: Mapping[str, float]) -> After:
        state, decision = observe(self._state(progress), step, metrics, self._settings)
        progress = progress.with_state(self.name, to_json(state))
        if decision.action == "none":
            return After(progress)
        run.log.write_guard(json.dumps(asdict(decision)))
        ends = f"the guard: {decision.reason}" if decision.action == "stop" else None
        return After(progress, notes=(_line(decision),), end_reason=ends)

    def _roll_back(self, run: Run, progress: Progress) -> Progress:
        """Make the rollback that was decided. Raises OutputError or ModelError if the weights cannot be read."""
        state = self._state(progress)
        target = _target(run, state)
        if target == BASE_STEP:
            load_base_weights(run)
            run.optimizer.take_weights_as_masters()
        else:
            folder = run.checkpoint_folder(target)
            load_weights(run.policy, folder)
            run.optimizer.load_state_tensors(load_training_state(folder).tensors["optimizer"])
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
            f"   Rolled back to {where}; reference and optimizer start anew, "
            f"the learning rate is {state.lr_factor:g} x the schedule's."
        )
        return progress


def _line(decision: Decision) -> str:
    said = {"warn": "WARNING", "rollback": "ROLLBACK", "stop": "STOP"}[decision.action]
    return f"   {said} by the guard after step {decision.step}. {decision.reason}"


def _target(run: Run, state: GuardState) -> int:
    """The newest good checkpoint that is whole."""
    before, steps = state.rollbacks[-1].before, saved_steps(run.folder / "checkpoints")
    while True:
        target = last_good(state, before, steps)
        wrong = None if target == BASE_STEP else damage(run.checkpoint_folder(target))
        if wrong is None:
            return target
        run.show(f"   The checkpoint {checkpoint_name(target)} is damaged: {wrong}. An earlier one is taken.")
        steps = [step for step in steps if step != target]
