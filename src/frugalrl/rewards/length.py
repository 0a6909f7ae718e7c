"""Rewards of length, in tokens."""

import math


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
    answer earns most, and a long wrong one loses least.
    """
    progress = min(length_tokens, max_length_tokens) / max_length_tokens
    at_zero, at_max = (correct_at_zero, correct_at_max) if correct else (wrong_at_zero, wrong_at_max)
    return at_max + 0.5 * (at_zero - at_max) * (1.0 + math.cos(math.pi * progress))
