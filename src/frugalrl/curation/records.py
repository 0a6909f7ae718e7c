"""The records of curation: rows of a pool, and what each step decided about each of them.

Decisions:
- A step never edits a row. It decides for each row whether it is kept, why, and which values change. The ledger is the
  record of these decisions, so a run resumes by reading them again.
- A step yields its decisions one at a time, so that only a few are in memory.
- What a step adds (band, pass_rate ...) becomes a column of the row, and so of the written set.
"""

from collections.abc import Generator, Mapping
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
    """Its origin, e.g. ``"aops_forum"``; the pool's name if unknown."""
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
    """The evidence: the matched benchmark row, the numbers, the quotation."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """New values of `answer` or of columns."""


@dataclass(frozen=True)
class Ending:
    """A step's summary after its last decision."""

    notes: tuple[str, ...] = ()
    """Sentences for output and report: short quotas, answers that could not be read ..."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What identifies its inputs beside the rows (benchmarks and their hashes, solvers and their weights), and what it
    cost."""


Deciding = Generator[Decision, None, Ending]
"""A step at work: a decision about each row, in order, and then its ending."""


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
