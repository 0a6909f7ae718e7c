"""Golds in words that state no answer: "see figure", "proof", "answers may vary".

Such a gold is compared word by word and would accept a completion that repeats it. Words that are answers stay: "no
solution", "undefined", "infinitely many", a name, a colour.
"""

import re

from frugalrl.verify.maths.latex_text import bare_text

_POINTERS = re.compile(
    r"\b(?:see|refer to|as shown|shown (?:in|above|below)|given (?:above|below)|(?:above|below|attached)$|omitted|"
    r"left (?:to|as)|look at)\b",
    re.IGNORECASE,
)
_PROOFS = re.compile(
    r"^(?:the )?(?:proofs?|q ?e ?d|proved|proven|shown|verified|demonstrated|derivation|construction|explanation|"
    r"sketch|diagram|figure|graph|drawing|picture|table)\b.{0,24}$|\b(?:to be proved|prove that|show that|is proved|"
    r"is proven|proof (?:is|by|of|above|below|complete|omitted|required))\b",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\b(?:answers?|results?|solutions?|responses?) (?:may|might|can|will)? ?(?:vary|varies|differ)\b|^varies$|"
    r"^(?:open[- ]ended|sample (?:answer|response).*|not (?:given|available|provided|applicable|stated|found)|unknown|"
    r"tbd|todo|n ?a|nan|null|missing|no answer(?: (?:given|provided|available))?|answer|solution|see)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"^(?:(?:b )?see )?(?:figure|fig|diagram|table|graph|page|appendix|section|equation) ?[\d.]+$")
_PLACEHOLDERS = frozenset(("?", "??", "???", "-", "--", "...", "/", "n/a", "#n/a", "<na>", "tbd"))
_MOST_WORDS = 12
"""Of a gold in words that can still be a value: beyond it, no completion will repeat it."""


def states_no_answer(gold: str) -> str | None:
    """Why a gold in words is no answer; None if it may be one. Golds with digits or operators are not looked at."""
    plain = gold.strip()
    if plain.lower() in _PLACEHOLDERS:
        return "it is a placeholder"
    words = bare_text(plain).strip(" .")
    if _NUMBERED.search(words):
        return "it points to something that is not in it"
    if not words or re.search(r"[\d=<>^]", words):
        return None
    if _PROOFS.search(words):
        return "it speaks of a proof or a figure and states no answer"
    if _POINTERS.search(words):
        return "it points to something that is not in it"
    if _OPEN.search(words):
        return "it says that there is no one answer"
    if len(words.split()) > _MOST_WORDS and "\\" not in plain:
        return f"it is a text of {len(words.split())} words, which no completion repeats"
    return None
