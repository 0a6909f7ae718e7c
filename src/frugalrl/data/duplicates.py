"""Groups of problems that are one problem: exact duplicates by key, near ones by MinHash and then by a closer look.

MinHash (Broder, 1997) with banding proposes pairs among texts with the same numbers; `statements.same_problem` decides
each of them, so that a hash collision or a likeness in words alone never makes a duplicate. Groups are transitive:
if A is B and B is C, all three are one group.

Memory: 8 bytes a shingle and 8 bytes a hash function and text (about 60 MB at 40,000 texts). The result depends on
the texts, the threshold and the seed only.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frugalrl.data.same_answer import answer_key, same_with_answer
from frugalrl.data.statements import DEFAULT_THRESHOLD, Sameness, Statement, read_statement, same_problem

BANDS = 32
ROWS = 2
"""A pair of Jaccard similarity s is proposed with probability 1 - (1 - s^2)^32: 99.99 % at 0.5, 73 % at 0.2."""
MAX_BUCKET = 200
"""Texts of a larger bucket are each compared with their next ten neighbours only, so that time stays bounded."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Match:
    """One proposed pair that is the same problem."""

    first: int
    second: int
    """Positions of the two texts, first < second."""
    sameness: Sameness


def near_duplicate_groups(
    texts: Sequence[str],
    threshold: float = DEFAULT_THRESHOLD,
    seed: int = 0,
    on_progress: Progress | None = None,
    golds: Sequence[str] | None = None,
) -> list[tuple[int, ...]]:
    """Groups of positions (two or more, ascending) whose texts are one problem, by their first member.

    threshold: least similarity of content tokens, 0..1. on_progress: called with (texts read, texts in all).
    golds: the answers, one a text: reworded texts with one answer are then found too.
    """
    return groups_of(len(texts), near_duplicate_matches(texts, threshold, seed, on_progress, golds))


def near_duplicate_matches(
    texts: Sequence[str],
    threshold: float = DEFAULT_THRESHOLD,
    seed: int = 0,
    on_progress: Progress | None = None,
    golds: Sequence[str] | None = None,
    read: Callable[[str], Statement] = read_statement,
) -> list[Match]:
    """The pairs behind `near_duplicate_groups`, each with its reason; enough of them to connect every group.

    read: takes a text apart; one that remembers spares the next step the work.
    """
    statements = []
    for position, text in enumerate(texts):
        statements.append(read(text))
        if on_progress is not None and (position + 1 == len(texts) or position % 500 == 499):
            on_progress(position + 1, len(texts))
    first_with: dict[str, int] = {}
    matches = []
    for position, statement in enumerate(statements):
        first = first_with.setdefault(statement.key, position) if statement.key else position
        if first != position:
            matches.append(Match(first, position, Sameness("exact", 1.0, "the same text after normalisation")))
    distinct = [position for position, one in enumerate(statements) if one.gist and first_with.get(one.key) == position]
    keys = [answer_key(gold) for gold in golds] if golds is not None else [""] * len(texts)
    for first, second in _proposed([statements[at] for at in distinct], seed, [keys[at] for at in distinct]):
        one, other = distinct[first], distinct[second]
        sameness = same_problem(statements[one], statements[other], threshold)
        if sameness is None and keys[one] and keys[one] == keys[other]:
            sameness = same_with_answer(statements[one], statements[other], keys[one])
        if sameness is not None:
            matches.append(Match(one, other, sameness))
    return matches


def groups_of(count: int, matches: Sequence[Match]) -> list[tuple[int, ...]]:
    """Matches joined into groups of two or more, ascending, in the order of their first members."""
    parent = list(range(count))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    for match in matches:
        low, high = sorted((root(match.first), root(match.second)))
        parent[high] = low
    members: dict[int, list[int]] = defaultdict(list)
    for position in range(count):
        members[root(position)].append(position)
    return [tuple(group) for group in members.values() if len(group) > 1]


def _proposed(statements: Sequence[Statement], seed: int, keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of positions, ascending, that share one band of their MinHash and their numbers or their answer's key."""
    if len(statements) < 2:
        return
    hashes = _minhashes(statements, seed)
    pairs = _in_one_bucket(hashes, [one.numbers for one in statements])
    answered = [position for position, key in enumerate(keys) if key]
    if answered:
        found = _in_one_bucket(hashes[:, answered], [keys[position] for position in answered])
        pairs.update((answered[first], answered[second]) for first, second in found)
    yield from sorted(pairs)


def _in_one_bucket(hashes: NDArray[np.uint64], labels: Sequence[Hashable]) -> set[tuple[int, int]]:
    """Pairs with one label that share a band of hashes (hash functions, texts)."""
    ids: dict[Hashable, int] = {}
    numbered = np.array([ids.setdefault(label, len(ids)) for label in labels], dtype=np.uint64)
    pairs: set[tuple[int, int]] = set()
    for band in range(0, BANDS * ROWS, ROWS):
        keys = numbered * _MIX
        for row in range(band, band + ROWS):
            keys = (keys ^ hashes[row]) * _MIX
            keys ^= keys >> np.uint64(31)
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order])) + 1
        for bucket in np.split(order, starts) if len(starts) else [order]:
            if len(bucket) > 1:
                pairs.update(_pairs_within(sorted(bucket.tolist())))
    return pairs


def _pairs_within(bucket: Sequence[int]) -> Iterator[tuple[int, int]]:
    reach = len(bucket) if len(bucket) <= MAX_BUCKET else 10
    for at, first in enumerate(bucket):
        for second in bucket[at + 1 : at + 1 + reach]:
            yield first, second


def _minhashes(statements: Sequence[Statement], seed: int) -> NDArray[np.uint64]:
    """Smallest hashes of each text's pairs of neighbouring tokens: (hash functions, texts)."""
    ids: dict[str, int] = {}
    flat: list[int] = []
    offsets = [0]
    for statement in statements:
        flat.append(0)
        flat.extend(
            ids.setdefault("v" if len(token) == 1 and token.isalpha() else token, len(ids) + 1)
            for token in statement.gist
        )
        offsets.append(len(flat))
    tokens = np.array([*flat, 0], dtype=np.uint64)
    shingles = tokens[:-1] * _MIX ^ (tokens[1:] + np.uint64(1)) * np.uint64(0xC2B2AE3D27D4EB4F)
    shingles ^= shingles >> np.uint64(29)
    shingles *= np.uint64(0xBF58476D1CE4E5B9)
    shingles ^= shingles >> np.uint64(32)
    multipliers = np.random.default_rng(seed).integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(
        2
    ) + np.uint64(1)
    hashes = np.empty((BANDS * ROWS, len(statements)), dtype=np.uint64)
    for row, multiplier in enumerate(multipliers):
        mixed = shingles * multiplier
        mixed ^= mixed >> np.uint64(33)
        hashes[row] = np.minimum.reduceat(mixed, offsets[:-1])
    return hashes
