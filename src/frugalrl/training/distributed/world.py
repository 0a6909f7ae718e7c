"""The processes of a run as the rest of the code sees them: a rank, a size, and two ways to do something together.

`Alone` is the world of one process. `group.Processes` is that of several. Decisions:
- What hangs on a clock, a signal or the run's folder is decided by the first process and told to the others (`main`).
- An error in a part that is done together ends that part in every process, with the same kind of error: none waits for
  one that has given up.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class World(Protocol):
    """The processes of one run."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0. The first one writes and prints."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def each(self, work: Callable[[], T]) -> list[T]:
        """Every process does its own part; returns the results of all, by rank.

        The results are JSON values (tuples come back as lists). If the work fails anywhere, this raises everywhere: the
        process's own error, or the same kind of error with the number of the process that it happened in.
        """
        ...

    def main(self, work: Callable[[], T]) -> T:
        """The first process does it, and all get its result, a JSON value. Raises everywhere if it fails."""
        ...

    def agrees_on(self, error: BaseException) -> bool:
        """Whether every process has raised this error, so that all can still save together."""
        ...

    def interruptible(self, around: Callable[[], AbstractContextManager[None]]) -> AbstractContextManager[None]:
        """A block whose parts of work may be interrupted, each inside the context that `around` makes."""
        ...


class Alone:
    """The world of a run in one process."""

    rank = 0
    size = 1

    def each(self, work: Callable[[], T]) -> list[T]:
        """Do it."""
        return [work()]

    def main(self, work: Callable[[], T]) -> T:
        """Do it."""
        return work()

    def agrees_on(self, error: BaseException) -> bool:
        """It does."""
        return True

    def interruptible(self, around: Callable[[], AbstractContextManager[None]]) -> AbstractContextManager[None]:
        """The whole block is one part."""
        return around()


ALONE = Alone()


def only_main(world: World, work: Callable[[], Any]) -> None:
    """The first process does something whose result nobody needs, such as writing a file; the others wait for it."""

    def done() -> None:
        work()

    world.main(done)


def total(world: World, value: float) -> float:
    """The sum over all processes, the same bits in each."""
    return sum(world.each(lambda: value)) if world.size > 1 else value
