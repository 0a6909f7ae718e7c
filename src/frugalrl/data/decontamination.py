r"""Is a training problem in a benchmark? Exact, near, or by shared n-grams with confirmation.

Published practice is an n-gram hit alone: 13 words (GPT-3, arXiv 2005.14165, appendix C), 8 words (s1, arXiv
2501.19393; open-r1's script). In mathematics that flags phrases ("where m and n are relatively prime positive
integers. Find m + n" has 12 words) and misses every problem shorter than n. Here, on the same normalised tokens:

- exact and near matches are tested as for duplicates (`statements.same_problem`), which works for short problems too;
- an n-gram (8 tokens) counts only if it is not boilerplate: it occurs in one benchmark problem only;
- shared n-grams are a hit only if one problem contains the other, including numbers, signs and significant words;
- with golds, a reworded problem is found by what it keeps (`restated_index`).

So a variant with other numbers, or another question about the same figure, is a different problem and is kept. The same
problem inside a longer text, or with the answer in another form ("written as m/n, find m + n"), is overlap.

Not covered: translations; a reworded problem with unknown gold that no witness was asked about.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from frugalrl.data.restated_index import RestatedIndex, Restatement, SameAnswer, SameProblem, find_restated, index_of
from frugalrl.data.same_answer import answer_key, same_with_answer
from frugalrl.data.statements import (
    DEFAULT_THRESHOLD,
    Statement,
    carries_weight,
    figures_agree,
    read_statement,
    same_problem,
    spelled_alike,
)

OverlapKind = Literal["exact", "near", "ngram", "reworded", "restated"]
NGRAM = 8
MIN_COVERAGE = 0.4
"""Minimum share of the tokens of either text that shared n-grams cover."""
MIN_CONTAINED = 0.75
"""Minimum share of the smaller problem's content that occurs in the other."""
LONG = 25
"""One slip (a typing error in a formula, a sign written as a word) is allowed for so many content tokens."""


@dataclass(frozen=True)
class BenchmarkRow:
    """One problem of a benchmark, ready for comparison."""

    benchmark: str
    row_id: str
    text: str
    statement: Statement
    answer_key: str = ""
    """Its answer in canonical spelling; empty if it is unknown or uninformative (a choice)."""


@dataclass(frozen=True)
class Index:
    """Benchmarks, looked up by text, by numbers and by n-gram; made by `build_index`."""

    rows: tuple[BenchmarkRow, ...]
    by_key: Mapping[str, int]
    by_numbers: Mapping[tuple[str, ...], tuple[int, ...]]
    by_ngram: Mapping[tuple[str, ...], int]
    """Only n-grams of a single benchmark problem: those of several are boilerplate."""
    by_answer: Mapping[str, tuple[int, ...]]
    """Rows by their answer's key; empty where the answers are not known."""
    restated: RestatedIndex
    """The same rows, looked up by what a reworded problem keeps."""


@dataclass(frozen=True)
class Overlap:
    """The benchmark problem that a text overlaps with."""

    benchmark: str
    row_id: str
    row_text: str
    kind: OverlapKind
    similarity: float
    """Of content tokens (exact, near, reworded), or the share of the benchmark problem that is covered (ngram), 0..1;
    the score of `restated.Comparison` (restated), 0.8 and more."""
    evidence: str
    """Why, or the longest shared stretch of tokens."""


def build_index(benchmarks: Mapping[str, Sequence[tuple[str, ...]]]) -> Index:
    """An index of benchmarks: name to (row id, problem text) or (row id, problem text, gold) tuples.

    Rows without any token are left out. With golds, `find_overlap` finds reworded problems too.
    """
    told = [
        (BenchmarkRow(name, row_id, text, statement, answer_key(gold[0]) if gold else ""), gold[0] if gold else "")
        for name, pairs in benchmarks.items()
        for row_id, text, *gold in pairs
        if (statement := read_statement(text)).stem
    ]
    rows = tuple(row for row, _ in told)
    by_key: dict[str, int] = {}
    by_numbers: dict[tuple[str, ...], list[int]] = defaultdict(list)
    by_answer: dict[str, list[int]] = defaultdict(list)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        by_key.setdefault(row.statement.key, position)
        by_numbers[row.statement.numbers].append(position)
        if row.answer_key:
            by_answer[row.answer_key].append(position)
        for ngram in set(_ngrams(row.statement.stem)):
            holders[ngram].append(position)
    return Index(
        rows=rows,
        by_key=by_key,
        by_numbers={numbers: tuple(positions) for numbers, positions in by_numbers.items()},
        by_ngram={ngram: positions[0] for ngram, positions in holders.items() if _is_telling(ngram, positions, rows)},
        by_answer={key: tuple(positions) for key, positions in by_answer.items()},
        restated=index_of([(row.text, gold) for row, gold in told]),
    )


def find_overlap(
    index: Index,
    text: str,
    threshold: float = DEFAULT_THRESHOLD,
    gold: str = "",
    read: Callable[[str], Statement] = read_statement,
    equivalent: SameAnswer | None = None,
    witness: SameProblem | None = None,
) -> Overlap | None:
    """The benchmark problem that a text equals or mostly contains; None if there is none.

    threshold: least similarity of content tokens for a near match, 0..1. gold: the text's answer; with it, and
    with the benchmark's, reworded and restated problems are found too. read: parses a text; a cached one saves work
    that another step did. equivalent, witness: second opinions on golds and on texts, asked about the few reworded
    problems (`restated_index`).
    """
    statement = read(text)
    if not statement.stem:
        return None
    exact = index.by_key.get(statement.key)
    if exact is not None:
        return _overlap(index.rows[exact], "exact", 1.0, "the same text after normalisation")
    return (
        _near(index, statement, threshold)
        or _by_ngrams(index, statement)
        or _by_answer(index, statement, answer_key(gold))
        or _restated(index, find_restated(index.restated, text, gold, read, equivalent, witness))
    )


