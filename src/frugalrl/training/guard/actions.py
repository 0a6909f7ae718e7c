"""The guard in a running run: what it sees, says, and does.

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

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from frugalrl.training.guard.rules import Decision, guard_metrics, last_good, needed, observe, rolled_back
from frugalrl.training.run import TrainingRun, load_base_weights, reset_reference
from frugalrl.training.state.checkpoint import checkpoint_name, load_training_state, load_weights
from frugalrl.training.state.manifest import damage
from frugalrl.training.state.pointers import saved_steps
from frugalrl.types import StepMetrics

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
    """Let the guard look at a line of the log."""
    if not run.recipe.guard.enabled:
        return Decision(step)
    run.guard, decision = observe(run.guard, step, values, run.recipe.guard)
    return decision


def announce(run: TrainingRun, decision: Decision) -> None:
    """Log a decision and show it; a stop ends the run in the ordinary way."""
    if decision.action == "none":
        return
    _note(run, **dataclasses.asdict(decision))
    said = {"warn": "WARNING", "rollback": "ROLLBACK", "stop": "STOP"}[decision.action]
    run.show(f"   {said} by the guard after step {decision.step}. {decision.reason}")
    if decision.action == "stop":
        run.end_reason = f"the guard: {decision.reason}"


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
    """Steps whose checkpoints rotation must leave: a rollback that is pending or near would go there."""
    if not run.recipe.guard.enabled:
        return set()
    return needed(run.guard, saved_steps(run.folder / "checkpoints"), run.recipe.guard)


def _target(run: TrainingRun, checkpoints: Path) -> int:
    """The newest good checkpoint that is whole."""
    before, steps = run.guard.rollbacks[-1].before, saved_steps(checkpoints)
    while True:
        target = last_good(run.guard, before, steps)
        wrong = None if target == BASE else damage(checkpoints / checkpoint_name(target))
        if wrong is None:
            return target
        run.show(f"   The checkpoint of step {target} is damaged: {wrong}. An earlier one is taken.")
        steps = [step for step in steps if step != target]


def _go_back_to_the_base(run: TrainingRun) -> None:
    load_base_weights(run)
    masters = {f"master/{name}": parameter.detach() for name, parameter in run.policy.model.named_parameters()}
    run.optimizer.load_state_tensors(masters)


def _note(run: TrainingRun, **values: object) -> None:
    run.log.write_guard(json.dumps(values))
