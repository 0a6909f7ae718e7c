"""Preflight check of gold answers: faults that no training run should start with.

A gold is fit for training when it can be read, is accepted in a box, is accepted in another spelling, is not
accepted for answers that are plainly wrong, and all that is fast. Wrong answers and spellings are derived from
the gold itself; a pool does the judging, so that a gold may be as hostile as an answer.

Not asked here: whether the gold is the right answer to its problem.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from frugalrl.verify.gold_words import states_no_answer
from frugalrl.verify.maths.comparison import prepared_gold
from frugalrl.verify.maths.exact_numbers import ExactNumber, TooLargeError, read_number
from frugalrl.verify.maths.shapes import read_shape
from frugalrl.verify.maths.structures import Shape, TooManyItemsError
from frugalrl.verify.maths.text_answers import choice_letter, is_text
from frugalrl.verify.workers.pool import AnswerItem, Judgement, VerifierPool

Problem = Literal["no_answer", "unparseable", "not_itself", "not_respelt", "accepts_wrong", "slow"]
SLOW_SECONDS = 0.25
"""A quarter of the default limit: what needs longer on an idle machine times out on a busy one."""
_MAX_WRITTEN_BITS = 10_000
_UNREADABLE = ("unparseable_gold", "gold_beyond_limits")
_WRONG_ANSWERS = ("", "0", "123454321", "-7/9", "x", "\\text{none of these}", "A, B, C, D, E", "\\pm 1")
"""Nothing, two numbers, a name, prose, hedges."""


@dataclass(frozen=True)
class GoldCheck:
    """What is wrong with one gold; nothing, if `problems` is empty."""

    gold: str
    problems: tuple[Problem, ...]
    detail: str
    """The answer that showed the first problem, and the verdict on it."""
    seconds: float
    """Processor time of the slowest comparison."""


def check_golds(
    golds: Sequence[str],
    pool: VerifierPool,
    slow_seconds: float = SLOW_SECONDS,
    on_progress: Callable[[int], object] = lambda done: None,
) -> list[GoldCheck]:
    """A check for each gold, in order. on_progress: is told how many are done."""
    plans = [_Plan(gold, respelt(gold), wrong_answers(gold)) for gold in golds]
    judgements = iter(pool.judge_timed(item for plan in plans for item in plan.items()))
    checks = []
    for plan in plans:
        checks.append(_checked(plan, [next(judgements) for _ in plan.items()], slow_seconds))
        on_progress(len(checks))
    return checks


@dataclass(frozen=True)
class _Plan:
    gold: str
    respelt: str
    wrong: tuple[str, ...]

    def items(self) -> list[AnswerItem]:
        answers = (self.gold, self.respelt, *self.wrong)
        return [AnswerItem(f"\\boxed{{{_inside(answer)}}}", self.gold) for answer in answers]


def _inside(answer: str) -> str:
    """An answer as the inside of a box: a gold that brings its own box is taken out of it."""
    return prepared_gold(answer) or answer


def _checked(plan: _Plan, judgements: Sequence[Judgement], slow_seconds: float) -> GoldCheck:
    itself, other, *wrong = judgements
    seconds = max(judgement.cpu_seconds for judgement in judgements)
    found: list[tuple[Problem, str]] = []
    without = states_no_answer(plan.gold)
    if without is not None:
        found.append(("no_answer", without))
    elif prepared_gold(plan.gold) is None:
        found.append(("unparseable", "it is empty, never closes, or is too long"))
    elif all(judgement.verdict.label == "unknown" for judgement in (itself, *wrong)):
        found.append(("unparseable", itself.verdict.reason))
    else:
        if itself.verdict.label != "correct":
            found.append(("not_itself", f"in a box it is {_said(itself)}"))
        if other.verdict.label != "correct":
            found.append(("not_respelt", f"{plan.respelt} is {_said(other)}"))
        unreadable = next((one for one in wrong if one.verdict.reason in _UNREADABLE), None)
        if unreadable is not None:
            found.append(("unparseable", "only its own spelling is recognised"))
        for answer, judgement in zip(plan.wrong, wrong, strict=True):
            if judgement.verdict.label == "correct":
                found.append(("accepts_wrong", f"{answer} is {_said(judgement)}"))
                break
    if seconds > slow_seconds:
        found.append(("slow", f"{seconds:.2f} s"))
    return GoldCheck(plan.gold, tuple(problem for problem, _ in found), found[0][1] if found else "", seconds)


def _said(judgement: Judgement) -> str:
    return f"{judgement.verdict.label} ({judgement.verdict.reason})"


# --------------------------------------------------------------------------- spellings and wrong answers


def respelt(gold: str) -> str:
    """Another spelling of a gold: a fraction for a number, another order for a list, brackets for a choice."""
    cleaned = prepared_gold(gold)
    if cleaned is None:
        return gold
    letter = choice_letter(cleaned)
    if letter is not None:
        return f"\\textbf{{({letter})}}"
    if is_text(cleaned):
        return cleaned.upper() if "\\" not in cleaned else f"{cleaned}."
    return _shape_transformed(cleaned, _respelt_value, backwards=True)


def wrong_answers(gold: str) -> tuple[str, ...]:
    """Answers that no spelling of the gold equals: common junk, and a neighbour of the gold itself."""
    cleaned = prepared_gold(gold)
    if cleaned is None:
        return _WRONG_ANSWERS[:2]
    number = _number(cleaned)
    if number is not None and _is_writable(number):
        values = {number.value, number.value * 100} if number.percent else {number.value}
        neighbours = (number.value * Fraction(3, 2) + 1, -2 * number.value - 3)  # clear of rounding and of percent
        junk = (wrong for wrong in _WRONG_ANSWERS if not _may_be(wrong, values))
        return (*junk, *(str(value) for value in neighbours if value not in values))
    if choice_letter(cleaned) is not None or is_text(cleaned):
        return (*_WRONG_ANSWERS[:5], f"\\text{{not }} {cleaned}")
    shape = _shape(cleaned)
    if shape is None or shape.kind == "value":
        neighbour = () if "=" in cleaned or "<" in cleaned or "\\" + "le" in cleaned else (f"{cleaned}+1",)
        return (*(wrong for wrong in _WRONG_ANSWERS if wrong != cleaned and wrong != "\\pm 1"), *neighbour)
    return (*_WRONG_ANSWERS[:6], _shape_transformed(cleaned, _changed_value, backwards=False))


def _is_writable(number: ExactNumber) -> bool:
    """Whether Python writes the number out: 2011! has more digits than it does."""
    return max(number.value.numerator.bit_length(), number.value.denominator.bit_length()) <= _MAX_WRITTEN_BITS


def _may_be(wrong: str, values: set[Fraction]) -> bool:
    number = _number(wrong)
    return number is not None and number.value in values


def _shape_transformed(text: str, change: Callable[[str], str], backwards: bool) -> str:
    shape = _shape(text)
    if shape is None:
        return text
    if shape.kind == "value":
        return change(shape.text)
    if shape.kind == "tuple" and len(shape.brackets) == 2:
        inside = ", ".join(_shape_transformed(item.text, change, backwards) for item in shape.items)
        return f"{shape.brackets[0]}{inside}{shape.brackets[1]}"
    if any(item.is_collection or item.kind == "tuple" for item in shape.items):
        return text if backwards else f"{text}, 123454321"
    items = [change(item.text) for item in shape.items]
    joined = ", ".join(reversed(items) if backwards else items)
    return f"\\{{{joined}\\}}" if shape.kind == "set" else joined


def _respelt_value(text: str) -> str:
    """An exact number as a quotient; a decimal keeps its digits, and what is no number gets brackets."""
    number = _number(text)
    if number is None or not _is_writable(number):
        return f"({text})" if "=" not in text and "\\infty" not in text else f" {text} "
    if number.significant_digits is not None or number.percent:
        return f"{text} "
    return f"{number.value.numerator * 2}/{number.value.denominator * 2}"


def _changed_value(text: str) -> str:
    if "\\infty" in text:
        return "17"
    left, equals, value = text.rpartition("=")
    number = _number(value.strip())
    if number is None or not _is_writable(number):
        return f"{left}{equals}{value}+1"
    return f"{left}{equals}{number.value + 1}"


def _shape(text: str) -> Shape | None:
    try:
        return read_shape(text)
    except TooManyItemsError:
        return None


def _number(text: str) -> ExactNumber | None:
    try:
        return read_number(text)
    except TooLargeError:
        return None
