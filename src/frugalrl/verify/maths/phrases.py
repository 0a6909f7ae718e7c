"""Words around a value: lead-ins ("the answer is"), and numbers in words behind digits ("5 million", "5 squared").

What is dropped here never changes a value, what does is worked out: "2 dozen" is 24 and "5 squared" 25.
"""

import re

_LEAD_IN = re.compile(
    r"(?:(?:so|thus|therefore|hence),? )?(?:(?:the|my|our) )?(?:(?:final|correct|exact) )?"
    r"(?:answer|result|value|solution|total|number|sum|choice|option)s? ?(?:is|are|equals|:|=) ?:? ?",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"([A-Za-z][A-Za-z ,'$]{0,60}) (?:is|are|equals|was) ?:? (?=[^A-Za-z])")
"""A whole sentence that leads to a value: "The angle is 90"."""
_ROUGHLY = re.compile(r"(?:\\approx|\\sim|(?:approximately|approx\.?|about|roughly|exactly|only)(?![A-Za-z])) ?")
_NEGATING_WORDS = "not no nor never if unless except but wrong incorrect false or than isn hardly"
_CHANGES_MEANING = frozenset(_NEGATING_WORDS.split())
_MAX_LEAD_INS = 3
_MAGNITUDES = {"hundred": "00", "thousand": "000", "million": "000000", "billion": "0" * 9, "trillion": "0" * 12}
_PERCENT = re.compile(
    r" ?(?:\\text ?\{ ?)?(?:per ?cents?|pct\.?|percentage(?: points?)?|percent points?) ?\}?$", re.IGNORECASE
)
_POWER_WORD = re.compile(r"(\d[\d.]*) ?(?:\\text ?\{ ?)?(squared|cubed|dozen) ?\}?")
_MAX_TAIL = 60
_ONE_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen"""
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES, _TENS = _ONE_WORDS.split(), _TEN_WORDS.split()


def in_digits(text: str) -> str:
    """A number in words as digits, "no solution" as the empty set; anything else as it is."""
    if len(text) > _MAX_TAIL or not any(char.isalpha() for char in text):
        return text
    words = re.sub(r"\\text ?\{([^{}]*)\}", r"\1", text).strip(" .").lower()
    if words in ("no solution", "no solutions", "the empty set", "empty set", "\\{ \\}", "\\{\\}"):
        return "\\emptyset"
    tens, _, ones = words.replace("-", " ").partition(" ")
    if tens in _TENS and ones in _ONES[1:10]:
        return str(10 * (_TENS.index(tens) + 2) + _ONES.index(ones))
    if words in _ONES:
        return str(_ONES.index(words))
    return str(10 * (_TENS.index(words) + 2)) if words in _TENS else text


def strip_lead_in(text: str) -> str:
    """A cleaned answer without "the answer is", "approximately" or a surrounding ``\\text{}`` in front."""
    for _ in range(_MAX_LEAD_INS):
        inside = _whole_text_group(text)
        if inside is not None and (_LEAD_IN.match(inside) or any(char.isdigit() for char in inside)):
            text = inside
        start = re.match(r"\\text\{ ?([^{}]{1,60})\} ?", text)
        if start and start.end() < len(text):
            words = start.group(1).strip() + " "
            if _LEAD_IN.fullmatch(words) or _ROUGHLY.fullmatch(words) or _leads_to_value(words + "1"):
                text = text[start.end() :]
        found = _LEAD_IN.match(text) or _ROUGHLY.match(text) or _leads_to_value(text)
        if not found or found.end() == len(text):
            return text.strip().rstrip(".")
        text = text[found.end() :].strip()
    return text.strip().rstrip(".")


def _leads_to_value(text: str) -> re.Match[str] | None:
    found = _SENTENCE.match(text)
    if found is None or any(word in _CHANGES_MEANING for word in _words(found.group(1))):
        return None
    return found


def spelled_out(text: str) -> str:
    """A number with words behind it in digits: "5 million", "35 percent", "5 squared", "2 dozen"; all else as it is."""
    tail = text[-_MAX_TAIL:]
    if percent := _PERCENT.search(tail):
        return f"{text[: len(text) - len(percent.group())]}%"
    if power := _POWER_WORD.fullmatch(text):
        value = power.group(1)
        return f"12*{value}" if power.group(2) == "dozen" else f"{value}^{2 if power.group(2) == 'squared' else 3}"
    return _with_magnitude(text)


def _with_magnitude(text: str) -> str:
    """ "5 million" as "5000000"; anything else as it is."""
    match = re.fullmatch(r"(-?\d[\d,]*)(?:\.(\d+))? ?(?:\\text\{ ?)?([a-z]+) ?\}?", text)
    if not match or match.group(3) not in _MAGNITUDES:
        return text
    whole, decimals, zeros = match.group(1).replace(",", ""), match.group(2) or "", _MAGNITUDES[match.group(3)]
    if len(decimals) > len(zeros):
        return text
    return whole + decimals + zeros[len(decimals) :]


def _whole_text_group(text: str) -> str | None:
    match = re.fullmatch(r"\\text\{([^{}]*)\}\.?", text)
    return match.group(1).strip() if match else None


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
