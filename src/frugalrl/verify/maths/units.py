"""Words around an answer: lead-ins ("the answer is"), units, and magnitudes ("5 million").

A unit may be left away on either side; two known units that differ make two different answers. Up to four
words after a number count as a unit ("12 red apples") unless one of them could change the meaning ("5 or 6",
"5 is wrong", "not 5").
"""

import re

from frugalrl.verify.maths.exact_numbers import TooLargeError, read_number

_LEAD_IN = re.compile(
    r"(?:(?:so|thus|therefore|hence),? )?(?:(?:the|my|our) )?(?:(?:final|correct|exact) )?"
    r"(?:answer|result|value|solution|total|number|sum|choice|option)s? ?(?:is|are|equals|:|=) ?:? ?",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"([A-Za-z][A-Za-z ,'$]{0,60}) (?:is|are|equals|was) ?:? (?=[^A-Za-z])")
"""A whole sentence that leads to a value: "The angle is 90"."""
_ROUGHLY = re.compile(r"(?:\\approx|\\sim|(?:approximately|approx\.?|about|roughly|exactly|only)(?![A-Za-z])) ?")
_NO_UNIT_WORDS = """
or and not no nor is isn are was be to than except from if but else minus plus times over divided by wrong incorrect
false between less more fewer least most greater below above negative half third quarter hundred thousand million
billion trillion dozen mod pi sin cos tan log ln exp
"""
_NO_UNITS = frozenset(_NO_UNIT_WORDS.split())
_NEGATING_WORDS = "not no nor never if unless except but wrong incorrect false or than isn hardly"
_CHANGES_MEANING = frozenset(_NEGATING_WORDS.split())
_MAX_LEAD_INS = 3
_MAGNITUDES = {"hundred": "00", "thousand": "000", "million": "000000", "billion": "0" * 9, "trillion": "0" * 12}
_UNIT_SPELLINGS = {
    "mm": "millimeter millimetre", "cm": "centimeter centimetre", "m": "meter metre", "km": "kilometer kilometre",
    "in": "inch inches", "ft": "foot feet", "yd": "yard", "mi": "mile", "g": "gram gm", "kg": "kilogram",
    "mg": "milligram", "lb": "pound", "oz": "ounce", "l": "liter litre", "ml": "milliliter millilitre",
    "gal": "gallon", "s": "second sec", "ms": "millisecond", "min": "minute", "h": "hour hr", "day": "day",
    "week": "week", "month": "month", "year": "year yr", "usd": "dollar buck", "cent": "cent", "eur": "euro",
    "degree": "degree deg", "radian": "radian rad", "mph": "mph", "kph": "kph", "n": "newton", "j": "joule",
    "w": "watt", "v": "volt", "pa": "pascal", "hz": "hertz", "k": "kelvin",
}  # fmt: skip
_KNOWN_UNITS = {spelling: unit for unit, others in _UNIT_SPELLINGS.items() for spelling in [unit, *others.split()]}
_POWER = r"(?: ?\^ ?(?:\{ ?-?\d ?\}|\d))?"
_UNIT_TAIL = re.compile(rf"(?:\\text\{{[^{{}}]*\}}{_POWER}[ /.]*|\\cdot ?|/ ?)+")
_BARE_TAIL = re.compile(rf" ?([A-Za-z]{{2,24}}(?:[ /][A-Za-z]{{1,24}}){{0,3}}{_POWER})$")
_DEGREES = re.compile(r" ?\^ ?\\circ ?(?:[CF]|\\text\{ ?[CF] ?\})?$")
_CURRENCY = "€£¥₹₽"
_MAX_TAIL = 120


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


def split_unit(text: str) -> tuple[str, str]:
    """A cleaned answer as value and unit; the unit is empty if there is none."""
    text = text.strip(_CURRENCY + " ")
    if degrees := _DEGREES.search(text, max(0, len(text) - _MAX_TAIL)):
        value = text[: degrees.start()].strip()
        return (value, "degree") if _is_number(value) else (text, "")
    start = text.find("\\text{")
    if start > 0 and len(text) - start <= _MAX_TAIL and _UNIT_TAIL.fullmatch(text, start):
        value, unit = text[:start].rstrip().removesuffix("\\cdot").rstrip(), text[start:]
        return (value, _canonical(unit)) if _may_be_unit(unit) and value else (text, "")
    if tail := _BARE_TAIL.search(text, max(0, len(text) - _MAX_TAIL)):
        value, unit = text[: tail.start()].strip(), tail.group(1)
        if not value or not (value[-1].isalnum() or value[-1] in ")}.%") or not _may_be_unit(unit):
            return text, ""
        if _is_number(value) or (_canonical(unit) in _UNIT_SPELLINGS and tail.group().startswith(" ")):
            return value, _canonical(unit)
    return text, ""


def with_magnitude(text: str) -> str:
    """ "5 million" as "5000000"; anything else as it is."""
    match = re.fullmatch(r"(-?\d[\d,]*)(?:\.(\d+))? ?(?:\\text\{ ?)?([a-z]+) ?\}?", text)
    if not match or match.group(3) not in _MAGNITUDES:
        return text
    whole, decimals, zeros = match.group(1).replace(",", ""), match.group(2) or "", _MAGNITUDES[match.group(3)]
    if len(decimals) > len(zeros):
        return text
    return whole + decimals + zeros[len(decimals) :]


def units_clash(one: str, other: str) -> bool:
    """Whether both are known units, and not the same."""
    if not one or not other or one == other:
        return False
    return _base_unit(one) in _UNIT_SPELLINGS and _base_unit(other) in _UNIT_SPELLINGS


def _base_unit(unit: str) -> str:
    return unit.partition("^")[0]


def _whole_text_group(text: str) -> str | None:
    match = re.fullmatch(r"\\text\{([^{}]*)\}\.?", text)
    return match.group(1).strip() if match else None


def _words(unit: str) -> list[str]:
    return re.findall(r"[a-z]+", unit.replace("\\text", " ").replace("\\cdot", " ").lower())


def _may_be_unit(unit: str) -> bool:
    words = _words(unit)
    return 0 < len(words) <= 4 and not any(word in _NO_UNITS for word in words)


def _canonical(unit: str) -> str:
    """One spelling of a unit: ``cm^2`` for "square centimeters"; words it does not know as they are."""
    words = _words(unit)
    power = re.search(r"\^ ?\{? ?(-?\d)", unit)
    exponent = power.group(1) if power else ""
    if words[0] in ("square", "sq", "cubic", "cu"):
        exponent = "2" if words[0] in ("square", "sq") else "3"
        words = words[1:]
    known = [_KNOWN_UNITS.get(word) or _KNOWN_UNITS.get(word.removesuffix("s"), word) for word in words]
    return " ".join(known) + (f"^{exponent}" if exponent not in ("", "1") else "")


def _is_number(text: str) -> bool:
    try:
        return read_number(text) is not None
    except TooLargeError:
        return False
