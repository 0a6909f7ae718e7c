"""Problem statements as a few numbers each, and the candidate pairs for a closer comparison. Pure.

MinHash (Broder, 1997) with banding over pairs of neighbouring content tokens. Kept of a text are its tokens' numbers
(4 bytes each) and four hashes of 8 bytes: about 150 bytes per text, whatever its length on disk. Minimum hashes are
made again for a few bands at a time where all of them would take more than `BAND_BYTES`.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from frugalrl.data.statements import Statement

BANDS = 32
ROWS = 2
"""A pair of Jaccard similarity s is proposed with probability 1 - (1 - s^2)^32: 99.99 % at 0.5, 73 % at 0.2."""
MAX_BUCKET = 200
"""Texts of a larger bucket are each compared with their next ten neighbors only, so that time stays bounded."""
BAND_BYTES = 256 << 20
"""Of minimum hashes held at once."""
_TEXTS_AT_ONCE = 1 << 16
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Signatures:
    """The signatures of texts, added in their order."""

    def __init__(self) -> None:
        self._keys = (array("Q"), array("Q"))
        self._numbers, self._answers = array("Q"), array("Q")
        self._tokens, self._starts = array("I"), array("Q")
        self._vocabulary: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, statement: Statement, answer_key: str) -> None:
        """Add the next text. answer_key: of its gold; empty if it is uninformative."""
        high, low = _halves(statement.key)
        self._keys[0].append(high)
        self._keys[1].append(low)
        self._numbers.append(_halves("\x1f".join(("#", *statement.numbers)))[0])
        self._answers.append(_halves(answer_key)[0])
        self._starts.append(len(self._tokens))
        self._tokens.append(0)
        number_of = self._vocabulary.setdefault
        self._tokens.extend(
            number_of("v" if len(token) == 1 and token.isalpha() else token, len(self._vocabulary) + 1)
            for token in statement.gist
        )

    def firsts(self) -> NDArray[np.int64]:
        """For each text the first one with its key, possibly itself; -1 without a key."""
        high, low = (np.frombuffer(half, dtype=np.uint64) for half in self._keys)
        order = np.lexsort((low, high))  # stable: ascending positions within a key
        same = np.zeros(len(order), dtype=bool)
        same[1:] = (high[order[1:]] == high[order[:-1]]) & (low[order[1:]] == low[order[:-1]])
        leader = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
        firsts = np.empty(len(order), dtype=np.int64)
        firsts[order] = order[leader]
        firsts[(high == 0) & (low == 0)] = -1
        return firsts

    def has_content(self) -> NDArray[np.bool_]:
        """Whether a text has any content token."""
        ends = np.append(np.frombuffer(self._starts, dtype=np.uint64)[1:], np.uint64(len(self._tokens)))
        return np.asarray(ends - np.frombuffer(self._starts, dtype=np.uint64) > 1)

    def candidates(self, among: NDArray[np.int64], seed: int) -> Iterator[tuple[int, int]]:
        """Pairs of texts, ascending, that share one band of their MinHash and their numbers or their answer's key."""
        if len(among) < 2:
            return
        numbers = np.frombuffer(self._numbers, dtype=np.uint64)[among]
        answers = np.frombuffer(self._answers, dtype=np.uint64)[among]
        answered = np.flatnonzero(answers)
        pairs = np.empty(0, dtype=np.uint64)
        for hashes in self._minhashes(among, seed):
            found = [pairs, in_one_bucket(_band_key(numbers, hashes))]
            if len(answered):
                local = in_one_bucket(_band_key(answers[answered], hashes[:, answered]))
                first, second = answered[local >> np.uint64(32)], answered[local & np.uint64(0xFFFFFFFF)]
                found.append(first.astype(np.uint64) << np.uint64(32) | second.astype(np.uint64))
            pairs = np.unique(np.concatenate(found))
        for start in range(0, len(pairs), _TEXTS_AT_ONCE):
            part = pairs[start : start + _TEXTS_AT_ONCE]
            firsts, seconds = among[part >> np.uint64(32)].tolist(), among[part & np.uint64(0xFFFFFFFF)].tolist()
            yield from zip(firsts, seconds, strict=True)

    def answers_agree(self, one: int, other: int) -> bool:
        """Whether two texts have golds with one key."""
        return self._answers[one] != 0 and self._answers[one] == self._answers[other]

    def _minhashes(self, among: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.uint64]]:
        """The minimum hashes of each band: (hash functions of the band, texts)."""
        generator = np.random.default_rng(seed)
        factors = generator.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        at_once = max(1, min(BANDS, BAND_BYTES // (8 * ROWS * len(among))))
        for band in range(0, BANDS, at_once):
            part = factors[band * ROWS : (band + at_once) * ROWS]
            hashes = np.empty((len(part), len(among)), dtype=np.uint64)
            for start in range(0, len(among), _TEXTS_AT_ONCE):
                shingles, offsets = self._shingles(among[start : start + _TEXTS_AT_ONCE])
                for row, factor in enumerate(part):
                    mixed = shingles * factor
                    mixed ^= mixed >> np.uint64(33)
                    hashes[row, start : start + len(offsets)] = np.minimum.reduceat(mixed, offsets)
            yield from (hashes[row : row + ROWS] for row in range(0, len(part), ROWS))

    def _shingles(self, texts: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Hashes of the pairs of neighboring tokens of some texts, and where each text begins among them."""
        begins = np.frombuffer(self._starts, dtype=np.int64)
        ends = np.append(begins[1:], len(self._tokens))[texts]
        lengths = ends - begins[texts]
        offsets = np.cumsum(lengths) - lengths
        places = np.repeat(begins[texts] - offsets, lengths) + np.arange(lengths.sum())
        tokens = np.append(np.frombuffer(self._tokens, dtype=np.uint32)[places].astype(np.uint64), np.uint64(0))
        shingles = tokens[:-1] * _MIX ^ (tokens[1:] + np.uint64(1)) * np.uint64(0xC2B2AE3D27D4EB4F)
        shingles ^= shingles >> np.uint64(29)
        shingles *= np.uint64(0xBF58476D1CE4E5B9)
        shingles ^= shingles >> np.uint64(32)
        return shingles, offsets


def in_one_bucket(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Pairs of positions with one key, each as first * 2**32 + second; of large buckets see `MAX_BUCKET`."""
    order = np.argsort(keys, kind="stable")
    is_start = np.ones(len(order), dtype=bool)
    is_start[1:] = keys[order[1:]] != keys[order[:-1]]
    starts = np.flatnonzero(is_start)
    sizes = np.diff(np.append(starts, len(order)))
    shared = sizes > 1
    if not shared.any():
        return np.empty(0, dtype=np.uint64)
    members = order[np.repeat(shared, sizes)]
    sizes = sizes[shared]
    ends = np.cumsum(sizes)
    behind = np.repeat(ends, sizes) - np.arange(len(members)) - 1
    reach = np.minimum(behind, np.repeat(np.where(sizes <= MAX_BUCKET, sizes, 10), sizes))
    found: list[NDArray[np.uint64]] = []
    at, step = np.flatnonzero(reach >= 1), 1
    while len(at):
        first, second = members[at].astype(np.uint64), members[at + step].astype(np.uint64)
        found.append(first << np.uint64(32) | second)
        step += 1
        at = at[reach[at] >= step]
    return np.concatenate(found)


def joined(count: int, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Pairs of positions below `count` joined into groups of two or more, ascending, by their first members."""
    parent: dict[int, int] = {}

    def root(position: int) -> int:
        above = parent.setdefault(position, position)
        while parent[above] != above:
            parent[above] = parent[parent[above]]
            above = parent[above]
        parent[position] = above
        return above

    for one, other in pairs:
        if not 0 <= one < count or not 0 <= other < count:
            raise ValueError("a pair lies outside the texts")
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    members: dict[int, list[int]] = {}
    for position in sorted(parent):
        members.setdefault(root(position), []).append(position)
    return [tuple(group) for group in members.values() if len(group) > 1]


def _band_key(labels: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    keys = labels * _MIX
    for row in hashes:
        keys = (keys ^ row) * _MIX
        keys ^= keys >> np.uint64(31)
    return keys


def _halves(text: str) -> tuple[int, int]:
    """128 bits of a hash as two numbers; (0, 0) for no text."""
    if not text:
        return 0, 0
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
