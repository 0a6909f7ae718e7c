"""Groups of duplicate problems: exact ones by key, near ones by MinHash and then by a closer comparison.

`signatures` proposes pairs among texts with the same numbers or answers; `statements.same_problem` decides each of
them, so that a hash collision or similar wording alone never makes a duplicate. Groups are transitive: if A equals B
and B equals C, all three are one group.

Memory: about 150 bytes per text, 8 bytes per proposed pair and 0.4 KB per match; texts and golds are read one at a
time, and a pair's texts again when it is looked at, so they may lie on disk. The result depends on the texts, the
golds, the threshold and the seed only.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from frugalrl.data.same_answer import answer_key, same_with_answer
from frugalrl.data.signatures import Signatures, joined
from frugalrl.data.statements import DEFAULT_THRESHOLD, Sameness, Statement, read_statement, same_problem

STATEMENTS_HELD = 16_384
"""Statements cached while pairs are compared (about 3 KB each)."""
Progress = Callable[[int, int], None]
_EXACT = Sameness("exact", 1.0, "the same text after normalisation")


@dataclass(frozen=True, slots=True)
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
    golds: the answers, one per text: reworded texts with one answer are then found too.
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

    read: parses a text; a cached one saves the next step the work.
    """
    signatures = Signatures()
    golds_or_none = itertools.repeat("") if golds is None else golds
    for position, (text, gold) in enumerate(zip(texts, golds_or_none, strict=golds is not None)):
        signatures.add(read(text), answer_key(gold))
        if on_progress is not None and (position + 1 == len(texts) or position % 500 == 499):
            on_progress(position + 1, len(texts))
    firsts = signatures.firsts()
    positions = np.arange(len(firsts))
    copies = np.flatnonzero((firsts >= 0) & (firsts != positions)).tolist()
    matches = [Match(int(firsts[position]), position, _EXACT) for position in copies]
    distinct = np.flatnonzero((firsts == positions) & signatures.has_content())

    @functools.lru_cache(maxsize=STATEMENTS_HELD)
    def statement(position: int) -> Statement:
        return read(texts[position])

    for one, other in signatures.candidates(distinct, seed):
        sameness = same_problem(statement(one), statement(other), threshold)
        if sameness is None and golds is not None and signatures.answers_agree(one, other):
            sameness = same_with_answer(statement(one), statement(other), answer_key(golds[one]))
        if sameness is not None:
            matches.append(Match(one, other, sameness))
    return matches


def groups_of(count: int, matches: Sequence[Match]) -> list[tuple[int, ...]]:
    """Matches joined into groups of two or more, ascending, in the order of their first members."""
    return joined(count, ((match.first, match.second) for match in matches))
