"""From a completion and a gold answer to a verdict. The only importer of math-verify.

Where the answer is read: in the last ``\\boxed{...}`` after the reasoning ends. A reasoning that was opened
(by the completion or by the prompt's template) and never closed has no answer, whatever boxes it holds.

Cheap exact comparisons come first (text, integers, fractions, decimals), math-verify after them, gold first,
since its `verify` is not symmetric. A gold that cannot be parsed gives `unknown`, never a reward.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from frugalrl.types import Verdict

MAX_ANSWER_CHARS = 512
"""A longer answer is incorrect unread: no gold of the benchmarks comes near, and parsing it may take forever."""
_LARGEST_POWER = re.compile(r"\^\s*\{?\s*[^{}\s]*\d{4}|\^[^+\-]*\^|\d{40}|!")
"""Towers of powers, exponents of four digits, factorials: not worth the minutes they can take."""

CORRECT_VALUE = {"correct": 1.0, "incorrect": 0.0, "unknown": None}
"""What a verdict is worth as a reward: no verdict is no reward, never full marks."""


def judge(completion: str, gold: str, reasoning_open: bool = False) -> Verdict:
    """Whether a completion's final answer is equivalent to the gold answer.

    completion: the text after the prompt.
    gold: one accepted answer, without a box around it.
    reasoning_open: whether the prompt's template had opened ``<think>`` already.
    """
    answer_part = text_after_reasoning(completion, reasoning_open)
    if answer_part is None:
        return Verdict("incorrect", None, "unclosed_reasoning")
    answer = last_boxed(answer_part)
    if answer is None:
        return Verdict("incorrect", None, "no_box")
    if not answer:
        return Verdict("incorrect", answer, "empty_box")
    return _compare(answer, gold)


def text_after_reasoning(completion: str, reasoning_open: bool) -> str | None:
    """What follows the last ``</think>``; the whole text if no reasoning was opened; None if it never closed."""
    if "</think>" in completion:
        return completion.rpartition("</think>")[2]
    return None if reasoning_open or "<think>" in completion else completion


def gold_from_solution(solution: str) -> str | None:
    """The last box of a written solution, or what follows ``####`` (GSM8K); None if it has neither."""
    boxed = last_boxed(solution)
    if boxed:
        return boxed
    marked = re.findall(r"####\s*(.+)", solution)
    return marked[-1].strip() if marked else None


def last_boxed(text: str) -> str | None:
    """The content of the last ``\\boxed{...}`` with matching braces, or None."""
    start = text.rfind("\\boxed{")
    while start >= 0:
        content = _balanced(text, start + len("\\boxed{"))
        if content is not None:
            return content.strip()
        start = text.rfind("\\boxed{", 0, start)
    return None


def _compare(answer: str, gold: str) -> Verdict:
    if _normalised(answer) == _normalised(gold):
        return Verdict("correct", answer, "equal")
    if len(answer) > MAX_ANSWER_CHARS:
        return Verdict("incorrect", answer[:80], "too_long")
    answer_number, gold_number = _exact_number(answer), _exact_number(gold)
    if answer_number is not None and gold_number is not None:
        same = answer_number == gold_number
        return Verdict("correct" if same else "incorrect", answer, "equal" if same else "different")
    if _LARGEST_POWER.search(answer):
        return Verdict("unknown", answer, "too_expensive")
    return _math_verify(answer, gold)


def _math_verify(answer: str, gold: str) -> Verdict:
    """math-verify's word. Both sides stand in a box: raw golds are misread ("(1, 2)" as 2)."""
    import math_verify

    extraction = (math_verify.LatexExtractionConfig(), math_verify.ExprExtractionConfig())
    parsed_gold = _parse(math_verify, gold, extraction)
    if not parsed_gold:
        return Verdict("unknown", answer, "unparseable_gold")
    parsed_answer = _parse(math_verify, answer, extraction)
    if not parsed_answer:
        return Verdict("incorrect", answer, "unparseable_answer")
    same = math_verify.verify(parsed_gold, parsed_answer)
    return Verdict("correct" if same else "incorrect", answer, "equivalent" if same else "different")


def _parse(math_verify: object, text: str, extraction: Sequence[object]) -> list[object]:
    return list(math_verify.parse(f"\\boxed{{{text}}}", extraction_config=extraction))  # type: ignore[attr-defined]


def _normalised(text: str) -> str:
    """Without what never changes a value: spaces, dollar signs, \\left and \\right, a final full stop."""
    return re.sub(r"\s+|\$|\\left|\\right|\\[,;! ]", "", text).rstrip(".")


def _exact_number(text: str) -> Fraction | None:
    """An integer, decimal or \\frac as an exact fraction, thousands separators allowed; None for the rest."""
    plain = _normalised(text).replace("{,}", ",").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    if len(plain) > 40:
        return None
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?", plain):
        plain = plain.replace(",", "")
    fraction = re.fullmatch(r"([-+]?)\\frac\{([-+]?\d+)\}\{(\d+)\}|([-+]?)(\d+)/(\d+)", plain)
    if fraction:
        sign, top, bottom = [group for group in fraction.groups() if group is not None]
        if int(bottom) == 0:
            return None
        return Fraction(int(top), int(bottom)) * (-1 if sign == "-" else 1)
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", plain):
        return None
    try:
        return Fraction(Decimal(plain))
    except InvalidOperation:
        return None


def _balanced(text: str, start: int) -> str | None:
    """The text from `start` to the brace that closes the one before it, or None if none does."""
    depth = 1
    for at in range(start, len(text)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return text[start:at]
    return None
