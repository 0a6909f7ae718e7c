"""A slice of the training problems, held out to watch a run by where it has no validation problems.

Decisions: drawn by hash of seed and problem, so that the slice is the same whatever the order of the rows, and of a
slightly larger pool is nearly the same. At most a tenth of the pool is taken, and none if that is too few to tell
anything by.
"""

import hashlib
from collections.abc import Sequence

from frugalrl.types import Prompt

LARGEST_SHARE = 0.1
FEWEST = 20
"""With fewer problems not even a fall to nothing would be seen in two looks."""


def hold_out(prompts: Sequence[Prompt], most: int, seed: int) -> tuple[list[Prompt], list[Prompt]]:
    """Training problems that stay, and those held out, both in their order; none is held out of a small pool."""
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
