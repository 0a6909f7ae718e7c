"""Which problems come next: a seeded shuffle of each epoch, as a pure function of the position.

The position (problems taken so far) is the sampler's whole state, so it saves and restores exactly.
"""

import random


def take(problem_count: int, position: int, count: int, seed: int) -> list[int]:
    """Indices of the `count` problems after the first `position`; every epoch holds each problem once."""
    taken: list[int] = []
    while len(taken) < count:
        epoch, start = divmod(position + len(taken), problem_count)
        order = list(range(problem_count))
        random.Random(f"problems/{seed}/{epoch}").shuffle(order)
        taken += order[start : start + count - len(taken)]
    return taken