def _near(index: Index, statement: Statement, threshold: float) -> Overlap | None:
    gist = set(statement.gist)
    best: Overlap | None = None
    for position in index.by_numbers.get(statement.numbers, ()):
        row = index.rows[position]
        shared = len(gist.intersection(row.statement.gist))
        if shared * 2 < len(gist):
            continue
        sameness = same_problem(row.statement, statement, threshold)
        if sameness is not None and (best is None or sameness.similarity > best.similarity):
            kind: Literal["exact", "near"] = "exact" if sameness.kind == "exact" else "near"
            best = _overlap(row, kind, sameness.similarity, sameness.why)
    return best


def _by_ngrams(index: Index, statement: Statement) -> Overlap | None:
    hits: dict[int, list[int]] = defaultdict(list)
    for at, ngram in enumerate(_ngrams(statement.stem)):
        position = index.by_ngram.get(ngram)
        if position is not None:
            hits[position].append(at)
    best: Overlap | None = None
    for position, places in sorted(hits.items()):
        row = index.rows[position]
        found = _confirmed(row, statement, places)
        if found is not None and (best is None or found.similarity > best.similarity):
            best = found
    return best


def _by_answer(index: Index, statement: Statement, key: str) -> Overlap | None:
    """The closest benchmark problem with the same answer of which the text is a rewording."""
    gist = set(statement.gist)
    best: Overlap | None = None
    for position in index.by_answer.get(key, ()):
        row = index.rows[position]
        if len(gist.intersection(row.statement.gist)) * 3 < len(gist):
            continue
        sameness = same_with_answer(row.statement, statement, key)
        if sameness is not None and (best is None or sameness.similarity > best.similarity):
            best = _overlap(row, "reworded", sameness.similarity, sameness.why)
    return best


def _restated(index: Index, found: Restatement | None) -> Overlap | None:
    return None if found is None else _overlap(index.rows[found.position], "restated", found.score, found.why)


def _confirmed(row: BenchmarkRow, statement: Statement, places: Sequence[int]) -> Overlap | None:
    """Shared n-grams as an overlap, if they cover enough of the smaller text and the other contains all of it."""
    coverage = _covered(row.statement.stem, set(_ngrams(statement.stem)))
    own_coverage = _covered(statement.stem, set(_ngrams(row.statement.stem)))
    if max(coverage, own_coverage) < MIN_COVERAGE:
        return None
    share = contained_share(row.statement, statement)
    if coverage >= MIN_CONTAINED:  # else the benchmark has conditions that the training problem lacks
        share = max(share, contained_share(statement, row.statement))
    if share < MIN_CONTAINED:
        return None
    start, end = _longest_run(places)
    return _overlap(row, "ngram", share, " ".join(statement.stem[start : end + NGRAM]))


def contained_share(small: Statement, large: Statement) -> float:
    """The share of a problem's content that occurs in another text, 0..1; 0 if its mathematics does not.

    Numbers of the small one must all occur in the large one. Signs, variables and significant words may be missing, and
    signs may be added in the middle, at most one in `LONG` tokens: additions at the beginning or the end (a story
    around the problem, a second part, "written as m/n, find m + n") do not matter.
    """
    ours, theirs = small.gist, large.gist
    if not ours or Counter(small.numbers) - Counter(large.numbers) or not figures_agree(small, large):
        return 0.0
    changed, missing = 0, 0
    for tag, start, end, other_start, other_end in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        lost, added = ours[start:end], theirs[other_start:other_end]
        missing += len(lost)
        changed += sum(map(carries_weight, lost)) + 2 * (
            len(lost) == len(added) == 1 and not spelled_alike(*lost, *added)
        )
        if start > 0 and end < len(ours):
            changed += sum(map(carries_weight, added))
    return 0.0 if changed > len(ours) // LONG else 1.0 - missing / len(ours)


def _covered(stem: Sequence[str], ngrams: set[tuple[str, ...]]) -> float:
    """The share of tokens that lie within one of the n-grams."""
    covered = [False] * len(stem)
    for at, ngram in enumerate(_ngrams(stem)):
        if ngram in ngrams:
            covered[at : at + NGRAM] = [True] * NGRAM
    return sum(covered) / len(stem) if stem else 0.0


def _longest_run(places: Sequence[int]) -> tuple[int, int]:
    best = start = end = places[0]
    best_end = end
    for place in places[1:]:
        start = start if place == end + 1 else place
        end = place
        if end - start > best_end - best:
            best, best_end = start, end
    return best, best_end


def _ngrams(stem: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(stem[at : at + NGRAM]) for at in range(len(stem) - NGRAM + 1)]


def _is_telling(ngram: tuple[str, ...], positions: Sequence[int], rows: Sequence[BenchmarkRow]) -> bool:
    """Whether an n-gram belongs to one problem: to one row, or to rows with the same text."""
    return len({rows[position].statement.key for position in positions}) == 1


def _overlap(row: BenchmarkRow, kind: OverlapKind, similarity: float, evidence: str) -> Overlap:
    return Overlap(row.benchmark, row.row_id, row.text, kind, similarity, evidence)
