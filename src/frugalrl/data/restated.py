r"""The same problem in other words: what it still shares, and what must not differ.

`statements.same_problem` and `same_answer` compare texts that were edited. A problem that was translated back, put into
other characters' hands or told from its solution shares few words in a row; it keeps its answer, its numbers, its
formulas and its rare words ("fragrant", "2006-gon", "cable cars"). Two problems with equal golds are one if

- the numbers of one (0, 1, 2 apart, examples and answer formats apart) are all in the other, and none was exchanged:
  the same template with another number is another problem;
- one of them has hardly any formula that the other lacks; problems that are mostly formula share three quarters of it;
- drawings and options leave room for one problem, and nothing is exchanged for its contrary (minimum for maximum);
- they share enough: `score` adds the likeness (Dice, every item weighed by its rarity), the evidence in
  nats, and how telling the answer is; it subtracts for numbers and words of weight that only one side has.

Weights come from a fixed table (`word_rarity`), so a verdict depends on the two problems alone. The coefficients were
chosen by hand on half of the benchmark rows and on pairs of one pool, read by eye (docs/curation-steps.md).

Not covered: problems without golds, unless a witness is asked (`decontamination`); translations; a problem turned into
another task with the same answer (the least k for the largest, an inequality's best constant for a minimum).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from frugalrl.data.formula_runs import FUNCTIONS, SMALL, Formulas, number_weight, read_formulas, shared_weight
from frugalrl.data.same_answer import contrary, numbers_are_exchanged
from frugalrl.data.statements import Statement, carries_weight, figures_agree, options_agree, spelled_alike
from frugalrl.data.word_rarity import word_rarity

RESTATED = 0.80
"""Minimum score at which a pool's problem is a benchmark's."""
UNCERTAIN = 0.65
"""Minimum score at which a witness is asked."""
LEAST_EVIDENCE = 28.0
"""Nats of shared words, numbers and formulas; e^28 is 10,000 times the pairs of 40,000 rows with 3,000 others."""
_ENOUGH = 60.0
_LOOSE_FORMULA = 5.0
"""Formula weight that only one side may have (a range, a definition)."""
_MOSTLY_FORMULA, _FORMULA_SHARED = 0.4, 0.75
_EXCHANGED = 2
"""So many repetitions of numbers lost on one side, with numbers added on the other, are an exchange (25 % to 20 %)."""
_LITTLE = 12
_NUMBERS_IN_PLACE = 0.85
"""Likeness of two texts without their numbers from which on a number's place matters: below, clauses have moved."""
_ONE_SENTENCE = 0.65
"""Likeness from which on two texts are one sentence, and a word put for another was put there to differ."""
_THING = 4.5
"""Minimum rarity of a word that names a thing."""
_GREEK = frozenset("alpha beta gamma delta epsilon eta theta lambda mu omega phi psi rho sigma tau".split())  # noqa: SIM905
_EXAMPLE = re.compile(
    r"\([^()]*\b(?:such as|for example|for instance|e\. ?g\.)(?:[^()]|\([^()]*\))*\)"
    r"|\bfor (?:example|instance),(?:[^.]|\.(?=\d))*\.",
    re.IGNORECASE,
)
_PARTS = re.compile(r"sqrt|pi|[a-z]+|\d+(?:\.\d+)?|[^\sa-z\d()]")


@dataclass(frozen=True)
class Profile:
    """What a problem keeps when it is reworded; made by `read_profile`."""

    words: frozenset[str]
    """Stems of its content, functions and variables apart."""
    numbers: frozenset[str]
    """Numbers above 2."""
    counts: Mapping[str, int]
    """Counts of each number, including 0 to 2."""
    functions: frozenset[str]
    formulas: Formulas
    weight: float
    """Of words and numbers together."""


@dataclass(frozen=True)
class Comparison:
    """What two problems share, and what only one of them has."""

    evidence: float
    """Weight of the shared words, numbers and formulas, in nats."""
    likeness: float
    """Shared weight as a share of both (Dice), 0..1."""
    one_sided: int
    """Numbers on one side only."""
    words_exchanged: int
    """Significant words that only one side has, the smaller count."""
    contradicts: bool
    """Numbers exchanged, contraries, or formulas on both sides that the other lacks."""

    def score(self, telling: float) -> float:
        """Confidence that two problems with one answer are the same; in practice 0.8 and more means yes.

        telling: of the answer, see `telling`.
        """
        return (
            self.likeness
            + 0.004 * min(self.evidence, _ENOUGH)
            + 0.04 * telling
            - 0.06 * min(2, self.one_sided)
            - 0.02 * self.words_exchanged
        )


def without_examples(text: str) -> str:
    """The text without "(for example ...)" and "For example, ... .": their numbers are not the problem's."""
    return _EXAMPLE.sub(" ", text) if re.search(r"example|instance|such as|e\. ?g\.", text, re.IGNORECASE) else text


