"""From samples of models to decisions about rows, by pass rate or by a judge's answer. Pure."""

import re
from collections.abc import Sequence
from typing import Any

from frugalrl.config.curation_schema import Difficulty, Judge
from frugalrl.curation.bands import UNKNOWN_BAND, PassRate, Unrated, easiest
from frugalrl.curation.records import Decision, PoolRow
from frugalrl.curation.sampling_facts import SampleCounts
from frugalrl.curation.solver import FAILED, NO_ANSWER, Answer
from frugalrl.curation.text_steps import EVIDENCE_CHARS, shortened
from frugalrl.errors import DataError
from frugalrl.verify.maths.extraction import text_after_reasoning

_WORD = re.compile(r"\b(KEEP|DROP)\b", re.IGNORECASE)
_REASONS = {"refused": "refused_by_solver", "failed": "failed_at_solver", "no_full_answer": "no_full_answer"}


def rate_decision(row: PoolRow, found: Sequence[PassRate | Unrated], step: Difficulty) -> Decision:
    """The band of the best solver; `unknown` where none of them has a rate.

    found: of each solver that was asked; empty for a row without a gold. Raises DataError (`missing: error`).
    """
    rates = [one for one in found if isinstance(one, PassRate)]
    unrated = [one for one in found if isinstance(one, Unrated)]
    if not rates:
        return _without_rate(row, unrated, step)
    best = easiest(rates, step.bands)
    others = {one.solver: [one.correct, one.samples] for one in rates} if len(rates) > 1 else {}
    detail = {
        "band": best.band,
        "correct": best.correct,
        **best.values(),
        **({"all": others} if others else {}),
        **_total(found).values(),
        **({"unrated": {one.solver: one.said or one.why for one in unrated}} if unrated else {}),
    }
    kept = best.band not in step.drop
    return Decision(row.id, kept, f"band_{best.band}", detail, best.values() if kept else {})


def _without_rate(row: PoolRow, unrated: Sequence[Unrated], step: Difficulty) -> Decision:
    kept = step.missing == "keep" and UNKNOWN_BAND not in step.drop
    reason = _REASONS[unrated[0].why] if unrated else "no_gold"
    if step.missing == "error":
        raise DataError(f"The row {row.id} has no pass rate ({reason}). Correct it, or set missing: keep or drop.")
    total = _total(unrated)
    detail: dict[str, Any] = {"samples": total.samples, **total.values()} if total.samples else {}
    said = {one.solver: one.said for one in unrated if one.said}
    if said:
        detail = {**detail, "said": said}
    return Decision(row.id, kept, reason, detail, {"band": UNKNOWN_BAND} if kept else {})


def _total(found: Sequence[PassRate | Unrated]) -> SampleCounts:
    return sum((one.counts for one in found), SampleCounts())


def judge_decision(row: PoolRow, answer: Answer, step: Judge) -> Decision:
    """The decision about a row after a judge's answer."""
    if answer.finish_reason in NO_ANSWER:
        reason = "judge_failed" if answer.finish_reason == FAILED else "judge_refused"
        return Decision(row.id, step.unclear == "keep", reason, {"said": shortened(answer.said)})
    said = {"said": shortened(answer.completion[-EVIDENCE_CHARS:])}
    keep = judgement(answer)
    if keep is None:
        return Decision(row.id, step.unclear == "keep", "judge_unclear", said)
    return Decision(row.id, keep, "judge_keep" if keep else "judge_drop", {} if keep else said)


def judgement(answer: Answer) -> bool | None:
    """Whether a judge said KEEP (true) or DROP (false); None if neither can be read. The last word counts."""
    text = text_after_reasoning(answer.completion, answer.reasoning_open)
    words = _WORD.findall(text or "")
    return words[-1].upper() == "KEEP" if words else None
