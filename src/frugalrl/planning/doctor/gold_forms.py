"""The form of golds: a bare answer, or something that no completion would ever be equal to.

A gold may be read, verify against itself, and still be a sentence, a record or a copy of the question. Pure.
"""

import re
from collections.abc import Callable, Sequence

from frugalrl.planning.doctor.finding import Finding
from frugalrl.types import Problem

_MANY, _MOST = 0.1, 0.5
_WORDS = 5
"""From so many on, a gold is a sentence and no name or short phrase."""
_NUMBER = r"[-+]?\$?\d+(?:[.,]\d+)*(?:/\d+)?\$?"


def gold_form_finding(problems: Sequence[Problem], fix: Callable[[], str]) -> Finding:
    """problems: those whose golds are compared. fix: for any of the forms."""
    name = "data/gold_form"
    if not problems:
        return Finding(name, "green", "no golds are compared")
    for what, why, is_so in _FORMS:
        found = [problem for problem in problems if is_so(problem)]
        if len(found) > _MANY * len(problems):
            return Finding(
                name,
                "red" if len(found) > _MOST * len(problems) else "yellow",
                f"{len(found)} of {len(problems)} golds are {what}, e.g. {found[0].gold[:60]!r}: {why}.",
                fix(),
            )
    return Finding(name, "green", "the golds are bare answers")


def _is_the_problem(problem: Problem) -> bool:
    return _squeezed(problem.gold) == _squeezed(problem.text)


def _squeezed(text: str) -> str:
    return "".join(text.split()).lower()


def _is_a_record(problem: Problem) -> bool:
    return re.match(r"\s*[\[{]\s*['\"]\w+['\"]\s*:", problem.gold) is not None


def _is_a_sentence(problem: Problem) -> bool:
    without_commands = re.sub(r"\\[a-zA-Z]+", " ", problem.gold)
    return len(re.findall(r"[^\W\d_]{2,}", without_commands)) >= _WORDS


def _has_a_decimal_comma(problem: Problem) -> bool:
    return re.fullmatch(r"[-+]?\d+,\d{1,2}", problem.gold.strip()) is not None


def _is_a_choice(problem: Problem) -> bool:
    return re.fullmatch(rf"{_NUMBER}\s*(?:or|oder|ou|/or/|;)\s*{_NUMBER}", problem.gold.strip()) is not None


_FORMS: Sequence[tuple[str, str, Callable[[Problem], bool]]] = (
    ("the text of the problem", "the answer stands in another column", _is_the_problem),
    ("records with several fields", "an answer is compared with all of it and never equal", _is_a_record),
    ("sentences", "an answer in \\boxed{} is compared with all of it and hardly ever equal", _is_a_sentence),
    ("written with a decimal comma", "it is read as two numbers, or as thousands", _has_a_decimal_comma),
    ("two answers in one text", "neither of them is accepted; a list of them is read as alternatives", _is_a_choice),
)