def read_profile(statement: Statement) -> Profile:
    """A statement's profile; parse the statement `without_examples` first."""
    words = frozenset(
        token for token in statement.gist if len(token) > 1 and token.isalpha() and token not in FUNCTIONS
    )
    numbers = frozenset(statement.numbers) - SMALL
    weight = sum(map(word_rarity, words)) + sum(map(number_weight, numbers))
    functions = FUNCTIONS.intersection(statement.gist)
    return Profile(words, numbers, Counter(statement.numbers), functions, read_formulas(statement.stem), weight)


def rough_evidence(one: Profile, other: Profile) -> float:
    """The most evidence that `compare` could find, in a fraction of its time."""
    formulas = min(one.formulas.weight, other.formulas.weight)
    return _shared_items(one, other) + formulas


def compare(one: Profile, other: Profile) -> Comparison:
    """What two profiles share; without the statements' own checks (`restated`)."""
    formulas = shared_weight(one.formulas, other.formulas)
    evidence = _shared_items(one, other) + formulas
    formula_total = one.formulas.weight + other.formulas.weight
    total = one.weight + other.weight + formula_total
    left, right = (frozenset(filter(carries_weight, words)) for words in (one.words, other.words))
    loose = min(one.formulas.weight, other.formulas.weight) - formulas
    formulaic = formula_total >= _MOSTLY_FORMULA * total and 2 * formulas < _FORMULA_SHARED * formula_total
    return Comparison(
        evidence=evidence,
        likeness=2 * evidence / total if total else 0.0,
        one_sided=len(one.numbers ^ other.numbers),
        words_exchanged=min(len(left - right), len(right - left)),
        contradicts=_other_numbers(one, other)
        or loose > _LOOSE_FORMULA
        or formulaic
        or contrary(left - right, right - left)
        or contrary(one.functions - other.functions, other.functions - one.functions),
    )


def restated(
    one: Statement, other: Statement, profiles: tuple[Profile, Profile], key: str, least: float
) -> float | None:
    """The score of two problems with one answer if it is at least `least` and nothing contradicts it, else None.

    profiles: of the two statements. key: the answer that both have (`same_answer.answer_key`); empty if unknown.
    """
    most = rough_evidence(*profiles)
    if most < LEAST_EVIDENCE or not figures_agree(one, other) or not options_agree(one, other):
        return None
    found = compare(*profiles)
    score = found.score(telling(key))
    if found.contradicts or found.evidence < LEAST_EVIDENCE or score < least:
        return None
    if numbers_are_exchanged(one.gist, other.gist, _NUMBERS_IN_PLACE) or things_are_exchanged(one.gist, other.gist):
        return None
    return score


def telling(key: str) -> float:
    """How informative a shared answer is: 2 for "3", 6.5 for "1003", at most 8; 0 for none."""
    if not key:
        return 0.0
    found = 1.5
    for part in _PARTS.findall(key):
        if part[0].isdigit():
            digits = len(part.replace(".", "").strip("0")) + (len(part) - len(part.strip("0"))) / 2
            by_length = (1.0, 1.0, 2.5, 3.5, 5.0)[min(4, int(digits))]
            found += 0.5 if float(part) <= 4 else 1.0 if float(part) <= 12 else by_length
        else:
            found += 0.25 if part in "-=," else 0.5
    return min(8.0, found)


def _other_numbers(one: Profile, other: Profile) -> bool:
    """Whether each side has numbers that the other lacks, or has them more often where that is no mere repetition."""
    mine, theirs = one.numbers - other.numbers, other.numbers - one.numbers
    left, right = Counter(one.counts) - Counter(other.counts), Counter(other.counts) - Counter(one.counts)
    if mine and theirs:
        return True
    if (mine and _large(right) >= _EXCHANGED) or (theirs and _large(left) >= _EXCHANGED):
        return True
    replaced = any(map(_is_little, left)) and any(number in theirs or _is_little(number) for number in right)
    return replaced or (any(map(_is_little, right)) and any(number in mine or _is_little(number) for number in left))


def _large(counts: Mapping[str, int]) -> int:
    return sum(count for number, count in counts.items() if number not in SMALL)


def _is_little(number: str) -> bool:
    """Whether a number is one that is rarely repeated in other words: 12 or less."""
    return float(number) <= _LITTLE


def things_are_exchanged(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether a sentence was changed to other things: a spade and an ace for a heart and a ten, one word for another.

    Texts this similar were compared by `statements.same_problem` and found to differ.
    """
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if matcher.quick_ratio() < _ONE_SENTENCE or matcher.ratio() < _ONE_SENTENCE:
        return False
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag == "replace" and end - start == other_end - other_start <= 2:
            pairs = zip(ours[start:end], theirs[other_start:other_end], strict=True)
            if all(_is_thing(mine) and _is_thing(other) and not spelled_alike(mine, other) for mine, other in pairs):
                return True
    return False


def _is_thing(token: str) -> bool:
    return len(token) > 1 and token.isalpha() and token not in _GREEK and word_rarity(token) >= _THING


def _shared_items(one: Profile, other: Profile) -> float:
    words = sum(map(word_rarity, one.words & other.words))
    return words + sum(map(number_weight, one.numbers & other.numbers))
