"""What a percent sign on an answer means: a factor of 1/100, or the unit the question asked for.

The gold decides where nothing else is known (`as_gold`): with a sign it also takes the bare number, without one an
answer with a sign is a hundredth. Where the question asks for a percentage (`points`), a bare gold counts percent:
``35\\%`` is 35. A bare gold below 1 stays what it is, since there "0.35" is as likely to be the share itself.
"""

import re
from fractions import Fraction
from typing import Literal

from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number
from frugalrl.verify.maths.extraction import AnswerPolicy
from frugalrl.verify.maths.latex_text import clean, join_thousands
from frugalrl.verify.maths.phrases import spelled_out, strip_lead_in

PercentReading = Literal["as_gold", "points"]

_PERCENT = r"(?<![\d\\-])(?<!\d[ $])(?<!\d\$ )(?:per ?cent(?:age)?s?\b|\\?%)"
_GAP = r"(?:(?:'s|\W)+(?!\w*\d)[\w$\\'’-]+){0,5}?(?:'s|\W)+"
_AROUND = "a|the|an|whole|integer|tenth|hundredth|of|one|answer|your|nearest|exact|final|as|in|terms"
_ASKED = re.compile(
    rf"\b(?:what|which|how many|how much|find|calculate|determine|compute|estimate){_GAP}{_PERCENT}"
    rf"|\b(?:as|in|to the nearest|nearest|by what|express\w*|give|state|report)(?:\W+(?:{_AROUND})){{0,5}}\W+{_PERCENT}"
    r"|\bpercent(?:age)?(?: \w+){0,12} (?:is|was|are|equals?) ?(?::|_+|\.\.\.|\\_|$)",
    re.IGNORECASE,
)
_NOT_ASKED = re.compile(r"\bas a (?:common |simplified |reduced )?(?:fraction|decimal)\b", re.IGNORECASE)
_TASK = re.compile(r"\W*(?:Find|Express|Calculate|Determine|Compute|Estimate|Give|Round|State)\b")
_MAX_QUESTION = 4_000
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z$\\])")


def asks_for_percentage(question: str) -> bool:
    """Whether a problem asks for a percentage; one that is merely given in it ("a 20 % discount") is not asked for."""
    sentences = _SENTENCE.split(question[-_MAX_QUESTION:].strip())
    asking = [one for one in sentences if "?" in one or _TASK.match(one)]
    considered = asking or sentences[-1:]
    return any(map(_ASKED.search, considered)) and not any(map(_NOT_ASKED.search, considered))


def percent_policy(question: str | None, gold: str) -> PercentReading:
    """How a sign on an answer is read: by the question where it is known and the gold has no sign of its own."""
    if question is None or "%" in gold or "percent" in gold.lower():
        return "as_gold"
    return "points" if asks_for_percentage(question) else "as_gold"


def read_percent(answer: str, gold: str, question: str | None, policy: AnswerPolicy) -> str:
    """An answer as it is compared with this gold, its percent sign dropped where the policy counts percent."""
    if not answer.rstrip(" .}$").endswith(("%", "t", "e", "s")):
        return answer
    reading = percent_policy(question, gold) if policy.percent == "by_question" else policy.percent
    return answer_in_points(answer, gold) if reading == "points" else answer


def answer_in_points(answer: str, gold: str) -> str:
    """An answer without its percent sign, where the gold is a bare number of 1 or more; any other as it is."""
    gold_value = _number(gold)
    if gold_value is None or gold_value[1] or abs(gold_value[0]) < 1:
        return answer
    name, equals, stated = answer.rpartition("=")
    value = _number(stated)
    if value is None or not value[1]:
        return answer
    points = value[0] * 100
    decimals = re.search(r"\.(\d+)", stated)
    if decimals is None or "/" in stated or "\\frac" in stated:
        return f"{name}{equals}{points}"
    return f"{name}{equals}{points.numerator / points.denominator:.{len(decimals.group(1))}f}"


def _number(text: str) -> tuple[Fraction, bool] | None:
    """A value and whether it has a percent sign; None for what is no plain number."""
    cleaned = clean(text)
    if cleaned is None or len(cleaned) > 200:
        return None
    try:
        number = read_number(spelled_out(join_thousands(strip_lead_in(cleaned))))
    except TooLargeError:
        return None
    return None if number is None else (number.value, number.percent)
