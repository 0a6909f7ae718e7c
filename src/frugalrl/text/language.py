"""Is a sentence in the target language? And the language-consistency reward made of it.

Decisions:
- Scripts decide first: two Han, Kana or Hangul letters, or four of another script, make a sentence foreign to
  a language not written in it. Greek letters count as mathematics unless whole words are Greek.
- English sentences are passed by their function words without asking the identifier: that is what most
  sentences are, and it takes a microsecond.
- Only a confident word of the identifier makes a sentence foreign; sentences of under 20 letters are joined
  with their neighbours, and what stays short is "unknown": no verdict rather than a false one.

The identifier is an argument, so that this module stays pure: see `language_id.py`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from frugalrl.text.english import english_share, has_foreign_run, kind_of
from frugalrl.text.prose import sentences_of, without_names
from frugalrl.text.scripts import COMPACT_SCRIPTS, script_counts, scripts_of_language

Identify = Callable[[str], tuple[str, float]]
"""A sentence in, its ISO 639-1 language and the probability of that out."""
SentenceLabel = Literal["target", "foreign", "unknown"]

MIN_LETTERS = 20
"""Below it the identifier often guesses (measured on 160 sentences of ten languages)."""
FEWEST_LETTERS = 14
SURE = 0.95
"""Below `MIN_LETTERS`, but not below `FEWEST_LETTERS`, only this probability makes a sentence foreign."""
MIN_PROBABILITY = 0.5
"""Of a foreign label: below it stand terse lines of mathematics."""
MIN_DISTINCT_WORDS = 4
"""A foreign label on fewer is mostly one English noun many times over."""
CONFIDENT = 0.8
"""Enough for a sentence that names make up most of."""
ENGLISH_ENOUGH = 0.5
"""Share of English words among those that say anything, from which on a sentence without a foreign run is English."""
_GREEK = "\u0370-\u03ff\u1f00-\u1fff"
_ACCENTED_GREEK = "\u0386\u0388-\u038f\u03ac-\u03af\u03ca-\u03ce\u1f00-\u1fff"
_GREEK_WORD = re.compile(
    f"[{_GREEK}]{{2,}}[{_ACCENTED_GREEK}]|[{_ACCENTED_GREEK}][{_GREEK}]{{2,}}"
    f"|[{_GREEK}][{_ACCENTED_GREEK}][{_GREEK}]|[{_GREEK}]{{7,}}"
)
"""A word and not a product of variables: three letters and an accent, or seven letters."""
_HEBREW_WORD = re.compile("[\u05d0-\u05ea]{2,}")


def language_code(text: str) -> str:
    """An ISO 639-1 code as it stands. Raises ValueError for anything of another form, such as "English".

    No sentence would ever be in a language of that name, and the reward would be 0 without a word.
    """
    if re.fullmatch("[a-z]{2}", text) is None:
        raise ValueError(f"target_language must be an ISO 639-1 code such as en or zh, not {text!r}")
    return text


def language_fraction(text: str, identify: Identify, target_language: str = "en") -> float | None:
    """The share of judged sentences that are in the target language; None if there is none to judge.

    None and not 1 for a text without prose: a policy must not be paid for writing formulas only.
    """
    labels = [label for _, label in label_sentences(text, identify, target_language) if label != "unknown"]
    return labels.count("target") / len(labels) if labels else None


def language_reward(fraction: float | None, strict: bool = False) -> float | None:
    """The share of sentences in the target language, or 1 only if all of them are (`strict`).

    The strict form is the one that reached full consistency at 1.5B (M-Thinker, arXiv 2510.07300). None stays
    None. Raises ValueError if `fraction` is not within 0..1.
    """
    if fraction is None:
        return None
    if not 0.0 <= fraction <= 1.0:
        raise ValueError("a share of sentences lies within 0..1")
    return float(fraction == 1.0) if strict else fraction


def label_sentences(text: str, identify: Identify, target_language: str = "en") -> Iterator[tuple[str, SentenceLabel]]:
    """Each stretch of prose with its label, in order; stretches are sentences, short ones joined."""
    for stretch in _stretches(sentences_of(text)):
        yield stretch, _label(stretch, identify, target_language)


def _stretches(sentences: Sequence[str]) -> Iterator[str]:
    waiting = ""
    for sentence in sentences:
        compact = not sentence.isascii() and any(script in COMPACT_SCRIPTS for script in script_counts(sentence))
        if len(sentence) >= MIN_LETTERS or compact:
            yield sentence
            continue
        waiting = f"{waiting} {sentence}".strip()
        if len(waiting) >= MIN_LETTERS * 1.5:
            yield waiting
            waiting = ""
    if waiting:
        yield waiting


def _label(sentence: str, identify: Identify, target: str) -> SentenceLabel:
    own_scripts = scripts_of_language(target)
    counts = script_counts(sentence)
    if _is_of_foreign_script(sentence, counts, own_scripts):
        return "foreign"
    if own_scripts & COMPACT_SCRIPTS and any(counts.get(script, 0) >= 2 for script in own_scripts):
        return "target"
    letters = sum(counts.values())
    if target == "en":
        return _label_of_english(sentence, letters, identify)
    if letters < FEWEST_LETTERS:
        return "unknown"
    language, probability = identify(sentence.lower())
    if language == target:
        return "target"
    needed = MIN_PROBABILITY if letters >= MIN_LETTERS else SURE
    doubtful = probability < needed or len(set(sentence.lower().split())) < MIN_DISTINCT_WORDS
    return "unknown" if doubtful or not _stays_foreign(sentence, probability, identify, target) else "foreign"


def _label_of_english(sentence: str, letters: int, identify: Identify) -> SentenceLabel:
    words = sentence.split()
    kinds = [kind_of(word, at == 0) for at, word in enumerate(words)]
    if has_foreign_run(words, kinds, identify):
        return "foreign"
    if letters < FEWEST_LETTERS:
        return "unknown"
    known = english_share(kinds) >= ENGLISH_ENOUGH and kinds.count("english") >= 2
    return "target" if known or identify(sentence.lower())[0] == "en" else "unknown"


def _stays_foreign(sentence: str, probability: float, identify: Identify, target: str) -> bool:
    """Whether that holds without names; where too little is left to tell, only on a confident first word."""
    rest = without_names(sentence).lower()
    if len(rest) < MIN_LETTERS:
        return probability >= CONFIDENT
    language, again = identify(rest)
    return language != target and again >= 0.5


def _is_of_foreign_script(sentence: str, counts: Mapping[str, int], own_scripts: frozenset[str]) -> bool:
    if sentence.isascii():
        return False
    for script in counts:
        if script in own_scripts or script == "latin":
            continue
        if script == "greek":
            if _GREEK_WORD.search(sentence) is not None:
                return True
        elif script != "hebrew" or _HEBREW_WORD.search(sentence) is not None:
            return True
    return False
