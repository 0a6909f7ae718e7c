"""How the processes that share an evaluation divide it: a seam that one process passes through unchanged.

`training.distributed.evaluation` is the other side of it. Each process draws and judges its part of a round, all get
the records of all, and the first one writes them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import ResultsHeader, ResultsWriter
from frugalrl.types import Prompt

T = TypeVar("T")

Wanted = tuple[Prompt, tuple[int, ...]]
"""A prompt and the numbers of the samples that are wanted of it."""
Draw = Callable[[Sequence[Wanted]], list[list[SampleRecord]]]
"""Samples and judges: the records of each prompt, in the order of their numbers."""


class Keeper(Protocol):
    """Where samples are kept, as `ResultsWriter` does."""

    samples: tuple[SampleRecord, ...]
    """Those that are there, of earlier starts too."""

    def append(self, samples: Iterable[SampleRecord], problems: Iterable[ProblemRecord] = ()) -> None:
        """Add finished samples, and the problems that are new."""
        ...


class Sharing(Protocol):
    """The processes of one evaluation."""

    @property
    def processes(self) -> int:
        """How many there are."""
        ...

    def open(self, path: Path, header: ResultsHeader, session: Mapping[str, str]) -> AbstractContextManager[Keeper]:
        """The results file. Raises OutputError, as `ResultsWriter` does, in every process."""
        ...

    def draw(self, wanted: Sequence[Wanted], draw: Draw) -> list[list[SampleRecord]]:
        """What `draw` makes of all that is wanted, each process some of it. Raises everywhere what fails anywhere."""
        ...

    def main(self, work: Callable[[], T]) -> T:
        """One process does it, and all get its result, a JSON value."""
        ...


class InOneProcess:
    """All of it here."""

    processes = 1

    def open(self, path: Path, header: ResultsHeader, session: Mapping[str, str]) -> AbstractContextManager[Keeper]:
        """See `Sharing.open`."""
        return ResultsWriter(path, header, session)

    def draw(self, wanted: Sequence[Wanted], draw: Draw) -> list[list[SampleRecord]]:
        """See `Sharing.draw`."""
        return draw(wanted)

    def main(self, work: Callable[[], T]) -> T:
        """See `Sharing.main`."""
        return work()


IN_ONE_PROCESS = InOneProcess()
