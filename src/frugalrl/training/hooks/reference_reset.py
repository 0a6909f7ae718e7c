"""The reference reset (ProRL, 2505.24864): every n steps the policy becomes the reference and the optimizer resets."""

from dataclasses import replace

from frugalrl.training.hooks.hook import After, StepHook, StepRecord
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run
from frugalrl.training.schedule import is_due
from frugalrl.training.weights import reset_reference


class ReferenceReset(StepHook):
    """Resets after every multiple of a number of steps, except after the last step."""

    name = "reference_reset"

    def __init__(self, every: int, total_steps: int) -> None:
        self._every, self._total_steps = every, total_steps

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        metrics = {"policy/reference_step": float(progress.reference_step)}
        if not is_due(self._every, record.step, self._total_steps):
            return After(progress, metrics)
        reset_reference(run)
        note = f"   The policy after step {record.step} is the reference now; the optimizer's state is reset."
        return After(replace(progress, reference_step=record.step), metrics, (note,))
