"""Which scripts the letters of a text belong to, by Unicode block."""

import re
from collections.abc import Mapping

_BLOCKS: dict[str, str] = {
    "latin": "A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "cyrillic": "\u0400-\u052f",
    "hebrew": "\u05d0-\u05ea",
    "arabic": "\u0620-\u064a\u066e-\u06d3\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc",
    "indic": "\u0900-\u0dff",
    "thai": "\u0e01-\u0e2e\u0e40-\u0e44",
    "georgian_armenian": "\u10a0-\u10ff\u0531-\u0587",
    "hangul": "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\uffa0-\uffdc",
    "kana": "\u3041-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "han": "\u2e80-\u2fd5\u3005-\u3007\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af",
    "other": "\u0700-\u074f\u0780-\u07ff\u0840-\u08ff\u0e81-\u0edf\u0f40-\u0fbc\u1000-\u109f\u1200-\u139f\u13a0-\u18af"
    "\u1900-\u1cff\u2d00-\u2dff\ua000-\ua4ff\ua500-\ua6ff\ua800-\ua95f\ua980-\uabff",
}
SCRIPTS: tuple[str, ...] = tuple(_BLOCKS)
_PATTERNS = {script: re.compile(f"[{block}]") for script, block in _BLOCKS.items()}

_NOT_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())

COMPACT_SCRIPTS = frozenset({"han", "kana", "hangul"})
"""Two letters of these say as much as a word of the others."""

_OF_LANGUAGE: dict[str, frozenset[str]] = {
    "zh": frozenset({"han"}),
    "ja": frozenset({"han", "kana"}),
    "ko": frozenset({"hangul", "han"}),
    **{language: frozenset({"cyrillic"}) for language in ("ru", "uk", "bg", "sr", "kk")},
    **{language: frozenset({"arabic"}) for language in ("ar", "fa", "ur")},
    **{language: frozenset({"indic"}) for language in ("hi", "bn", "ta", "te", "mr")},
    "he": frozenset({"hebrew"}),
    "th": frozenset({"thai"}),
    "el": frozenset({"greek"}),
}


def script_counts(text: str) -> Mapping[str, int]:
    """Letters by script, those that occur only; accents count with their letters, other symbols not at all."""
    if text.isascii():
        latin = len(text.encode("ascii").translate(None, _NOT_LETTERS))
        return {"latin": latin} if latin else {}
    counts = {script: len(pattern.findall(text)) for script, pattern in _PATTERNS.items()}
    return {script: count for script, count in counts.items() if count}


def scripts_of_language(language: str) -> frozenset[str]:
    """The scripts an ISO 639-1 language is written in; Latin for all that are not listed."""
    return _OF_LANGUAGE.get(language, frozenset({"latin"}))
