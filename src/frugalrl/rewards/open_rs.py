"""Open-RS's rewards as released (commit 2889c47), with their bugs: for replicating its runs, not for new ones.

Each docstring says what is wrong, and a test pins it. New runs should use the rewards of the same names without the
prefix. Lengths here are in CHARACTERS, as in the original.

Beside `answers` this is the one module that calls math-verify, since the fault to reproduce is in how it was
called.
"""

import math
import re
from collections.abc import Sequence

from frugalrl.text.repetition import repetition_reward, words_of

_STEP = re.compile(r"(Step \d+:|^\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,)")


def open_rs_accuracy(completion: str, solution: str) -> float:
    """1 if math-verify calls the completion equal to the solution text, as released.

    Faults: a solution that cannot be parsed pays 1; the arguments of `verify`, which is not symmetric, are
    swapped; a box inside unfinished reasoning counts.

    solution: the data set's column, whose first LaTeX is the gold, e.g. ``"$\\\\frac{1}{2}$"``.
    """
    verdict = open_rs_verdict(completion, solution)
    return 1.0 if verdict is None else verdict


def open_rs_format(completion: str) -> float:
    """1 if ``\\n</think>\\n`` occurs exactly once. Fault: nothing else is checked, neither reasoning nor answer."""
    return 1.0 if completion.count("\n</think>\n") == 1 else 0.0


def open_rs_tag_count(completion: str) -> float:
    """Half for each think tag that occurs exactly once. Fault: the opening one is prefilled by the template."""
    return 0.5 * (completion.count("<think>\n") == 1) + 0.5 * (completion.count("\n</think>\n") == 1)


def open_rs_cosine(
    accuracy: float | None,
    length_chars: int,
    max_len: int = 1000,
    min_value_wrong: float = 0.0,
    max_value_wrong: float = -0.5,
    min_value_correct: float = 0.5,
    max_value_correct: float = 1.0,
) -> float:
    """The cosine reward with the defaults of the released command line.

    Faults: characters against a bound meant in tokens; no clamp, so that it rises again past `max_len`, with
    period ``2 * max_len``; the defaults for wrong answers are swapped, so a long wrong answer loses most; a
    gold that cannot be parsed (`accuracy` None) pays 1. Raises ValueError if `max_len` is not positive.
    """
    if max_len < 1:
        raise ValueError("max_len must be at least 1")
    if accuracy is None:
        return 1.0
    cosine = math.cos(math.pi * length_chars / max_len)
    low, high = (min_value_correct, max_value_correct) if accuracy else (max_value_wrong, min_value_wrong)
    return low + 0.5 * (high - low) * (1.0 + cosine)


def open_rs_length(correct: Sequence[bool], lengths_chars: Sequence[int]) -> list[float]:
    """Kimi's length reward over whatever is passed. Fault: released, that was the batch, not the group.

    A batch of several prompts rewards the prompt whose answers are short, whatever the model does.
    """
    shortest, longest = min(lengths_chars, default=0), max(lengths_chars, default=0)
    if shortest == longest:
        return [0.0] * len(lengths_chars)
    shares = [0.5 - (length - shortest) / (longest - shortest) for length in lengths_chars]
    return [share if right else min(0.0, share) for share, right in zip(shares, correct, strict=True)]


def open_rs_repetition(completion: str, ngram_size: int = 3, max_penalty: float = -1.0) -> float:
    """Repeated n-grams of words between white space. Fault: Chinese has none, so its loops are free."""
    return repetition_reward(words_of(completion), ngram_size, max_penalty)


def open_rs_reasoning_steps(completion: str) -> float:
    """Marked steps over 3, at most 1. Fault: numbered lists count at the start of the text only."""
    return min(1.0, len(_STEP.findall(completion)) / 3)


def open_rs_verdict(completion: str, solution: str) -> float | None:
    """`open_rs_accuracy`, but None where the solution cannot be parsed: what the released cosine branches on."""
    gold = _parse(solution, lenient=True)
    if not gold:
        return None
    return 1.0 if _equal(_parse(completion, lenient=False), gold) else 0.0


def _parse(text: str, lenient: bool) -> list[object]:
    import math_verify
    from latex2sympy2_extended import NormalizationConfig

    if lenient:
        config = math_verify.LatexExtractionConfig()
    else:
        normalization = NormalizationConfig(
            nits=False, malformed_operators=False, basic_latex=True, equations=True, boxed="all", units=True
        )
        config = math_verify.LatexExtractionConfig(
            normalization_config=normalization, boxed_match_priority=0, try_extract_without_anchor=False
        )
    return list(math_verify.parse(text, extraction_mode="first_match", extraction_config=[config]))


def _equal(answer: list[object], gold: list[object]) -> bool:
    import math_verify

    try:
        return bool(math_verify.verify(answer, gold))
    except Exception:  # as released: whatever math-verify raised was a wrong answer
        return False
