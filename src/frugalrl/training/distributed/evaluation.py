"""An evaluation that several processes share: each draws and judges its part, the first one writes the results file.

A sample depends on its prompt, its seed and the weights and not on what is sampled beside it (exactly in fp32), so the
file holds the same samples, in the same order, whatever their number; it may grow when another number resumes it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from frugalrl.evaluation.records import ProblemRecord, SampleRecord
from frugalrl.evaluation.results import ResultsHeader, ResultsWriter
from frugalrl.evaluation.sharing import Draw, Keeper, Wanted
from frugalrl.training.distributed.dealing import deal_samples
from frugalrl.training.distributed.world import World, only_main

T = TypeVar("T")


class SharedEvaluation:
    """The `Sharing` of the processes of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def processes(self) -> int:
        """See `Sharing.processes`."""
        return self._world.size

    def open(self, path: Path, header: ResultsHeader, session: Mapping[str, str]) -> AbstractContextManager[Keeper]:
        """See `Sharing.open`. The session says how many processes there were."""
        return _opened(self._world, path, header, {**session, "processes": str(self._world.size)})

    def draw(self, wanted: Sequence[Wanted], draw: Draw) -> list[list[SampleRecord]]:
        """See `Sharing.draw`. A prompt is computed in one place, but where that would leave others idle."""
        shares = deal_samples([len(numbers) for _, numbers in wanted], self._world.size)
        own = [(wanted[at][0], tuple(wanted[at][1][one] for one in chosen)) for at, chosen in shares[self._world.rank]]

        def part() -> list[list[dict[str, object]]]:
            return [[asdict(record) for record in records] for records in draw(own)] if own else []

        found = {
            (at, one): SampleRecord(**values)  # type: ignore[arg-type]
            for share, part_of in zip(shares, self._world.each(part), strict=True)
            for (at, chosen), records in zip(share, part_of, strict=True)
            for one, values in zip(chosen, records, strict=True)
        }
        return [[found[at, one] for one in range(len(numbers))] for at, (_, numbers) in enumerate(wanted)]

    def main(self, work: Callable[[], T]) -> T:
        """See `Sharing.main`."""
        return self._world.main(work)


class _Told:
    """The results file as every process knows it; the first one has it open."""

    def __init__(self, world: World, writer: ResultsWriter | None, samples: tuple[SampleRecord, ...]) -> None:
        self._world, self._writer, self.samples = world, writer, samples

    def append(self, samples: Iterable[SampleRecord], problems: Iterable[ProblemRecord] = ()) -> None:
        """See `Keeper.append`. Raises OutputError in every process."""
        added, new = list(samples), list(problems)

        def write() -> None:
            assert self._writer is not None, "the first process has it open"
            self._writer.append(added, new)

        only_main(self._world, write)
        self.samples = (*self.samples, *added)


@contextmanager
def _opened(world: World, path: Path, header: ResultsHeader, session: dict[str, str]) -> Iterator[Keeper]:
    with ExitStack() as stack:
        writers: list[ResultsWriter] = []

        def by_main() -> list[dict[str, object]]:
            writers.append(stack.enter_context(ResultsWriter(path, header, session)))
            return [asdict(sample) for sample in writers[0].samples]

        there = tuple(SampleRecord(**values) for values in world.main(by_main))  # type: ignore[arg-type]
        yield _Told(world, writers[0] if writers else None, there)
