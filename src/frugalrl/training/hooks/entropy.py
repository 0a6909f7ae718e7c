"""Entropy control: the weight of the entropy bonus in each step, see `algorithms/entropy.py`."""

from dataclasses import asdict, replace

from frugalrl.algorithms.entropy import EntropyRule, EntropyState, active_coefficient, after_step
from frugalrl.training.hooks.hook import After, StepHook, StepRecord, StepSettings
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run


class EntropyControl(StepHook):
    """Sets the coefficient before a step, and adapts it to the entropy that the step measured."""

    name = "entropy"

    def __init__(self, rule: EntropyRule) -> None:
        self._rule = rule

    def before(self, run: Run, progress: Progress, settings: StepSettings) -> tuple[Progress, StepSettings]:
        return progress, replace(settings, entropy_coef=active_coefficient(self._rule, self._state(progress)))

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        state = after_step(self._rule, self._state(progress), record.metrics["policy/entropy"])
        metrics = {"policy/entropy_coef": record.settings.entropy_coef}
        return After(progress.with_state(self.name, asdict(state)), metrics)

    def _state(self, progress: Progress) -> EntropyState:
        saved = progress.states.get(self.name)
        return EntropyState(self._rule.coef) if saved is None else EntropyState(**saved)
