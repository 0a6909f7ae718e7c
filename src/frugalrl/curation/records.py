"""The records of curation: rows of a pool, and what each step decided about each of them.

Decisions:
- A step never edits a row. It says for each row whether it stays, why, and which values change; `applied` makes the
  next rows. The ledger is these decisions written down, so a run resumes by reading them again.
- What a step adds (band, pass_rate ...) becomes a column of the row, and so of the written set.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FIELDS = ("id", "pool", "source", "problem", "answer", "solution")
"""The columns that every written row has, in this order."""


@dataclass(frozen=True)
class PoolRow:
    """A problem on its way through the steps."""

    id: str
    """Unique among all pools of a spec."""
    pool: str
    """The pool's name in the spec."""
    source: str
    """Where its pool has it from, e.g. ``"aops_forum"``; the pool's name where nobody says."""
    problem: str
    answer: str
    """The gold; empty if there is none (yet)."""
    solution: str
    """Empty if there is none."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Every other column of the pool, and what steps added: ``band``, ``pass_rate`` ..."""

    def values(self) -> dict[str, Any]:
        """The row as it is written."""
        return {name: getattr(self, name) for name in FIELDS} | dict(self.columns)


@dataclass(frozen=True)
class Decision:
    """What a step decided about a row."""

    id: str
    kept: bool
    reason: str
    """In a word or two, the same for all like cases: ``"no_box"``, ``"overlap"``."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What shows it: the matched benchmark row, the numbers, the evidence."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """New values of `answer` or of columns."""


@dataclass(frozen=True)
class StepOutcome:
    """What a step decided, and what it has to say about it."""

    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()
    """Sentences for output and report: short quotas, answers that could not be read ..."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What identifies its inputs beside the rows: benchmarks and their hashes, solvers and their weights."""


def applied(rows: Sequence[PoolRow], decisions: Sequence[Decision]) -> list[PoolRow]:
    """The rows that stay, in order, with their changes. Raises ValueError if a row has no decision."""
    by_id = {decision.id: decision for decision in decisions}
    lacking = next((row.id for row in rows if row.id not in by_id), None)
    if lacking is not None or len(by_id) != len(rows) or len(decisions) != len(rows):
        raise ValueError(f"a step must decide about every row once (row {lacking})")
    return [_changed(row, by_id[row.id].changes) for row in rows if by_id[row.id].kept]


def ledger_line(step: str, decision: Decision) -> dict[str, Any]:
    """A decision as an object of `ledger.jsonl`; what is empty is left out."""
    line: dict[str, Any] = {"id": decision.id, "step": step, "kept": decision.kept, "reason": decision.reason}
    if decision.detail:
        line["detail"] = dict(decision.detail)
    if decision.changes:
        line["changes"] = dict(decision.changes)
    return line


def decision_of(line: Mapping[str, Any]) -> Decision:
    """The decision that a ledger line holds."""
    return Decision(line["id"], line["kept"], line["reason"], line.get("detail", {}), line.get("changes", {}))


def _changed(row: PoolRow, changes: Mapping[str, Any]) -> PoolRow:
    if not changes:
        return row
    added = {name: value for name, value in changes.items() if name not in FIELDS}
    named = {name: value for name, value in changes.items() if name in FIELDS}
    return dataclasses.replace(row, **named, columns={**row.columns, **added})
