"""The steps that need verdicts on golds: which can be read, and which of a duplicate's golds agree."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from frugalrl.curation.records import Decision, PoolRow
from frugalrl.curation.text_steps import Tick
from frugalrl.verify.workers.pool import AnswerItem, VerifierPool

WRONG_ANSWER = "123454321"
"""What no gold is. A gold that can be read gives it the verdict `incorrect`; the others give `unknown`."""
_TOGETHER = 500


def gold_faults(golds: Sequence[str], pool: VerifierPool, tick: Tick) -> dict[str, str | None]:
    """Why each gold cannot be read, or None if it can.

    Asked of the verdict layer as training would: a wrong answer to a readable gold gets a verdict.
    """
    distinct = list(dict.fromkeys(golds))
    faults: dict[str, str | None] = {gold: "missing" for gold in distinct if not gold.strip()}
    asked = [gold for gold in distinct if gold not in faults]
    for start in range(0, len(asked), _TOGETHER):
        part = asked[start : start + _TOGETHER]
        verdicts = pool.judge_many(AnswerItem(f"\\boxed{{{WRONG_ANSWER}}}", gold) for gold in part)
        for gold, verdict in zip(part, verdicts, strict=True):
            faults[gold] = verdict.reason if verdict.label == "unknown" else None
        tick(start + len(part))
    return faults


def parsed_golds(
    rows: Sequence[PoolRow], faults: Mapping[str, str | None], action: Literal["drop", "flag"]
) -> list[Decision]:
    """Drop or flag the rows whose gold cannot be read."""
    decisions = []
    for row in rows:
        fault = faults[row.answer]
        if fault is None:
            decisions.append(Decision(row.id, True, "readable"))
        else:
            changes = {"gold_fault": fault} if action == "flag" else {}
            decisions.append(Decision(row.id, action == "flag", fault, {"answer": row.answer}, changes))
    return decisions


def equivalence(pool: VerifierPool) -> Callable[[str, str], bool]:
    """Whether two golds are the same answer, to the verdict layer: either is accepted for the other."""

    def equivalent(one: str, other: str) -> bool:
        if one == other:
            return True
        items = [AnswerItem(f"\\boxed{{{answer}}}", gold) for answer, gold in ((one, other), (other, one))]
        return any(verdict.label == "correct" for verdict in pool.judge_many(items))

    return equivalent
