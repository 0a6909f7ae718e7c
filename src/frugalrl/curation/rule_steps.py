"""The steps whose rules are pure modules of `data`: one question, language, duplicates, benchmark overlap.

Each turns what the rule found into decisions with the match or the evidence in them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from frugalrl.curation.records import Decision, PoolRow
from frugalrl.curation.text_steps import shortened
from frugalrl.data.decontamination import Index, find_overlap
from frugalrl.data.duplicates import Match, groups_of
from frugalrl.data.gold_conflicts import GroupDecision, Member, decide_group
from frugalrl.data.prompt_language import UNKNOWN, prompt_language
from frugalrl.data.question_rules import is_judged, question_fault
from frugalrl.data.restated_index import SameAnswer, SameProblem
from frugalrl.data.statements import Statement
from frugalrl.text.language import Identify

NOT_JUDGED = "not_judged_"
"""Before the language, in the reason of a problem that the question rules cannot read."""


def one_question(rows: Sequence[PoolRow], allow: Collection[str], identify: Identify) -> list[Decision]:
    """Drop problems that do not ask one question with one checkable answer.

    The rules read English. A fault that they quote is a fault in any language; where they find none in a problem of
    another language, it was not judged, and its reason says so.
    """
    decisions: list[Decision] = []
    for row in rows:
        language, _ = prompt_language(row.problem, identify)
        fault = question_fault(row.problem, row.answer, row.solution, language=language)
        if fault is not None and fault.reason not in allow:
            decisions.append(Decision(row.id, False, fault.reason, {"evidence": shortened(fault.evidence)}))
        elif fault is not None:
            decisions.append(Decision(row.id, True, f"allowed_{fault.reason}"))
        else:
            judged = is_judged(row.problem, language)
            decisions.append(Decision(row.id, True, "one_question" if judged else f"{NOT_JUDGED}{language}"))
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
    rows: Sequence[PoolRow], matches: Sequence[Match], equivalent: Callable[[str, str], bool]
) -> Iterator[Decision]:
    """Merge groups of one problem with equivalent golds into their best member; drop those with conflicting golds.

    Kept of a group in memory are its positions and what became of it; rows are read when their turn comes.
    """
    touching: dict[int, Match] = {}
    for match in matches:
        touching.setdefault(match.second, match)
        touching.setdefault(match.first, match)
    settled: dict[int, tuple[tuple[int, ...], GroupDecision]] = {}
    for group in groups_of(len(rows), matches):
        outcome = _settle([rows[at] for at in group], equivalent)
        settled.update((at, (group, outcome)) for at in group)
    for at, row in enumerate(rows):
        found = settled.get(at)
        if found is None:
            yield Decision(row.id, True, "unique")
        else:
            yield _of_group(rows, at, *found, touching[at])


def _settle(members: Sequence[PoolRow], equivalent: Callable[[str, str], bool]) -> GroupDecision:
    return decide_group([Member(row.problem, row.answer, bool(row.solution.strip())) for row in members], equivalent)


def _of_group(rows: Sequence[PoolRow], at: int, group: Sequence[int], outcome: GroupDecision, match: Match) -> Decision:
    row = rows[at]
    if outcome.kept is None:
        listed = [{"id": member.id, "answer": member.answer} for member in (rows[one] for one in group)]
        detail = {**_match_evidence(rows, at, match), "group": listed, "golds": outcome.why}
        return Decision(row.id, False, "conflicting_golds", detail)
    if at == group[outcome.kept]:
        others = [rows[one].id for one in group if one != at]
        return Decision(row.id, True, "merged", {"duplicates": others})
    detail = {"of": rows[group[outcome.kept]].id, **_match_evidence(rows, at, match)}
    return Decision(row.id, False, "duplicate", detail)


def _match_evidence(rows: Sequence[PoolRow], at: int, match: Match) -> dict[str, Any]:
    partner = rows[match.second if match.first == at else match.first]
    sameness = match.sameness
    return {
        "match": {"id": partner.id, "kind": sameness.kind, "similarity": round(sameness.similarity, 4)},
        "why": sameness.why,
    }
