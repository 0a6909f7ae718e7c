"""The length schedule: the cap on completions of each step, see `length_schedule.py`."""

from dataclasses import replace

from frugalrl.training.hooks.hook import After, StepHook, StepRecord, StepSettings
from frugalrl.training.length_schedule import (
    LengthRule,
    LengthState,
    first_state,
    length_from_json,
    length_to_json,
    observe_length,
)
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run


class LengthSchedule(StepHook):
    """Sets the cap before a step, and passes the step's metrics to the schedule."""

    name = "length"

    def __init__(self, schedule: LengthRule, first_cap: int, total_steps: int) -> None:
        self._schedule, self._first_cap, self._total_steps = schedule, first_cap, total_steps

    def before(self, run: Run, progress: Progress, settings: StepSettings) -> tuple[Progress, StepSettings]:
        return progress, replace(settings, max_completion_tokens=self._state(progress).cap_tokens)

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        before = self._state(progress)
        state = observe_length(before, record.step, record.metrics, self._schedule, self._first_cap, self._total_steps)
        changed = f"   The cap on completions goes from {before.cap_tokens} to {state.cap_tokens} tokens."
        return After(
            progress.with_state(self.name, length_to_json(state)),
            {"completion/cap_tokens": float(before.cap_tokens)},
            () if state.cap_tokens == before.cap_tokens else (changed,),
        )

    def _state(self, progress: Progress) -> LengthState:
        saved = progress.states.get(self.name)
        if saved is None:
            return first_state(self._schedule, self._first_cap, self._total_steps)
        return length_from_json(saved)
