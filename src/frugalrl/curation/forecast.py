"""The cost of a long curation, before it starts: each step is timed on a few rows of the pool, on this machine.

Seconds per row are the difference of two tries of different length, so that what a step needs to begin is left out.
Memory is what the steps hold for each row (measured, see `BYTES_A_ROW`). Short pools are not rehearsed.

Not covered: solvers and judges, whose time is another machine's; pairs of the step `duplicates`, of which there are
more than in proportion where a pool repeats itself.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from frugalrl.config import curation_schema as spec
from frugalrl.curation.progress import Show
from frugalrl.curation.records import PoolRow
from frugalrl.curation.steps import Statements, Tools, run_step
from frugalrl.reporting.console import duration

FROM_ROWS = 20_000
"""A shorter pool takes less than a minute without solvers."""
SHORT_TRY, LONG_TRY = 60, 360
FIXED_BYTES = 460 << 20
"""Of interpreter, libraries, remembered golds and statements (255 MB at 100,000 rows), and minimum hashes
(`signatures.BAND_BYTES` less what 100,000 rows take of it)."""
BYTES_A_ROW = 600
"""Measured, with a margin: 949 MB at a million generated rows against 255 MB at 100,000, 205 MB of it minimum hashes,
leaves 540 a row, most of it while `duplicates` runs (benchmarks/records/curation_scale_1m.json). Longer pools are not
measured."""
LEDGER_BYTES_A_ROW = 110
"""Of one step, in the run that is recorded in benchmarks/records/curation_scale.json."""
_REHEARSED = (
    spec.GoldParses,
    spec.OneQuestion,
    spec.Duplicates,
    spec.Decontaminate,
    spec.PromptLanguage,
    spec.PromptTokens,
)


def forecast(
    steps: Sequence[spec.Step],
    rows: Sequence[PoolRow],
    disk_bytes: int,
    tools: Tools,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Time, memory and disk as lines to print; nothing for a short pool."""
    if len(rows) < FROM_ROWS:
        return []
    seconds = {}
    for name, step in zip(spec.step_names(steps), steps, strict=True):
        if isinstance(step, _REHEARSED) and step.skip is None:
            seconds[name] = _seconds_a_row(name, step, rows, tools, clock) * len(rows)
    longest = sorted(seconds.items(), key=lambda one: -one[1])[:4]
    listed = ", ".join(f"{name} {duration(each)}" for name, each in longest)
    memory = FIXED_BYTES + BYTES_A_ROW * len(rows)
    disk = disk_bytes + LEDGER_BYTES_A_ROW * len(rows) * len(steps)
    with_solver = any(isinstance(step, spec.Judge) or getattr(step, "solvers", ()) for step in steps)
    return [
        f"  {len(rows):,} rows will take about {duration(sum(seconds.values()))} here ({listed})"
        f"{', and the time of the solvers' if with_solver else ''}; up to {memory / 1e9:.1f} GB of memory, and "
        f"{disk / 1e9:.1f} GB of disk in the work folder beside the set itself."
    ]


def _seconds_a_row(
    name: str, step: spec.Step, rows: Sequence[PoolRow], tools: Tools, clock: Callable[[], float]
) -> float:
    spent = []
    for count in (SHORT_TRY, LONG_TRY):
        every = max(1, len(rows) // count)
        sample = [rows[at * every] for at in range(count)]
        quiet = replace(tools, show=_silent, statement=Statements())
        started = clock()
        for _ in run_step(name, step, sample, quiet):
            pass
        spent.append(clock() - started)
    return max(0.0, spent[1] - spent[0]) / (LONG_TRY - SHORT_TRY)


_silent: Show = lambda line: None  # noqa: E731 (a function of one word)
