r"""Values of a raw row as text and JSON that every later step and file format can represent. Pure.

Decisions:
- Half of a surrogate pair and a null byte cannot be written as UTF-8 or are cut off by many readers: each becomes
  U+FFFD, so that the place stays visible. Two halves side by side are joined.
- A non-finite number (NaN, as pandas writes missing values; infinity) is missing. So is a text that spells it.
  "None" and "infinity" as texts stay: they can be answers.
- A problem is a text. A list, a number or an object in its column is a fault of the row, not a problem.
- An answer is a text, a number or a truth value, or a list of exactly one; other lists and objects are no gold.
- A solution in several texts is one text with blank lines between them.
- Types that JSON lacks (a time, bytes, a decimal) become text.

`Faults` says what was changed, in words that are counted over a pool.
"""

import base64
import json
import math
import re
from typing import Any

MOST_PROBLEM_CHARS = 50_000
"""A longer problem is not one: rules that compare texts take minutes for it. The longest of two public pools has
under 10,000."""
MISSING_TEXTS = frozenset({"NaN", "nan", "NAN", "NaT", "<NA>", "#N/A", "null", "NULL"})
"""What programs write for a missing value. As a gold it would match any completion that says so."""
_BROKEN = re.compile("[\ud800-\udfff\x00]")
_LOST_BACKSLASH = re.compile(r"[\x07\x08\x0b\x0c](?=[a-z])|\t(?=imes\b|heta\b|ext\{)|\r(?=ight\b|ho\b|angle\b)")
"""``\frac`` written with one backslash in JSON is read as a form feed and ``rac``."""

SURROGATE, NOT_FINITE, CONVERTED = "broken_characters", "not_finite", "converted_to_text"
SPELLED_MISSING, ONE_OF_A_LIST, NESTED_GOLD = "missing_spelled_out", "list_of_one", "gold_is_no_text"
JOINED_TEXTS, LOST_BACKSLASH = "texts_joined", "lost_backslash"


class Faults(dict[str, str]):
    """What was changed or noticed in a row: fault by column."""

    def note(self, column: str, fault: str) -> None:
        self.setdefault(column, fault)


def plain_text(text: str, column: str, faults: Faults) -> str:
    """The text without what cannot be written to a file."""
    if text.isascii() and "\x00" not in text:
        return text
    if _BROKEN.search(text) is None:
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\x00", "\ufffd")
    if joined != text:
        faults.note(column, SURROGATE)
    return joined


def problem_text(value: Any, column: str, faults: Faults) -> tuple[str, str]:
    """A problem as text, and why it is none (or ""): ``no_problem_text``, ``problem_is_no_text`` or ``too_long``."""
    if is_missing(value):
        return "", "no_problem_text"
    if not isinstance(value, str):
        return plain_text(json.dumps(json_value(value, column, faults)), column, faults), "problem_is_no_text"
    text = plain_text(value, column, faults)
    if not text.strip():
        return text, "no_problem_text"
    if _LOST_BACKSLASH.search(text):
        faults.note(column, LOST_BACKSLASH)
    return (text, "") if len(text) <= MOST_PROBLEM_CHARS else (text, "problem_too_long")


def answer_text(value: Any, column: str, faults: Faults) -> str:
    """A gold as text; empty if there is none."""
    if isinstance(value, list) and len(value) == 1:
        faults.note(column, ONE_OF_A_LIST)
        value = value[0]
    if isinstance(value, float) and not math.isfinite(value):
        faults.note(column, NOT_FINITE)
        return ""
    if isinstance(value, list | dict):
        faults.note(column, NESTED_GOLD)
        return ""
    text = scalar_text(value, column, faults)
    if _LOST_BACKSLASH.search(text):
        faults.note(column, LOST_BACKSLASH)
    text = text.strip()
    if text in MISSING_TEXTS:
        faults.note(column, SPELLED_MISSING)
        return ""
    return text


def solution_text(value: Any, column: str, faults: Faults) -> str:
    """A written solution; empty if there is none."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        if len(value) > 1:
            faults.note(column, JOINED_TEXTS)
        value = "\n\n".join(value)
    return scalar_text(value, column, faults)


def scalar_text(value: Any, column: str, faults: Faults) -> str:
    """An id, source or other value as text; empty if it is missing."""
    if is_missing(value):
        return ""
    if isinstance(value, str):
        return plain_text(value, column, faults)
    found = json_value(value, column, faults)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: null, or a float that is no number."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def json_value(value: Any, column: str, faults: Faults) -> Any:
    """The value as JSON can represent it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return plain_text(value, column, faults)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        faults.note(column, NOT_FINITE)
        return None
    if isinstance(value, list | tuple):
        return [json_value(one, column, faults) for one in value]
    if isinstance(value, dict):
        return {plain_text(str(name), column, faults): json_value(one, column, faults) for name, one in value.items()}
    faults.note(column, CONVERTED)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
