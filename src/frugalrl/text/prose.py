"""The prose of a mathematical text: what is left for a language to be told by, sentence by sentence.

LaTeX, code, URLs, digits, symbols, single letters and names are taken out first, since all of them look
foreign to an identifier: on raw LaTeX the common ones fall from near 100 % to 61-81 %.

Decisions:
- Mathematics between dollars is dropped only if it reads like mathematics: two amounts of money must not
  swallow the sentence between them, nor may a policy hide one there. Words inside ``\\text{...}`` stay.
- Short words in capitals (ABC, GCD) go at once. Words that begin with a capital inside a sentence may be names
  (Cauchy, Poincaré, l'Hôpital) or German nouns: `without_names` takes them out for a second opinion.
"""

import re

# No pattern runs past the next opening of its own kind, so that a text of openings alone costs linear time.
_BLOCKS = re.compile(
    r"```.*?(?:```|\Z)|\[asy\](?:(?!\[asy\]).)*?\[/asy\]|`[^`\n]*`|https?://\S+|www\.\S+"
    r"|</?[A-Za-z_]{1,12}>|<<[^<>]*>>|\\(?:begin|end)\{[^{}]*\}(?:\[[^\[\]]*\]|\{[lcr|]*\})*",
    re.DOTALL,
)
_MATHS = re.compile(
    r"\$\$(.+?)\$\$|\\\[((?:(?!\\\[).)+?)\\\]|\\\(((?:(?!\\\().)+?)\\\)|\$((?:[^$\\]|\\.)+?)\$", re.DOTALL
)
_WORDS_IN_MATHS = re.compile(r"\\(?:text|mbox|textbf|textit|textrm|mathrm|hbox)\s*\{([^{}]*)\}")
_PROSE_IN_MATHS = re.compile(r"\b[^\W\d_]{2,40}(?:,? [^\W\d_]{2,40}){3}|[\u3041-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_COMMAND = re.compile(r"\\[A-Za-z]+\*?|\\.")
_SENTENCE_END = re.compile(r"(?<=[.!?:;])[\s)*]+|[。！？；：।؟]+|\n+")
_PARTICLES = frozenset({"de", "del", "della", "di", "von", "van", "der", "den", "la", "le", "l", "d"})
_POINTS = re.compile(r"\b[A-Z]{2,4}s?\b")
_VARIABLE = re.compile(
    "(?=.*[\u0391-\u03a9\u03b1-\u03c9\u03d0-\u03f5\u00b2\u00b3\u00b5\u00b9\u2070-\u209f\u2100-\u214f\U0001d400-\U0001d7ff])"
    "[A-Za-z\u0391-\u03a9\u03b1-\u03c9\u03d0-\u03f5\u00b2\u00b3\u00b5\u00b9\u2070-\u209f\u2100-\u214f\U0001d400-\U0001d7ff]{1,6}"
)
"""A letter of mathematics (Greek without an accent, blackboard, script), or a few of them, with indices."""
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_EMPTY = " "


def sentences_of(text: str) -> list[str]:
    """The sentences of a text without mathematics, code, digits and points; words with spaces between.

    Order is kept; a sentence without any word of two letters is left out.
    """
    plain = _COMMAND.sub(_EMPTY, _MATHS.sub(_without_maths, _BLOCKS.sub(_EMPTY, text)))
    sentences = []
    for part in _SENTENCE_END.split(plain):
        words = _NOT_LETTERS.sub(" ", _POINTS.sub(_EMPTY, part)).split()
        if not part.isascii():
            words = [word for word in words if word.isascii() or _VARIABLE.fullmatch(word) is None]
        kept = [word for word in words if len(word) > 1 or not word.isascii() or word in "aI"]
        if any(len(word) > 1 or not word.isascii() for word in kept):
            sentences.append(" ".join(kept))
    return sentences


def without_names(sentence: str) -> str:
    """A sentence of `sentences_of` without the words that begin with a capital inside it, and their particles."""
    words = sentence.split()
    named = [index > 0 and word[0].isupper() for index, word in enumerate(words)]
    kept = [
        word
        for index, word in enumerate(words)
        if not named[index] and not (word in _PARTICLES and any(named[index + 1 : index + 2]))
    ]
    return " ".join(kept)


def _without_maths(match: re.Match[str]) -> str:
    """Nothing, or the words: all of it when it is prose between two amounts of money."""
    inside = match[match.lastindex or 0]
    words = " ".join(_WORDS_IN_MATHS.findall(inside))
    bare = _COMMAND.sub(_EMPTY, _WORDS_IN_MATHS.sub(_EMPTY, inside))
    if _PROSE_IN_MATHS.search(bare):
        return f" {bare} {words} "
    return f" {words} " if len(words.split()) > 2 or not words.isascii() else _EMPTY
