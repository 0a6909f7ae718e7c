"""Finds the benchmark problem that a text rewords (`restated`).

The index holds the benchmarks only; a pool passes it row by row. Candidates are the benchmark problems with the same
gold. Where the golds are spelled in ways that no key unites, or one is missing, candidates are those that share rare
words or numbers; they count only if the caller has a second opinion:

- `equivalent(gold, gold)`: whether two golds are one answer, in practice the verdict layer (2n(n-1)+1 is 2n^2-2n+1);
- `witness(text, text)`: whether two texts are one problem, in practice a language model. It is asked about pairs in the
  uncertain range, and about pairs without golds, where text alone does not distinguish a problem from a variant: of 16
  such pairs with as much in common, 15 were variants.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from frugalrl.data.formula_runs import number_weight
from frugalrl.data.restated import (
    RESTATED,
    UNCERTAIN,
    Profile,
    compare,
    read_profile,
    restated,
    without_examples,
)
from frugalrl.data.same_answer import comparable_key
from frugalrl.data.statements import Statement, read_statement
from frugalrl.data.word_rarity import word_rarity

SameAnswer = Callable[[str, str], bool]
SameProblem = Callable[[str, str], bool]
_RARE_WORD, _RARE_NUMBER = 6.0, 4.0
"""Minimum weight of a word or number that leads to candidates."""
_LEAST_RARE = 14.0
"""Minimum shared weight of rare words and numbers for a candidate without an equal gold."""
_LEAST_LIKENESS = 0.5


@dataclass(frozen=True)
class Entry:
    """One benchmark problem."""

    text: str
    gold: str
    key: str
    """Key of the gold; empty if there is none or it is uninformative (a choice)."""
    statement: Statement
    profile: Profile


@dataclass(frozen=True)
class RestatedIndex:
    """Benchmark problems by answer and by rare items; made by `index_of`."""

    entries: tuple[Entry, ...]
    by_key: Mapping[str, tuple[int, ...]]
    by_rare: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Restatement:
    """The benchmark problem that a text rewords."""

    position: int
    score: float
    why: str


def index_of(problems: Sequence[tuple[str, str]]) -> RestatedIndex:
    """An index of (text, gold) pairs; positions in it are theirs."""
    entries = tuple(_entry(text, gold, read_statement) for text, gold in problems)
    by_key: dict[str, list[int]] = defaultdict(list)
    by_rare: dict[str, list[int]] = defaultdict(list)
    for position, entry in enumerate(entries):
        if entry.key:
            by_key[entry.key].append(position)
        for item, _ in _rare(entry.profile):
            by_rare[item].append(position)
    return RestatedIndex(entries, _frozen(by_key), _frozen(by_rare))


def find_restated(
    index: RestatedIndex,
    text: str,
    gold: str,
    read: Callable[[str], Statement] = read_statement,
    equivalent: SameAnswer | None = None,
    witness: SameProblem | None = None,
) -> Restatement | None:
    """The benchmark problem that a text restates with the highest score; None if there is none.

    read: parses a text. equivalent, witness: see the module; without them only equal keys of golds count.
    """
    key = comparable_key(gold)
    if not index.by_key.get(key) and equivalent is None and witness is None:
        return None
    own = _entry(text, gold, read)
    found = list(_with_equal_key(index, own, witness))
    if not found and (equivalent is not None or witness is not None):
        found = list(_with_other_gold(index, own, equivalent, witness))
    return max(found, key=lambda one: (one.score, -one.position), default=None)


def _with_equal_key(index: RestatedIndex, own: Entry, witness: SameProblem | None) -> Iterator[Restatement]:
    for position in index.by_key.get(own.key, ()):
        entry = index.entries[position]
        yield from _judged(position, entry, own, own.key, "the same answer", RESTATED, witness)


def _with_other_gold(
    index: RestatedIndex, own: Entry, equivalent: SameAnswer | None, witness: SameProblem | None
) -> Iterator[Restatement]:
    for position in _by_rare_items(index, own.profile):
        entry = index.entries[position]
        if (own.key and entry.key == own.key) or compare(entry.profile, own.profile).likeness < _LEAST_LIKENESS:
            continue
        if entry.key and own.key:
            if equivalent is not None and equivalent(entry.gold, own.gold):
                yield from _judged(position, entry, own, entry.key, "equivalent answers", RESTATED, witness)
        elif witness is not None:
            yield from _judged(position, entry, own, "", "no answer to compare", float("inf"), witness)


def _judged(
    position: int, entry: Entry, own: Entry, key: str, golds: str, least: float, witness: SameProblem | None
) -> Iterator[Restatement]:
    """A restatement: by its score alone if at least `least`, by the witness in the uncertain range below."""
    profiles = (entry.profile, own.profile)
    score = restated(entry.statement, own.statement, profiles, key, least if witness is None else UNCERTAIN)
    if score is None:
        return
    if score >= least:
        yield Restatement(position, score, f"{golds}; score {score:.2f} of words, numbers and formulas in common")
    elif witness is not None and witness(entry.text, own.text):
        yield Restatement(position, score, f"{golds}; score {score:.2f}, and the witness says the same problem")


def _by_rare_items(index: RestatedIndex, profile: Profile) -> list[int]:
    weights: dict[int, float] = defaultdict(float)
    for item, weight in _rare(profile):
        for position in index.by_rare.get(item, ()):
            weights[position] += weight
    return sorted(position for position, weight in weights.items() if weight >= _LEAST_RARE)


def _rare(profile: Profile) -> Iterator[tuple[str, float]]:
    for word in profile.words:
        if (weight := word_rarity(word)) >= _RARE_WORD:
            yield word, weight
    for number in profile.numbers:
        if (weight := number_weight(number)) >= _RARE_NUMBER:
            yield number, weight


def _entry(text: str, gold: str, read: Callable[[str], Statement]) -> Entry:
    statement = read(without_examples(text))
    return Entry(text, gold, comparable_key(gold), statement, read_profile(statement))


def _frozen(lists: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(values) for key, values in lists.items()}
