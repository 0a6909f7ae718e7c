"""How much of a sequence repeats itself, as a fraction and as a penalty."""

from collections.abc import Hashable, Sequence


def repeated_ngram_fraction(items: Sequence[Hashable], ngram_size: int) -> float:
    """``1 - distinct / all`` of the n-grams of words, tokens or characters; 0 when there is none.

    Raises ValueError if `ngram_size` is not positive.
    """
    if ngram_size < 1:
        raise ValueError("ngram_size must be at least 1")
    count = len(items) - ngram_size + 1
    if count < 1:
        return 0.0
    return 1.0 - len(set(zip(*(items[start:] for start in range(ngram_size)), strict=False))) / count


def repetition_reward(items: Sequence[Hashable], ngram_size: int = 3, max_penalty: float = -1.0) -> float:
    """A penalty in ``max_penalty..0``, proportional to the repeated n-grams (arXiv 2502.03373, appendix C.2).

    Raises ValueError if `max_penalty` is positive or `ngram_size` is not.
    """
    if max_penalty > 0:
        raise ValueError("max_penalty must not be positive: repetition is never paid")
    return repeated_ngram_fraction(items, ngram_size) * max_penalty


def words_of(text: str) -> list[str]:
    """Lower-case words between white space, as the released rewards count them."""
    return text.lower().split()
