"""The steps whose rules are pure modules of `data`: one question, language, duplicates, benchmark overlap.

Each turns what the rule found into decisions with the match or the evidence in them.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from frugalrl.curation.records import Decision, PoolRow
from frugalrl.curation.text_steps import Tick, shortened
from frugalrl.data.decontamination import Index, find_overlap
from frugalrl.data.duplicates import Match, groups_of
from frugalrl.data.gold_conflicts import Member, decide_group
from frugalrl.data.prompt_language import UNKNOWN, prompt_language
from frugalrl.data.question_rules import question_fault
from frugalrl.data.restated_index import SameAnswer, SameProblem
from frugalrl.data.statements import Statement
from frugalrl.text.language import Identify


def one_question(rows: Sequence[PoolRow], allow: Collection[str]) -> list[Decision]:
    """Drop problems that do not ask one question with one checkable answer."""

    decisions: list[Decision] = []
    for row in rows:
        fault = question_fault(row.problem, row.answer, row.solution)
        if fault is None or fault.reason in allow:
            decisions.append(Decision(row.id, True, "one_question" if fault is None else f"allowed_{fault.reason}"))
        else:
            decisions.append(Decision(row.id, False, fault.reason, {"evidence": shortened(fault.evidence)}))
    return decisions


def in_language(rows: Sequence[PoolRow], language: str, identify: Identify) -> list[Decision]:
    """Keep problems in a language, and those too short to tell."""

    decisions: list[Decision] = []
    for row in rows:
        found, share = prompt_language(row.problem, identify, language)
        kept = found in (language, UNKNOWN)
        reason = "too_short_to_tell" if found == UNKNOWN else f"language_{found}"
        detail = {} if kept else {"language": found, "share": round(share, 4)}
        decisions.append(Decision(row.id, kept, reason, detail))
    return decisions


def without_overlap(
    rows: Sequence[PoolRow],
    index: Index,
    read: Callable[[str], Statement],
    equivalent: SameAnswer | None = None,
    witness: SameProblem | None = None,
) -> list[Decision]:
    """Drop problems that overlap with a benchmark; the matched row is in the decision.

    read: takes a text apart. equivalent, witness: second opinions, see `data.restated_index`.
    """
    decisions: list[Decision] = []
    for row in rows:
        overlap = find_overlap(index, row.problem, gold=row.answer, read=read, equivalent=equivalent, witness=witness)
        if overlap is None:
            decisions.append(Decision(row.id, True, "no_overlap"))
        else:
            detail = {
                "benchmark": overlap.benchmark,
                "row_id": overlap.row_id,
                "row_text": overlap.row_text,
                "kind": overlap.kind,
                "similarity": round(overlap.similarity, 4),
                "evidence": shortened(overlap.evidence),
            }
            decisions.append(Decision(row.id, False, f"overlap_{overlap.benchmark}", detail))
    return decisions


def without_duplicates(
    rows: Sequence[PoolRow], matches: Sequence[Match], equivalent: Callable[[str, str], bool], tick: Tick
) -> list[Decision]:
    """Merge groups of one problem with equivalent golds into their best member; drop those with conflicting golds."""
    decided: dict[int, Decision] = {}
    touching: dict[int, Match] = {}
    for match in matches:
        touching.setdefault(match.second, match)
        touching.setdefault(match.first, match)
    for number, group in enumerate(groups_of(len(rows), matches)):
        members = [rows[at] for at in group]
        settled = decide_group(
            [Member(row.problem, row.answer, bool(row.solution.strip())) for row in members], equivalent
        )
        for place, at in enumerate(group):
            evidence = _match_evidence(rows, at, touching[at])
            if settled.kept is None:
                listed = [{"id": row.id, "answer": row.answer} for row in members]
                detail = {**evidence, "group": listed, "golds": settled.why}
                decided[at] = Decision(rows[at].id, False, "conflicting_golds", detail)
            elif place == settled.kept:
                others = [row.id for row in members if row.id != rows[at].id]
                decided[at] = Decision(rows[at].id, True, "merged", {"duplicates": others})
            else:
                decided[at] = Decision(rows[at].id, False, "duplicate", {"of": members[settled.kept].id, **evidence})
        tick(number)
    return [decided.get(at) or Decision(row.id, True, "unique") for at, row in enumerate(rows)]


def _match_evidence(rows: Sequence[PoolRow], at: int, match: Match) -> dict[str, Any]:
    partner = rows[match.second if match.first == at else match.first]
    sameness = match.sameness
    return {
        "match": {"id": partner.id, "kind": sameness.kind, "similarity": round(sameness.similarity, 4)},
        "why": sameness.why,
    }
