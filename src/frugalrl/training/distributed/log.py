"""The log of a run that several processes share: the first one writes it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from frugalrl.config.schema import SftRecipe, TrainRecipe
from frugalrl.reporting.run_log import RunLog
from frugalrl.training.distributed.world import World


class SilentLog(RunLog):
    """A log that is written nowhere."""

    def __init__(self) -> None:
        """Without files and sinks."""
        self._sinks = []
        self._files = {}

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def write_sample(self, line: str) -> None:
        """Nothing."""

    def write_guard(self, line: str) -> None:
        """Nothing."""

    def lengths(self) -> dict[str, int]:
        """Of no file."""
        return {}

    def cut(self, lengths: Mapping[str, int], step: int) -> list[str]:
        """Nothing."""
        return []


@contextmanager
def open_log(world: World, folder: Path, recipe: TrainRecipe | SftRecipe) -> Iterator[RunLog]:
    """The run's log in the first process, a silent one in the others. Raises as `RunLog` does, in all of them."""
    opened: list[RunLog] = []
    world.main(lambda: opened.append(RunLog(folder, recipe.trackers, recipe.name)))
    with opened[0] if opened else SilentLog() as log:
        yield log
