r"""Does a training problem stand in a benchmark? Exact, near, or by shared n-grams that something confirms.

Published practice is an n-gram hit alone: 13 words (GPT-3, arXiv 2005.14165, appendix C), 8 words (s1, arXiv
2501.19393, and open-r1's decontamination script). In mathematics that flags phrases ("where m and n are relatively prime positive
integers. Find m + n" has 12 words) and misses every problem shorter than n. Here, on the same normalised tokens:

- exact and near are asked as for duplicates (`statements.same_problem`), which short problems pass too;
- an n-gram (8 tokens) counts only if it is no boilerplate: it stands in one benchmark problem only;
- shared n-grams are a hit only if they cover most of the benchmark problem, and numbers agree.

So a variant with other numbers is not the same problem and is kept. One that asks something else about the same
set-up, with the same numbers, is overlap: who trains on it has seen the benchmark's set-up solved.

Not covered: translations; a benchmark problem told in other words and symbols.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from frugalrl.data.statements import DEFAULT_THRESHOLD, Statement, read_statement, same_problem

NGRAM = 8
MIN_COVERAGE = 0.6
"""Least share of the benchmark problem's tokens that shared n-grams cover."""
MIN_COVERAGE_OTHERS = 0.4
"""And of the training problem's own tokens, if its numbers are not just the benchmark's."""


@dataclass(frozen=True)
class BenchmarkRow:
    """One problem of a benchmark, ready for comparison."""

    benchmark: str
    row_id: str
    text: str
    statement: Statement


@dataclass(frozen=True)
class Index:
    """Benchmarks, looked up by text, by numbers and by n-gram; made by `build_index`."""

    rows: tuple[BenchmarkRow, ...]
    by_key: Mapping[str, int]
    by_numbers: Mapping[tuple[str, ...], tuple[int, ...]]
    by_ngram: Mapping[tuple[str, ...], int]
    """Only n-grams of one benchmark problem: what stands in several is boilerplate."""


@dataclass(frozen=True)
class Overlap:
    """The benchmark problem that a text overlaps with."""

    benchmark: str
    row_id: str
    row_text: str
    kind: Literal["exact", "near", "ngram"]
    similarity: float
    """Of content tokens (exact, near), or the share of the benchmark problem that is covered (ngram); 0..1."""
    evidence: str
    """Why, or the longest shared stretch of tokens."""


def build_index(benchmarks: Mapping[str, Sequence[tuple[str, str]]]) -> Index:
    """An index of benchmarks: name to (row id, problem text) pairs. Rows without any token are left out."""
    rows = tuple(
        BenchmarkRow(name, row_id, text, statement)
        for name, pairs in benchmarks.items()
        for row_id, text in pairs
        if (statement := read_statement(text)).stem
    )
    by_key: dict[str, int] = {}
    by_numbers: dict[tuple[str, ...], list[int]] = defaultdict(list)
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        by_key.setdefault(row.statement.key, position)
        by_numbers[row.statement.numbers].append(position)
        for ngram in set(_ngrams(row.statement.stem)):
            holders[ngram].append(position)
    return Index(
        rows=rows,
        by_key=by_key,
        by_numbers={numbers: tuple(positions) for numbers, positions in by_numbers.items()},
        by_ngram={ngram: positions[0] for ngram, positions in holders.items() if _is_telling(ngram, positions, rows)},
    )


def find_overlap(index: Index, text: str, threshold: float = DEFAULT_THRESHOLD) -> Overlap | None:
    """The benchmark problem that a text is, or contains for the most part; None if there is none.

    threshold: least similarity of content tokens for a near match, 0..1.
    """
    statement = read_statement(text)
    if not statement.stem:
        return None
    exact = index.by_key.get(statement.key)
    if exact is not None:
        return _overlap(index.rows[exact], "exact", 1.0, "the same text after normalisation")
    return _near(index, statement, threshold) or _by_ngrams(index, statement)


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


def _confirmed(row: BenchmarkRow, statement: Statement, places: Sequence[int]) -> Overlap | None:
    """Shared n-grams as an overlap, if they cover most of the benchmark problem and numbers agree."""
    stem = statement.stem
    theirs = set(_ngrams(row.statement.stem))
    ours = set(_ngrams(stem))
    coverage = _covered(row.statement.stem, ours)
    if coverage < MIN_COVERAGE or not _numbers_agree(row.statement, statement, _covered(stem, theirs)):
        return None
    start, end = _longest_run(places)
    return _overlap(row, "ngram", coverage, " ".join(stem[start : end + NGRAM]))


def _numbers_agree(row: Statement, statement: Statement, own_coverage: float) -> bool:
    """Whether the benchmark's numbers are all there, and the rest of the text is not about other numbers."""
    needed, present = Counter(row.numbers), Counter(statement.numbers)
    if needed - present:
        return False
    return present == needed or own_coverage >= MIN_COVERAGE_OTHERS


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
    """Whether an n-gram belongs to one problem: to one row, or to rows of one and the same text."""
    return len({rows[position].statement.key for position in positions}) == 1


def _overlap(row: BenchmarkRow, kind: Literal["exact", "near", "ngram"], similarity: float, evidence: str) -> Overlap:
    return Overlap(row.benchmark, row.row_id, row.text, kind, similarity, evidence)
