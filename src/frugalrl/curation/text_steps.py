"""The steps that read text alone: rows in, a decision for each out. No model, no verdict, no file.

What a rule looks for is said in the module that holds it (`data.question_rules`, `data.decontamination` ...); here it
becomes a decision with its reason and its evidence.
"""

from collections.abc import Callable, Sequence
from typing import Any

from frugalrl.curation.records import Decision, PoolRow
from frugalrl.verify.maths.extraction import gold_from_solution, last_boxed

EVIDENCE_CHARS = 300


def has_box(rows: Sequence[PoolRow]) -> list[Decision]:
    """Keep rows whose solution holds a box that closes and is not empty."""
    decisions = []
    for row in rows:
        if not row.solution.strip():
            decisions.append(Decision(row.id, False, "no_solution"))
        else:
            boxed = last_boxed(row.solution)
            decisions.append(Decision(row.id, bool(boxed), "boxed" if boxed else "no_box"))
    return decisions


def read_golds(rows: Sequence[PoolRow], replace: bool) -> list[Decision]:
    """The gold of the solution, where there is no answer (or, if `replace`, wherever a solution holds one)."""
    decisions = []
    for row in rows:
        if row.answer and not replace:
            decisions.append(Decision(row.id, True, "answer_given"))
            continue
        gold = gold_from_solution(row.solution)
        if gold and gold != row.answer:
            replaced = {"replaced": row.answer} if row.answer else {}
            decisions.append(Decision(row.id, True, "read_from_solution", replaced, {"answer": gold}))
        elif row.answer:
            decisions.append(Decision(row.id, True, "answer_given"))
        else:
            decisions.append(Decision(row.id, False, "no_answer"))
    return decisions


def shortened(text: str, most_chars: int = EVIDENCE_CHARS) -> str:
    """The beginning of a text, and whether there was more."""
    return text if len(text) <= most_chars else text[: most_chars - 3] + "..."


def prompt_tokens(
    rows: Sequence[PoolRow], count_tokens: Callable[[Sequence[str]], Sequence[int]], most: int
) -> list[Decision]:
    """Drop rows whose prompt has more tokens than `most`.

    count_tokens: from problem texts to the tokens of their whole prompts.
    """
    decisions: list[Decision] = []
    for row, count in zip(rows, count_tokens([row.problem for row in rows]), strict=True):
        fits = count <= most
        detail: dict[str, Any] = {} if fits else {"most": most, "tokens": count}
        reason = "fits" if fits else "too_long"
        decisions.append(Decision(row.id, fits, reason, detail, {"prompt_tokens": count} if fits else {}))
    return decisions
