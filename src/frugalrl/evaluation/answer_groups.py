"""Which of a problem's answers are one answer, so that a vote counts them together however they are written.

Answers are the same where the verifier's cheap equality (texts, choices, exact numbers, lists; no computer algebra)
says so of either order; what only algebra could unite stays apart. Correct answers are one by their verdict.
"""

from collections.abc import Sequence

from frugalrl.evaluation.records import SampleRecord
from frugalrl.verify.maths.comparison import compare

Vote = tuple[str | None, bool]
"""The name of an answer, None where none was read, and whether it is correct."""

_MOST_COMPARED = 64
"""Distinct answers of a problem; beyond it only equal texts are united, which keeps the work bounded."""


def votes(samples: Sequence[SampleRecord]) -> list[Vote]:
    """A vote for each sample of one problem; equal wrong answers have the spelling of the first one."""
    names: dict[str, str] = {}
    for one in samples:
        if not one.is_correct and one.extracted is not None and one.extracted not in names:
            names[one.extracted] = _name(one.extracted, list(dict.fromkeys(names.values())))
    return [
        (one.extracted if one.is_correct or one.extracted is None else names[one.extracted], one.is_correct)
        for one in samples
    ]


def _name(answer: str, known: Sequence[str]) -> str:
    for other in known[:_MOST_COMPARED]:
        if "same" in (compare(answer, other).outcome, compare(other, answer).outcome):
            return other
    return answer
