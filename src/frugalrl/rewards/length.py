"""Length rewards, in tokens.

Decisions: every bound is in tokens of the policy and every curve is clamped at its bound; the group is the
unit of any normalisation, since only completions of one prompt are comparable in length.

Not covered: switching a length reward off while a group is mostly wrong. That is the gate of a rubric's term
(`gate_group_accuracy`), the same for all of them.
"""

import math
from collections.abc import Sequence


def cosine_reward(
    correct: bool,
    length_tokens: int,
    max_length_tokens: int,
    correct_at_zero: float = 1.0,
    correct_at_max: float = 0.5,
    wrong_at_zero: float = -0.5,
    wrong_at_max: float = 0.0,
) -> float:
    """Accuracy scaled by completion length on half a cosine (arXiv 2502.03373, used by Open-RS).

    Goes from ``*_at_zero`` at no tokens to ``*_at_max`` at `max_length_tokens`, and stays there: the released
    code counted characters against a bound meant in tokens and rose again past it. By default a short right
    answer earns most, and a long wrong one loses least. Raises ValueError if `max_length_tokens` is not positive.
    """
    if max_length_tokens < 1:
        raise ValueError("max_length_tokens must be at least 1")
    progress = min(length_tokens, max_length_tokens) / max_length_tokens
    at_zero, at_max = (correct_at_zero, correct_at_max) if correct else (wrong_at_zero, wrong_at_max)
    return at_max + 0.5 * (at_zero - at_max) * (1.0 + math.cos(math.pi * progress))


def group_length_rewards(correct: Sequence[bool], lengths_tokens: Sequence[int]) -> list[float]:
    """Kimi k1.5's length reward (arXiv 2501.12599, section 2.3.3) for the completions of ONE prompt.

    ``0.5 - (length - shortest) / (longest - shortest)``, in -0.5..0.5; a wrong answer gets at most 0, and all
    get 0 when all are equally long. Both sequences have one entry for each completion, in order.
    """
    shortest, longest = min(lengths_tokens, default=0), max(lengths_tokens, default=0)
    if shortest == longest:
        return [0.0] * len(lengths_tokens)
    rewards = [0.5 - (length - shortest) / (longest - shortest) for length in lengths_tokens]
    return [reward if right else min(0.0, reward) for reward, right in zip(rewards, correct, strict=True)]


def soft_overlong_reward(length_tokens: int, max_length_tokens: int, cache_tokens: int) -> float:
    """DAPO's soft overlong punishment (arXiv 2503.14476, equation 13), in -1..0.

    0 up to ``max_length_tokens - cache_tokens``, then linear down to -1 at `max_length_tokens`. In DAPO's own
    run the bound is 20,480 and the cache 4,096. Raises ValueError unless
    ``0 < cache_tokens <= max_length_tokens``.
    """
    if not 0 < cache_tokens <= max_length_tokens:
        raise ValueError(f"cache_tokens must be from 1 to max_length_tokens, which is {max_length_tokens}")
    free = max_length_tokens - cache_tokens
    return max(-1.0, min(0, free - length_tokens) / cache_tokens)
