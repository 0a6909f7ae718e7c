"""Answers in words, and choices by their letter. Words are compared, never computed."""

import re

from frugalrl.verify.maths.latex_text import bare_text
from frugalrl.verify.maths.phrases import strip_lead_in

_CHOICE_OF_GOLD = re.compile(r"([A-J])[.:]?|\(([A-Ja-j])\)[.:]?(?: .+)?|([A-J])[.:)] .+")
_CHOSEN = re.compile(
    r"(?:(?:option|choice|answer) )?(?:[(\[] ?([A-J]) ?[)\]][.:]?|([A-J])(?=[.:)]|$| is )[.:)]?)"
    r"(?P<tail>(?: .*|[^\w ].*|[^\W_].*)?)",
    re.IGNORECASE,
)
_CONFIRMING = re.compile(
    r"(?:is|must be|has to be)(?: the)?(?: only)?(?: correct| right)?(?: answer| option| choice)?\.?", re.IGNORECASE
)
_REJECTING = re.compile(
    r"[\s,;:.!?\[(\-]*(?:(?:is|was|are|be|being)\b|isn|wasn|can\b|cannot|can't|could|would|should|must|may|might|has\b|"
    r"seems|looks|and\b|or\b|but\b|not\W*$|nor\b|then\b|also\b|plus\b|maybe|perhaps|possibly|instead|rather|unless|except|"
    r"wrong|incorrect|rejected|eliminated|excluded|ruled out|impossible\W*$|[/&+|]|->|\\to\b|\\ne\b)",
    re.IGNORECASE,
)
_JOINING = (
    "or|and|also|but|is|it's|actually|rather|maybe|perhaps|option|choice|answer|not|then|so|plus|nor|though|no|yet"
)
_OTHER_CHOICE = re.compile(
    rf"[(\[] ?([A-J]) ?[)\]]|(?:\b(?:{_JOINING})\b:?|[,;/&+:]|->) ?\(?([A-J])(?![A-Za-z'’]| [a-z])"
    r"|\b([A-J]) (?:is|was|too|as well|also|instead)\b"
)
"""Another letter that is named as a choice; "and A triangle" names none."""
_FUNCTION_NAMES = """sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan log ln exp lim max min sup inf gcd
    lcm det sqrt frac arg deg dim ker mod"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_LONG_WORD = re.compile(r"(?<![\\A-Za-z])(?!sqrt|log|arc|infty|theta)[A-Za-z]{5,}")
_TEXT_GROUP = re.compile(r"\\text ?\{([^{}]*)\}")


def choice_letter(gold: str) -> str | None:
    """The letter of a cleaned gold that is a choice: ``A``, ``(d)``, ``(B) Paris``; None for any other gold."""
    choice = _CHOICE_OF_GOLD.fullmatch(_without_groups(gold))
    return next(group for group in choice.groups() if group).upper() if choice else None


def choice_text(gold: str) -> str:
    """The text after the letter of a gold that is a choice: "Paris" of "(B) Paris"."""
    return re.sub(r"^\(?[A-Ja-j][).:]{1,2} ?", "", _without_groups(gold)) if len(gold) > 3 else ""


def chooses(answer: str, letter: str) -> bool:
    """Whether an answer picks one choice, and this one. The letter decides, not the words behind it.

    A letter that is taken back ("(B) is wrong"), doubled ("(B) and also C") or one of several picks nothing.
    """
    plain = strip_lead_in(_without_groups(answer).strip(" ."))
    chosen = _CHOSEN.fullmatch(plain)
    if not chosen or (chosen.group(1) or chosen.group(2)).upper() != letter:
        return False
    tail = chosen.group("tail").strip()
    if not tail or _CONFIRMING.fullmatch(tail):
        return True
    others = {next(group for group in found.groups() if group) for found in _OTHER_CHOICE.finditer(tail)}
    is_bare_letter = re.fullmatch(r"\W*[A-J]\W*", tail) is not None
    return not _REJECTING.match(tail) and others <= {letter} and not is_bare_letter


def names_choice(answer: str) -> bool:
    """Whether an answer begins with the letter of some choice."""
    return _CHOSEN.fullmatch(strip_lead_in(_without_groups(answer).strip(" ."))) is not None


def is_text(text: str) -> bool:
    """Whether a value is words: a ``\\text`` group, or letters that are not a plausible product."""
    outside = _TEXT_GROUP.sub(" ", text)
    if any(re.search(r"[^\W\d_]{2}", group) for group in _TEXT_GROUP.findall(text)):
        return not re.search(r"[\d\\=+*/^<>]", outside)
    if re.search(r"[\d\\=+*/^<>{}_|]", outside):
        return False
    return any(_is_word(word) for word in re.findall(r"[^\W\d_]+", outside))


def holds_words(text: str) -> bool:
    """Whether words are left in what should be a value: "5 is wrong" is not 5."""
    return is_text(text) or re.search(r"\\text ?\{[^{}]*[^\W\d_]", text) is not None


def holds_long_word(text: str) -> bool:
    """Whether a word among digits makes this a text: "October 30"."""
    return _LONG_WORD.search(re.sub(r"\\[A-Za-z]+ ?\{[A-Za-z]*\}", "", text)) is not None


def same_words(answer: str, gold: str) -> bool:
    """Whether two texts hold the same words, whatever their case and punctuation."""
    words = bare_text(answer)
    return bool(words) and words == bare_text(gold)


def _without_groups(text: str) -> str:
    return re.sub(r" {2,}", " ", _TEXT_GROUP.sub(r"\1", text).replace("*", "")).strip()


def _is_word(word: str) -> bool:
    if word.lower() in _FUNCTIONS:
        return False
    return len(word) >= 4 or (len(word) == 3 and any(char in "eiouEIOU" for char in word))
