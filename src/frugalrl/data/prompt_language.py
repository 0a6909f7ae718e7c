"""The language of a problem: sentence by sentence, without its mathematics.

The identifier is an argument (`rewards.language_id.load_identifier` makes one). A text with too few letters of prose
is "unknown", and the caller should keep it: formulas belong to every language.
"""

from collections import Counter

from frugalrl.data.normalise import without_figures
from frugalrl.text.language import MIN_LETTERS, Identify, label_sentences
from frugalrl.text.prose import without_names
from frugalrl.text.scripts import COMPACT_SCRIPTS, script_counts

UNKNOWN = "unknown"
MIN_PROBABILITY = 0.5


def prompt_language(text: str, identify: Identify, expected: str = "en") -> tuple[str, float]:
    """The language of most of a problem's letters (ISO 639-1) and its share of the judged letters, 0..1.

    expected: the language that terse sentences of mathematics are given the benefit of the doubt for. Returns
    ("unknown", 0.0) where there is too little prose to tell.
    """
    letters: Counter[str] = Counter()
    for sentence, label in label_sentences(without_figures(text), identify, expected):
        if label == "target":
            letters[expected] += _weight(sentence)
        elif label == "foreign":
            letters[_foreign(sentence, identify, expected)] += _weight(sentence)
    letters.pop(UNKNOWN, None)
    judged = sum(letters.values())
    if judged < MIN_LETTERS:
        return UNKNOWN, 0.0
    language, count = max(letters.items(), key=lambda item: (item[1], item[0] == expected, item[0]))
    return language, count / judged


def _foreign(sentence: str, identify: Identify, expected: str) -> str:
    """The language of a sentence that is not in the expected one; unknown where the identifier does not agree."""
    language, probability = identify(without_names(sentence).lower() or sentence.lower())
    return language if language != expected and probability >= MIN_PROBABILITY else UNKNOWN


def _weight(sentence: str) -> int:
    """Letters, those of compact scripts twice."""
    counts = script_counts(sentence)
    return sum(count * (2 if script in COMPACT_SCRIPTS else 1) for script, count in counts.items())
