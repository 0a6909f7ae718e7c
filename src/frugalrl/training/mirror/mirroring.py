"""A mirror around a run: begun with it, heard by it after each step, and closed within a bounded time."""

from collections.abc import Callable
from types import TracebackType

from frugalrl.training.hooks.hook import After, StepHook, StepRecord
from frugalrl.training.mirror.mirror import Mirror
from frugalrl.training.progress import Progress
from frugalrl.training.run import Run

STOP_SECONDS = 20.0
"""For what is left after a request to stop: a spot machine gives 30 s, of which the run's checkpoint takes some."""
END_SECONDS = 3600.0
"""For what is left after the end of a run, the model included."""


class MirrorHook(StepHook):
    """Says what the mirror has to say, and keeps what it is copying from being removed."""

    name = "mirror"

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def after(self, run: Run, progress: Progress, record: StepRecord) -> After:
        return After(progress, notes=self._mirror.notes())

    def checkpoints_needed(self, run: Run, progress: Progress) -> set[int]:
        return self._mirror.in_use()


class Mirroring:
    """Copies inside the block, and what is left at its end."""

    def __init__(self, mirror: Mirror | None, show: Callable[[str], None]) -> None:
        """mirror: None does nothing at all."""
        self._mirror, self._show = mirror, show
        self.hooks: tuple[StepHook, ...] = () if mirror is None else (MirrorHook(mirror),)

    def __enter__(self) -> "Mirroring":
        if self._mirror is not None:
            self._mirror.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(STOP_SECONDS)

    def tell(self) -> None:
        """Show what the mirror has to say; a run with steps and hooks hears it from `hooks`."""
        if self._mirror is not None:
            for line in self._mirror.notes():
                self._show(line)

    def close(self, seconds: float = END_SECONDS) -> None:
        """Copy what is left, once; say what is missing after so many seconds."""
        mirror, self._mirror = self._mirror, None
        if mirror is None:
            return
        wrong = mirror.close(seconds)
        for line in (*mirror.notes(), wrong):
            if line is not None:
                self._show(line)
