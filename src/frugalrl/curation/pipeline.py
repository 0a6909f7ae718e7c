"""From a spec to a set: read the pools, apply the steps in order, split, write.

Rows are in a `RowStore` on disk, decisions pass one at a time, and those of a step are on disk before the next step
begins. A resumed run reads the pools again, replays the saved decisions, and continues; there is no other state. No
output contains a time or a path of this machine, so the same spec, seed and inputs give the same bytes.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frugalrl import __version__
from frugalrl.config.curation_schema import CurationSpec, Difficulty, Duplicates, Step, step_names
from frugalrl.config.loading import dump_recipe
from frugalrl.curation.forecast import forecast
from frugalrl.curation.ledger import exhausted, join_parts, read_part, write_part
from frugalrl.curation.outputs import sha256_of, write_manifest, write_splits, write_text
from frugalrl.curation.page_rows import page_rows
from frugalrl.curation.pools import PoolReader, check_pools, expanded, refuse_repeated_ids
from frugalrl.curation.progress import Progress, Show
from frugalrl.curation.records import Deciding, Decision, Ending, PoolRow, decision_of, ledger_line
from frugalrl.curation.report_card import curation_card, curation_page
from frugalrl.curation.row_store import Rows, RowStore, Texts
from frugalrl.curation.sampling_facts import SamplingFacts
from frugalrl.curation.selection_steps import SPLIT_NAMES, split_decisions, splits_drawn
from frugalrl.curation.steps import Tools, prepare, run_step
from frugalrl.curation.summary import (
    OTHER_POOL,
    Composition,
    CurationReport,
    StepSummary,
    Tally,
    curation_report,
    step_summary,
)
from frugalrl.curation.workspace import MANIFEST_FILE, SAMPLES_FOLDER, Workspace
from frugalrl.data.duplicates import near_duplicate_groups
from frugalrl.data.exports import data_card
from frugalrl.errors import DataError, OutputError

READ, SPLITS = "read", "splits"
LEDGER_FILE = "ledger.jsonl"


@dataclass
class _Run:
    """The state while a spec is processed."""

    spec: CurationSpec
    workspace: Workspace
    show: Show
    store: RowStore
    positions: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, dtype=np.uint32))
    """Of the rows that are left."""
    parts: list[Path] = field(default_factory=list)
    summaries: list[StepSummary] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    bands: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> Rows:
        """What is left, in order."""
        return Rows(self.store, self.positions)

    def decide(self, name: str, make: Callable[[], Deciding]) -> tuple[Tally, Ending]:
        """Apply a step: replay its part if there is one, or else run it and write its decisions as they come."""
        path = self.workspace.part(len(self.parts), name)
        if path.is_file():
            self.show(f"{name}: done before, read from {path.name}")
            deciding = read_part(path)
        else:
            deciding = write_part(path, name, make())
        tally, kept, at = Tally(self.spec.seed), bytearray(len(self.positions)), 0
        try:
            while True:
                decision = next(deciding)
                self._refuse_another_row(name, at, decision)
                tally.add(decision)
                kept[at] = decision.kept
                if decision.kept and decision.changes:
                    self.store.change(int(self.positions[at]), decision.changes)
                at += 1
        except StopIteration as stop:
            ending: Ending = stop.value
        finally:
            deciding.close()
        if at != len(self.positions):
            raise ValueError(f"the step {name} decided about {at} of {len(self.positions)} rows")
        self.positions = self.positions[np.frombuffer(kept, dtype=np.bool_)]
        self.parts.append(path)
        for kind, facts in ending.facts.items():
            self.facts.setdefault(kind, {}).update(facts)
        return tally, ending

    def find(self, row_id: str) -> PoolRow | None:
        """A row by its id, dropped or not."""
        position = self.store.position_of(row_id)
        return None if position is None else self.store.row(position)

    def _refuse_another_row(self, name: str, at: int, decision: Decision) -> None:
        if at >= len(self.positions) or not self.store.is_id(int(self.positions[at]), decision.id):
            raise ValueError(f"a step must decide about every row once, in order ({name}, row {decision.id})")


def curate(spec: CurationSpec, workspace: Workspace, show: Show) -> CurationReport | None:
    """Process a spec in its folder; None if the folder already has the complete result.

    Raises UserError for whatever in spec, data or solvers makes it impossible; what was done stays to be resumed.
    """
    if workspace.manifest is not None:
        _refuse_changed_outputs(workspace)
        return None
    with ExitStack() as stack:
        samples = Path(expanded(spec.samples_cache)) if spec.samples_cache else workspace.path / SAMPLES_FOLDER
        tools = Tools(spec, samples, show, stack)
        check_pools(spec.pools)
        prepare(tools)
        run = _Run(spec, workspace, show, stack.enter_context(RowStore(workspace.scratch)))
        readers = [PoolReader(settings) for settings in spec.pools]
        composition = _read(run, readers)
        for line in forecast(spec.steps, run.rows, run.store.disk_bytes, tools):
            show(line)
        for name, step in zip(step_names(spec.steps), spec.steps, strict=True):
            _step(run, name, step, tools)
        return _finish(run, readers, composition)


# ------------------------------------------------------------------------------------------------- the steps


def _read(run: _Run, readers: list[PoolReader]) -> Composition:
    """The pools as the first step. Raises OutputError if a resumed run meets another pool."""
    composition = Composition()
    with tempfile.TemporaryFile("w+", dir=run.workspace.scratch, encoding="utf-8") as decisions:
        for reader in readers:
            progress = Progress(f"{READ} {reader.settings.name}", reader.settings.limit or 0, run.show)
            for row, decision in reader.rows():
                run.store.add(row)
                composition.add(row)
                decisions.write(json.dumps(ledger_line(READ, decision)) + "\n")
                progress(len(run.store))
        refuse_repeated_ids(run.store, readers)
        run.positions = run.store.all_rows().positions
        hashes = {reader.settings.name: reader.sha256 for reader in readers}
        notes = tuple(note for reader in readers for note in reader.notes())
        decisions.seek(0)
        _, ending = run.decide(READ, lambda: _reading(decisions, notes, hashes))
    if ending.facts.get("inputs") != hashes:
        raise OutputError(
            f"A pool has changed since the run in {run.workspace.path} began. Start again with another --out, or put "
            "the old file back."
        )
    lost = len(run.store) - len(run.positions)
    run.show(f"{READ}: {len(run.store):,} problems{f', {lost:,} without text' if lost else ''}")
    for note in notes:
        run.show(f"  NOTE {note}")
    if not len(run.positions):
        raise DataError("No pool has a row with a problem in it. Check the column mapping.")
    return composition


def _reading(decisions: Iterable[str], notes: tuple[str, ...], hashes: Mapping[str, str]) -> Deciding:
    for line in decisions:
        yield decision_of(json.loads(line))
    return Ending(notes, {"inputs": hashes})


def _step(run: _Run, name: str, step: Step, tools: Tools) -> None:
    before = run.rows
    if step.skip is not None:
        run.show(f"SKIPPED {name}: {step.skip}")
        run.summaries.append(step_summary(name, step, len(before), Tally(run.spec.seed), (), run.find))
        return
    is_covered = np.ones(len(before), dtype=bool)
    if step.pools is not None:
        is_covered = run.store.of_pools(before.positions, step.pools)
    covered = Rows(run.store, before.positions[is_covered])
    tally, ending = run.decide(name, lambda: _all_rows(before, is_covered, run_step(name, step, covered, tools)))
    summary = step_summary(name, step, len(before), tally, ending.notes, run.find)
    run.summaries.append(summary)
    if isinstance(step, Difficulty):
        for band, count in tally.bands.items():
            run.bands[band] = run.bands.get(band, 0) + count
    run.show(_line(summary))
    for note in summary.notes:
        run.show(f"  NOTE {note}")
    if not len(run.positions):
        raise DataError(
            f"After the step {name} no problem is left. Look at {run.workspace.part(len(run.parts) - 1, name)} for "
            "the reasons, and widen the step."
        )


def _all_rows(rows: Rows, is_covered: NDArray[np.bool_], deciding: Deciding) -> Deciding:
    """Decisions about every row, in order: those of other pools are kept."""
    if is_covered.all():
        return (yield from deciding)
    for at, covered in enumerate(is_covered):
        yield next(deciding) if covered else Decision(rows[at].id, True, OTHER_POOL)
    more, ending = exhausted(deciding)
    if more:
        raise ValueError(f"a step decided about {len(more)} rows that are not its own")
    return ending


def _line(summary: StepSummary) -> str:
    dropped = [f"{reason} {count:,}" for reason, kept, count in summary.reasons if not kept]
    more = f", and {len(dropped) - 6} more reasons" if len(dropped) > 6 else ""
    expected = f"  (published: {summary.expected:,})" if summary.expected is not None else ""
    return (
        f"{summary.name}: {summary.before:,} -> {summary.after:,}{expected}"
        f"{'  ' + ', '.join(dropped[:6]) + more if dropped else ''}"
    )


# ---------------------------------------------------------------------------------------------------- the end


def _finish(run: _Run, readers: Sequence[PoolReader], composition: Composition) -> CurationReport:
    """Split, write everything, and the manifest last."""
    rows = run.rows
    tally, _ = run.decide(SPLITS, lambda: _split(run))
    splits = {name: tally.counts[name, True] for name in SPLIT_NAMES}
    folder = run.workspace.path
    split_of = _split_numbers(run.parts[-1], len(rows))
    written = write_splits(
        folder, {name: Rows(run.store, rows.positions[split_of == at]) for at, name in enumerate(SPLIT_NAMES)}
    )
    join_parts(run.parts, folder / LEDGER_FILE)
    final = Composition()
    for row in rows:
        final.add(row)
    sizes = [reader.size for reader in readers]
    report = curation_report(
        run.spec,
        sizes,
        composition,
        final,
        run.summaries,
        run.bands,
        splits,
        [note for reader in readers for note in reader.notes()],
        [SamplingFacts.from_json(one) for step in run.facts.get("sampling", {}).values() for one in step],
    )
    shown = page_rows(run.parts, run.find, run.spec.seed)
    write_text(folder / "report.html", curation_page(report, shown))
    write_text(folder / "report.md", curation_card(report))
    files = {name: f"{name}.jsonl" for name, count in splits.items() if count}
    counts = {name: splits[name] for name in files}
    write_text(folder / "README.md", data_card(run.spec.name, files, counts, curation_card(report)))
    written += [folder / LEDGER_FILE, *(folder / name for name in ("report.html", "report.md", "README.md"))]
    write_manifest(folder / MANIFEST_FILE, _manifest_values(run, sizes, splits), written)
    return report


def _split(run: _Run) -> Deciding:
    splits, rows = run.spec.splits, run.rows
    held_out = splits.validation or splits.test or splits.validation_fraction or splits.test_fraction
    deduplicated = any(
        isinstance(step, Duplicates) and step.skip is None and step.pools is None for step in run.spec.steps
    )
    groups: list[tuple[int, ...]] = []
    if held_out and not deduplicated:
        progress = Progress(SPLITS, len(rows), run.show)
        groups = near_duplicate_groups(
            Texts(rows, lambda row: row.problem),
            seed=run.spec.seed,
            on_progress=lambda done, total: progress(done),
            golds=Texts(rows, lambda row: row.answer),
        )
    yield from split_decisions(rows, splits_drawn(rows, groups, splits, run.spec.seed))
    return Ending()


def _split_numbers(part: Path, count: int) -> NDArray[np.uint8]:
    """The place in `SPLIT_NAMES` of each row, from the part of the splits."""
    numbers = (SPLIT_NAMES.index(decision.reason) for decision in read_part(part))
    return np.fromiter(numbers, dtype=np.uint8, count=count)


def _manifest_values(run: _Run, sizes: Sequence[int], splits: Mapping[str, int]) -> dict[str, Any]:
    inputs = {
        settings.name: {"path": settings.path, "rows": size, "sha256": run.facts["inputs"][settings.name]}
        for settings, size in zip(run.spec.pools, sizes, strict=True)
    }
    steps = [
        {
            "name": one.name,
            "step": one.kind,
            "before": one.before,
            "after": one.after,
            **({"expected": one.expected} if one.expected is not None else {}),
            **({"skipped": one.skipped} if one.skipped is not None else {}),
            "dropped": {reason: count for reason, kept, count in one.reasons if not kept},
        }
        for one in run.summaries
    ]
    return {
        "name": run.spec.name,
        "version": __version__,
        "seed": run.spec.seed,
        "spec_sha256": hashlib.sha256(dump_recipe(run.spec).encode()).hexdigest(),
        "inputs": inputs,
        "benchmarks": run.facts.get("benchmarks", {}),
        "solvers": run.facts.get("solvers", {}),
        **({"sampling": run.facts["sampling"]} if "sampling" in run.facts else {}),
        "steps": steps,
        "splits": dict(splits),
    }


def _refuse_changed_outputs(workspace: Workspace) -> None:
    for name, sha256 in (workspace.manifest or {}).get("outputs", {}).items():
        path = workspace.path / name
        if not path.is_file() or sha256_of(path) != sha256:
            raise OutputError(
                f"{path} is missing or has been changed since the run was complete. Choose another --out to make it "
                "again."
            )
