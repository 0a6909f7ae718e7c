"""Times of day: "5:30 p.m.", "17:30", "noon". A morning is never an evening."""

import re
from dataclasses import dataclass

_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))? ?(?:([ap])\.? ?m\.?|(o'? ?clock))?(?: (?:noon|midnight))?", re.IGNORECASE)
_NAMED = {"noon": 12, "midnight": 0, "12 noon": 12, "12 midnight": 0}
_TEXT_GROUP = re.compile(r"\\text ?\{([^{}]*)\}")
_MAX_CHARS = 60


@dataclass(frozen=True)
class Clock:
    """A time of day as it was written."""

    hour: int
    minute: int
    half: str
    """``"a"``, ``"p"``, ``"24"`` where the hour itself says it, or empty."""

    @property
    def minutes(self) -> int:
        """Since midnight, or since either twelve where the half is not said."""
        if self.half == "24":
            return self.hour * 60 + self.minute
        return (self.hour % 12 + (12 if self.half == "p" else 0)) * 60 + self.minute


def read_clock(text: str) -> Clock | None:
    """A cleaned text as a time of day; a bare number is none, and neither is a ratio."""
    if len(text) > _MAX_CHARS:
        return None
    plain = re.sub(r" {2,}", " ", _TEXT_GROUP.sub(r" \1 ", text)).strip().removesuffix("time").strip(" ")
    if plain.lower().strip(".") in _NAMED:
        return Clock(_NAMED[plain.lower().strip(".")], 0, "24")
    plain = re.sub(r" ?: ?", ":", plain)
    found = _TIME.fullmatch(plain)
    if found is None or not (found.group(2) or found.group(3) or found.group(4)):
        return None
    hour, minute = int(found.group(1)), int(found.group(2) or 0)
    half = (found.group(3) or "").lower()
    if hour > 24 or minute > 59:
        return None
    return Clock(hour, minute, "24" if hour > 12 or hour == 0 else half)


def same_clock(answer: Clock, gold: Clock) -> bool:
    """Whether two times may be the same: a half of the day that one side leaves away is not asked for."""
    if answer.half and gold.half:
        return answer.minutes % (24 * 60) == gold.minutes % (24 * 60)
    return answer.minutes % (12 * 60) == gold.minutes % (12 * 60)


def same_hour(clock: Clock, number: str) -> bool:
    """Whether a bare number is the full hour of a time that says its half of the day: 5 for "5 p.m."."""
    return clock.minute == 0 and number.isdecimal() and clock.half in ("a", "p") and int(number[:3]) == clock.hour
