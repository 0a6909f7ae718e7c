"""Does a stretch of words in Latin script, out of an English text, belong to another language?

An identifier alone guesses on the fragments that reasoning models write ("Side lengths.", "Vertex form."), and
one guess in a thousand is too many where a completion has hundreds of them. So it is asked only about words that
are not English, and believed only as far as frequent words of other languages bear it out.

Decisions:
- A run is what stands between two English words. Shared words, names and abbreviations neither break it nor
  count. Three foreign words make it worth asking about, or two, each of which is frequent in another language.
- The fewer of its words are known to be foreign, the more sure the identifier must be: `_needed`.

Not covered: fewer foreign words than that in Latin script, and foreign sentences made of shared words alone.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from frugalrl.text.vocabulary import ENGLISH, FOREIGN, SHARED

WordKind = Literal["english", "foreign", "unknown", "neutral"]

_ENGLISH_FORM = re.compile(
    r"(?:\w{2}ings?|\wights?|ness|less|ful|\w{2}ly|\w{4}ed|it(?:y|ies)|wards?|wise|\w{2}ths?|\w{3}ous|\w{4}sh(?:es)?)$|^wh"
)
_ACCENTED = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_NO_VOWEL = re.compile("[^aeiouy\u00c0-\u1eff]+")
_SHORTEST = 3
"""Letters of a word that is in no list: two are an abbreviation or the product of two variables."""


_LONG_ENOUGH = 4
"""Letters of the longest word of a run: "det(ei - fh)" is a run of short ones."""


def kind_of(word: str, first: bool) -> WordKind:
    """What a word of `sentences_of` says. first: it begins the sentence, so its capital means nothing."""
    lower = word.lower()
    if lower in ENGLISH:
        return "english"
    if lower in SHARED or (word[0].isupper() and not first) or word.isupper():
        return "neutral"
    if lower in FOREIGN:
        return "foreign"
    if _ENGLISH_FORM.search(lower) or _is_plural(lower):
        return "english"
    if len(lower) < _SHORTEST or _NO_VOWEL.fullmatch(lower):
        return "neutral"
    return "unknown"


def _is_plural(lower: str) -> bool:
    """Of an English word; of a shared one it would be French or Spanish as well."""
    return lower.endswith("s") and (lower[:-1] in ENGLISH or (lower.endswith("es") and lower[:-2] in ENGLISH))


def english_share(kinds: Sequence[WordKind]) -> float:
    """Of the words that say anything, those that are English; 0 without any."""
    telling = sum(kind != "neutral" for kind in kinds)
    return kinds.count("english") / telling if telling else 0.0


def has_foreign_run(
    words: Sequence[str], kinds: Sequence[WordKind], identify: Callable[[str], tuple[str, float]]
) -> bool:
    """Whether a run of words between English ones, or all of a hardly English sentence, is in another language."""
    if kinds.count("unknown") + kinds.count("foreign") < 2:
        return False
    stretches = list(_runs(kinds))
    if len(stretches) > 1 and english_share(kinds) <= 0.3:
        stretches.append(range(len(kinds)))
    return any(_is_foreign([words[at] for at in run], [kinds[at] for at in run], identify) for run in stretches)


def _runs(kinds: Sequence[WordKind]) -> Iterator[range]:
    start = 0
    for at, kind in enumerate([*kinds, "english"]):
        if kind == "english":
            if at > start:
                yield range(start, at)
            start = at + 1


def _is_foreign(words: Sequence[str], kinds: Sequence[WordKind], identify: Callable[[str], tuple[str, float]]) -> bool:
    foreign = {word.lower() for word, kind in zip(words, kinds, strict=True) if kind == "foreign"}
    unknown = {word.lower() for word, kind in zip(words, kinds, strict=True) if kind == "unknown"}
    accented = sum(_ACCENTED.search(word) is not None for word in foreign | unknown)
    if not any(len(word) >= _LONG_ENOUGH for word in foreign | unknown):
        return False
    needed = _needed(len(foreign), len(unknown), accented, sum(map(len, foreign | unknown)))
    if needed is None:
        return False
    language, probability = identify(" ".join(words).lower())
    return language != "en" and probability >= needed


def _needed(foreign: int, unknown: int, accented: int, letters: int) -> float | None:
    """The least probability of another language that is believed; None: it is not asked at all.

    foreign, unknown, accented: distinct words that are frequent in another language, are in no list, carry an
    accent; letters: of all of them.
    """
    known = foreign + accented
    if foreign + unknown < 3 and known < 2:
        return None
    if foreign >= 3 or (foreign >= 2 and accented):
        return 0.2
    if foreign and (known >= 2 or foreign + unknown >= 3):
        return 0.5
    if accented:
        return 0.8
    return 0.9 if unknown >= 4 and letters >= 24 else None
