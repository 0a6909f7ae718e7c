r"""The options of a multiple-choice problem: where they begin in its text.

Options are at least three markers A, B, C in order, each followed by text: ``(A)``, ``\textbf{(A)}``, ``A)``,
``A.`` or ``A:``. Points A, B, C of a figure have no marker, and ``(A)`` alone is a reference. Markers without brackets
count only at the start of a line or after white space, all of one kind.
"""

import re

from frugalrl.data.normalise import with_blank_figures

_FONT = r"\\(?:text|textbf|textrm|mathrm|mathbf|rm|bf)\s*\{{?\s*"
_WRAPPED = rf"(?<![A-Za-z0-9])(?:{_FONT})*\(\s*(?:{_FONT})*{{0}}\s*\}}}}*\s*\)"
_KINDS = (
    _WRAPPED,
    r"(?:(?<=[\n\s$])|^)(?:\\(?:text|textbf|mathrm|bf|rm)\s*\{{?\s*)?{0}\s?\)",
    r"(?:(?<=\n)|(?<=\s\s)|(?<=[?.:$]\s)|(?<=quad\s)|^)(?:\\(?:text|textbf|mathrm|bf|rm)\s*\{{?\s*)?{0}\s?\}}?[.:．、](?=\s?\S)",
    r"\[\s?{0}\s?\]",
)


def _in_order(kind: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(kind.format(letter)) for letter in "ABC")


_PATTERNS = tuple(map(_in_order, _KINDS))


def options_start(text: str) -> int | None:
    """The position of the options; None if the text has none."""
    if "A" not in text or "B" not in text or "C" not in text:  # every kind of marker contains one
        return None
    text = with_blank_figures(text)
    for first, *others in _PATTERNS:
        found = first.search(text)
        at = found.end() if found else None
        for other in others:
            following = other.search(text, at) if at is not None else None
            at = following.end() if following else None
        if found and at is not None:
            return found.start()
    return None
