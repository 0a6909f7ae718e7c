"""A reward kept for one question in miniature: the process reward as it was before it was fixed.

The share of a completion's stated equalities that hold; None below three, so that one safe equality earns nothing and
prose is not punished. What padding it pays for is measured by benchmarks/process_reward.py. Pure.
"""

from collections.abc import Sequence

from frugalrl.rewards.process import checks_of

FEWEST = 3


def share_that_holds(prompts: Sequence[str], completions: Sequence[str], **columns: object) -> list[float | None]:
    """The earlier reward of each completion, in 0..1, in TRL's signature."""
    return [_share(checks_of(text)) for text in completions]


def _share(checks: Sequence[bool]) -> float | None:
    return sum(checks) / len(checks) if len(checks) >= FEWEST else None
