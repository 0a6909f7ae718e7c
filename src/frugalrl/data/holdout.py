"""A slice of the training problems, held out to monitor a run that has no validation problems.

Decisions: drawn by hash of seed and problem, so that the slice does not depend on the order of the rows and is nearly
the same for a slightly larger pool. At most a tenth of the pool is taken, and none if that is too few to be useful.
"""

import hashlib
from collections.abc import Sequence

from frugalrl.types import Prompt

LARGEST_SHARE = 0.1
FEWEST = 20
"""With fewer problems not even a drop to zero would be detected in two looks."""


def hold_out(prompts: Sequence[Prompt], most: int, seed: int) -> tuple[list[Prompt], list[Prompt]]:
    """Remaining training problems and held-out ones, both in order; a small pool has none held out."""
    count = min(most, int(len(prompts) * LARGEST_SHARE))
    if count < FEWEST:
        return list(prompts), []
    drawn = sorted(range(len(prompts)), key=lambda index: _draw(prompts[index], seed))[:count]
    taken = set(drawn)
    return (
        [prompt for index, prompt in enumerate(prompts) if index not in taken],
        [prompt for index, prompt in enumerate(prompts) if index in taken],
    )


def _draw(prompt: Prompt, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{prompt.problem.id}/{prompt.problem.text}".encode()).digest()
