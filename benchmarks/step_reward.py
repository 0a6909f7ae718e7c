"""The reward of the step benchmark: cheap, the same on both sides, different within a group. Imports nothing."""

from typing import Any


def reward(completions: list[str], **columns: Any) -> list[float]:
    """By the letters of the text, between 0 and 1."""
    return [sum(map(ord, text)) % 7 / 6 for text in completions]
