"""Alarms: warnings after the first steps, and the end of a run in which nothing can be learned any more. Always on."""

from frugalrl.training.hooks.hook import After, StepHook, StepRecord
from frugalrl.training.limits.alarms import ALARM_STEP, DEAD_STEPS, StepDigest, digest, reason_to_end, warnings
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run


class Alarms(StepHook):
    """Keeps a digest of the latest steps."""

    name = "alarms"

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        saved = progress.states.get(self.name, {"digests": []})["digests"]
        new = digest(record.groups, record.metrics, run.update.updates)
        digests = [*(StepDigest.from_json(one) for one in saved), new][-DEAD_STEPS:]
        progress = progress.with_state(self.name, {"digests": [one.to_json() for one in digests]})
        notes = [f"WARNING: {warning}" for warning in warnings(digests)] if record.step == ALARM_STEP else []
        reason = reason_to_end(digests)
        if reason is not None:
            notes.append(f"   STOP after step {record.step}: {reason}")
        return After(progress, notes=tuple(notes), end_reason=reason)
