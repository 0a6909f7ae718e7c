"""Numbers in a stated base: ``101_2``, ``1A_{16}``, "101 base two". The base is part of the number."""

import re
from dataclasses import dataclass
from fractions import Fraction

_NAMES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "sixteen": 16, "binary": 2, "octal": 8, "decimal": 10, "hex": 16, "hexadecimal": 16,
}  # fmt: skip
_DIGITS = r"(?P<digits>[-+]?[0-9A-Za-z]{1,64}(?:\.[0-9A-Za-z]{1,64})?)"
_BASE = r"(?P<{name}>-?\d{{1,3}}|[A-Za-z]{{1,11}})"
_SUBSCRIPT = re.compile(
    rf"[({{]?{_DIGITS}[)}}]? ?_ ?(?:\{{ ?(?:base )?\(?{_BASE.format(name='group')}\)? ?\}}|{_BASE.format(name='bare')})"
)
_IN_WORDS = re.compile(rf"{_DIGITS} ?\(?(?:in )?base ?[-_]? ?{_BASE.format(name='group')}\)?", re.IGNORECASE)
_TEXT_GROUP = re.compile(r"\\text ?\{([^{}]*)\}")
_MAX_CHARS = 200


@dataclass(frozen=True)
class BasedNumber:
    """Digits with their base, as written."""

    digits: str
    """Without leading zeros, in lower case."""
    base: str
    """A number in digits, or a letter."""

    @property
    def value(self) -> Fraction | None:
        """What it stands for; None in a base that is no number, or with digits that the base does not have."""
        whole, _, decimals = self.digits.partition(".")
        try:
            base = int(self.base)
            return Fraction(int(whole + decimals, base)) / Fraction(base) ** len(decimals)
        except ValueError:
            return None


def read_based(text: str) -> BasedNumber | None:
    """A cleaned text as a number in a base; None for anything else, a variable with an index among it."""
    if len(text) > _MAX_CHARS or ("_" not in text and "base" not in text.lower()):
        return None
    plain = re.sub(r" {2,}", " ", _TEXT_GROUP.sub(r" \1 ", text)).strip()
    plain = plain.replace("{ ", "{").replace(" }", "}").replace("( ", "(").replace(" )", ")")
    found = _SUBSCRIPT.fullmatch(plain) or _IN_WORDS.fullmatch(plain)
    if found is None:
        return None
    groups = found.groupdict()
    name = (groups.get("group") or groups.get("bare") or "").lower()
    base = str(_NAMES.get(name, name))
    digits = found.group("digits").lower().removeprefix("+")
    sign = "-" if digits.startswith("-") else ""
    number = BasedNumber(sign + (digits.lstrip("-0") or "0"), base)
    if base.lstrip("-").isdigit():
        is_plain = digits.lstrip("-").replace(".", "").isdigit()
        return number if number.value is not None or is_plain else None
    return number if len(base) == 1 and digits.lstrip("-").isdigit() else None
