"""From a spec to a set: read the pools, apply the steps in order, split, write.

Every step's decisions are on the disk before the next begins. A resumed run reads the pools again, replays the
decisions that are there, and goes on; nothing else is state. No output holds a time or a path of this machine, so the
same spec, seed and inputs give the same bytes.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frugalrl import __version__
from frugalrl.config.curation_schema import CurationSpec, Difficulty, Duplicates, Step, step_names
from frugalrl.config.loading import dump_recipe
from frugalrl.curation.ledger import join_parts, read_part, write_part
from frugalrl.curation.outputs import sha256_of, write_manifest, write_splits, write_text
from frugalrl.curation.pools import Pool, expanded, read_pool, refuse_shared_ids
from frugalrl.curation.progress import Progress, Show
from frugalrl.curation.records import Decision, PoolRow, StepOutcome, applied
from frugalrl.curation.report_card import curation_card, curation_page
from frugalrl.curation.selection_steps import TEST, TRAIN, VALIDATION, split_counts, split_rows
from frugalrl.curation.steps import Tools, prepare, run_step
from frugalrl.curation.summary import (
    OTHER_POOL,
    CurationReport,
    StepSummary,
    band_counts,
    curation_report,
    step_summary,
)
from frugalrl.curation.workspace import MANIFEST_FILE, SAMPLES_FOLDER, Workspace
from frugalrl.data.duplicates import near_duplicate_groups
from frugalrl.errors import DataError, OutputError

READ, SPLITS = "read", "splits"
LEDGER_FILE = "ledger.jsonl"


@dataclass
class _Run:
    """What moves while a spec is worked through."""

    spec: CurationSpec
    workspace: Workspace
    show: Show
    rows: list[PoolRow] = field(default_factory=list)
    texts: dict[str, PoolRow] = field(default_factory=dict)
    """Every row by id, with the values it had before the step that dropped it."""
    parts: list[Path] = field(default_factory=list)
    summaries: list[StepSummary] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    bands: dict[str, int] = field(default_factory=dict)

    def decide(self, name: str, make: Callable[[], StepOutcome]) -> StepOutcome:
        """The outcome of a step: from its part if that is there, or else made and written."""
        path = self.workspace.part(len(self.parts), name)
        if path.is_file():
            outcome = read_part(path)
            self.show(f"{name}: done before, read from {path.name}")
        else:
            outcome = make()
            write_part(path, name, outcome)
        self.parts.append(path)
        for kind, facts in outcome.facts.items():
            self.facts.setdefault(kind, {}).update(facts)
        return outcome


def curate(spec: CurationSpec, workspace: Workspace, show: Show) -> CurationReport | None:
    """Work through a spec in its folder; None if the folder holds the whole result already.

    Raises UserError for whatever in spec, data or solvers makes it impossible; what was done stays to be resumed.
    """
    if workspace.manifest is not None:
        _refuse_changed_outputs(workspace)
        return None
    with ExitStack() as stack:
        samples = Path(expanded(spec.samples_cache)) if spec.samples_cache else workspace.path / SAMPLES_FOLDER
        tools = Tools(spec, samples, show, stack)
        prepare(tools)
        run = _Run(spec, workspace, show)
        pools = [read_pool(settings) for settings in spec.pools]
        _read(run, pools)
        for name, step in zip(step_names(spec.steps), spec.steps, strict=True):
            _step(run, name, step, tools)
    return _finish(run, pools)


# ------------------------------------------------------------------------------------------------- the steps


def _read(run: _Run, pools: Sequence[Pool]) -> None:
    """The pools as the first step. Raises OutputError if a resumed run meets another pool."""
    refuse_shared_ids(pools)
    hashes = {settings.name: pool.sha256 for settings, pool in zip(run.spec.pools, pools, strict=True)}
    decisions = tuple(decision for pool in pools for decision in pool.decisions)
    outcome = run.decide(READ, lambda: StepOutcome(decisions, facts={"inputs": hashes}))
    if outcome.facts.get("inputs") != hashes:
        raise OutputError(
            f"A pool has changed since the run in {run.workspace.path} began. Start anew with another --out, or put "
            "the old file back."
        )
    everything = [row for pool in pools for row in pool.rows]
    run.texts = {row.id: row for row in everything}
    run.rows = applied(everything, outcome.decisions)
    lost = len(everything) - len(run.rows)
    run.show(f"{READ}: {len(everything):,} problems{f', {lost:,} without text' if lost else ''}")
    if not run.rows:
        raise DataError("No pool has a row with a problem in it. Check the column mapping.")


def _step(run: _Run, name: str, step: Step, tools: Tools) -> None:
    if step.skip is not None:
        run.show(f"SKIPPED {name}: {step.skip}")
        run.summaries.append(_summary(run, name, step, 0, StepOutcome(())))
        return
    covered = [row for row in run.rows if step.pools is None or row.pool in step.pools]
    outcome = run.decide(name, lambda: _all_rows(run.rows, covered, run_step(name, step, covered, tools)))
    summary = _summary(run, name, step, len(covered), outcome)
    run.summaries.append(summary)
    run.texts.update((row.id, row) for row in run.rows)
    run.rows = applied(run.rows, outcome.decisions)
    if isinstance(step, Difficulty):
        for band, count in band_counts(outcome).items():
            run.bands[band] = run.bands.get(band, 0) + count
    run.show(_line(summary))
    for note in summary.notes:
        run.show(f"  NOTE {note}")
    if not run.rows:
        raise DataError(
            f"After the step {name} no problem is left. Look at {run.workspace.part(len(run.parts) - 1, name)} for "
            "the reasons, and widen the step."
        )


def _all_rows(rows: Sequence[PoolRow], covered: Sequence[PoolRow], outcome: StepOutcome) -> StepOutcome:
    """Decisions about every row, in order: those of other pools are kept."""
    if len(covered) == len(rows):
        return outcome
    by_id = {decision.id: decision for decision in outcome.decisions}
    decisions = tuple(by_id.get(row.id) or Decision(row.id, True, OTHER_POOL) for row in rows)
    return StepOutcome(decisions, outcome.notes, outcome.facts)


def _summary(run: _Run, name: str, step: Step, covered: int, outcome: StepOutcome) -> StepSummary:
    return step_summary(name, step, run.rows, covered, outcome, run.texts, run.spec.seed)


def _line(summary: StepSummary) -> str:
    dropped = [f"{reason} {count:,}" for reason, kept, count in summary.reasons if not kept]
    more = f", and {len(dropped) - 6} more reasons" if len(dropped) > 6 else ""
    expected = f"  (published: {summary.expected:,})" if summary.expected is not None else ""
    return (
        f"{summary.name}: {summary.before:,} -> {summary.after:,}{expected}"
        f"{'  ' + ', '.join(dropped[:6]) + more if dropped else ''}"
    )


# ---------------------------------------------------------------------------------------------------- the end


def _finish(run: _Run, pools: Sequence[Pool]) -> CurationReport:
    """Split, write everything, and the manifest last."""
    outcome = run.decide(SPLITS, lambda: _split(run))
    splits = split_counts(outcome.decisions)
    split_of = {decision.id: decision.reason for decision in outcome.decisions}
    folder = run.workspace.path
    by_split = {name: [row for row in run.rows if split_of[row.id] == name] for name in (TRAIN, VALIDATION, TEST)}
    written = write_splits(folder, by_split)
    join_parts(run.parts, folder / LEDGER_FILE)
    everything = [row for pool in pools for row in pool.rows]
    sizes = [len(pool.rows) for pool in pools]
    report = curation_report(run.spec, sizes, everything, run.rows, run.summaries, run.bands, splits)
    write_text(folder / "report.html", curation_page(report))
    write_text(folder / "report.md", curation_card(report))
    written += [folder / LEDGER_FILE, folder / "report.html", folder / "report.md"]
    write_manifest(folder / MANIFEST_FILE, _manifest_values(run, sizes, splits), written)
    return report


def _split(run: _Run) -> StepOutcome:
    splits = run.spec.splits
    held_out = splits.validation or splits.test or splits.validation_fraction or splits.test_fraction
    deduplicated = any(
        isinstance(step, Duplicates) and step.skip is None and step.pools is None for step in run.spec.steps
    )
    groups: list[tuple[int, ...]] = []
    if held_out and not deduplicated:
        progress = Progress(SPLITS, len(run.rows), run.show)
        texts = [row.problem for row in run.rows]
        golds = [row.answer for row in run.rows]
        groups = near_duplicate_groups(
            texts, seed=run.spec.seed, on_progress=lambda done, total: progress(done), golds=golds
        )
    return StepOutcome(tuple(split_rows(run.rows, groups, splits, run.spec.seed)))


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
