"""A function of the user's own, called with the metrics of every step.

It looks and is not asked: what it returns is ignored, and an error that it raises ends the run with a checkpoint, as
one in a step does. Of several processes the first calls it.
"""

from collections.abc import Callable
from typing import Any

from frugalrl.training.hooks.hook import After, StepHook, StepRecord
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run


class Callback(StepHook):
    """The function as a step hook."""

    name = "on_step"

    def __init__(self, on_step: Callable[[dict[str, Any]], object]) -> None:
        """on_step: gets `step`, counted from 1, and the metrics by name, as `metrics.jsonl` has them."""
        self._on_step = on_step

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        """Call it."""

        def call() -> None:
            try:
                self._on_step({"step": record.step, **record.metrics})
            except Exception as error:  # the user's own: they need to see it, and whose it is
                error.add_note("Raised by on_step.")
                raise

        run.world.main(call)
        return After(progress)
