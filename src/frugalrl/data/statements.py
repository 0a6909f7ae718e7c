r"""Whether two problem statements are the same problem, decided token by token.

Similarity alone is not enough: two problems that differ in one number are 95 % similar. So it is checked last, after
what the mathematics depends on. `same_problem` requires, in this order:

1. the same numbers, as a multiset;
2. the same operators, relations, functions and significant words (`_SIGNIFICANT`: minimum, not, odd, left, area ...);
3. the same variables, under their own names or renamed by order of occurrence;
4. no stretch of several content words replaced by others, no two words that changed places;
5. a similarity of the content tokens (difflib's ratio) of at least the threshold.

Filler words of a question ("find", "determine", "given that") are not content; synonyms count as one word.
Options of a multiple choice and sentences on how to write the answer are compared only where both texts have them.

Not covered: translations, reordered statements, paraphrases in other words and other symbols.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from frugalrl.data.answer_options import options_start
from frugalrl.data.normalise import (
    canonical,
    figure_code,
    key_of,
    without_answer_format,
    without_variable_names,
    words,
)

DEFAULT_THRESHOLD = 0.8
"""Of content tokens; chosen on 150 candidate pairs of two public pools, read by eye (docs/curation-steps.md)."""

_FILLER = frozenset(
    "a an the of is are was were be been being find determine calculate compute evaluate what which how given that let "  # noqa: SIM905
    "if suppose assume then such so where there here this these those it its has have having had with for to in on as "
    "we you i me my your please show value values number numbers equal equals equivalent give know known denote "
    "denoted denotes defined define called consider following follows can could may possible by at from does do did "
    "will would "
    "respectively also and note per expression your solve satisfy satisfies satisfying satisfied real their his her "
    "they he she get gets many much into when s whose want wants wishes new own us also problem question".split()
)
_SYNONYMS = {
    "least": "smallest", "minimum": "smallest", "minimal": "smallest", "lowest": "smallest", "min": "smallest",
    "greatest": "largest", "maximum": "largest", "maximal": "largest", "biggest": "largest", "highest": "largest",
    "max": "largest", "divisor": "factor", "divisors": "factor", "factors": "factor", "circumcircle": "circumcircle",
    "endpoints": "end", "ends": "end", "chosen": "select", "selected": "select", "picked": "select", "choose": "select",
    "meets": "intersect", "meet": "intersect", "nonnegative": "nonnegative", "edge": "side", "distinct": "different",
    "identical": "same", "lie": "lie", "lies": "lie", "located": "lie", "zeros": "root", "zeroes": "root",
    "infinity": "infty", "roots": "root", "solutions": "solution", "persons": "person", "people": "person",
}  # fmt: skip
_SIGNIFICANT = frozenset(
    "smallest largest not no none never neither nor without except only exactly all every each any some either both or "  # noqa: SIM905
    "odd even prime composite left right first second third fourth fifth last next previous more less fewer most than "
    "before after above below inside outside over under up down increasing decreasing increase decrease increased "
    "decreased positive negative nonzero zero non rational irrational integer complex unit "
    "sum product difference quotient ratio remainder mean median mode average range probability percent fraction half "
    "third quarter twice double triple thrice square cube squared cubed root "
    "area perimeter volume radius diameter circumference surface length width height depth angle side diagonal median "
    "altitude hypotenuse base inscribed circumscribed inradius circumradius incenter circumcenter centroid orthocenter "
    "circle sphere triangle rectangle rhombus trapezoid parallelogram pentagon hexagon octagon cone cylinder pyramid "
    "tetrahedron prism ellipse parabola hyperbola major minor row column rows columns horizontal vertical parallel "
    "perp perpendicular tangent interior exterior internal external acute obtuse equilateral isosceles scalene regular "
    "sin cos tan cot sec csc arcsin arccos arctan log ln lg exp sqrt mod gcd lcm det lfloor rfloor lceil rceil binom "
    "choose union intersection cup cap subset sup inf lim int prod "
    "north south east west clockwise counterclockwise monday tuesday wednesday thursday friday saturday sunday "
    "red blue green yellow black white king queen jack ace heartsuit diamondsuit clubsuit spadesuit heads tails heads "
    "distinguishable indistinguishable ordered unordered with replacement simple compound compounded true false "
    "must consecutive same different opposite adjacent inclusive exclusive open closed domain vertex focus "
    "foci center midpoint win lose wins loses win gain loss profit discount numerator denominator x-coordinate "
    "arithmetic geometric harmonic bisector least most shorter longer shortest longest younger older taller "
    "hour hours minute minutes second seconds day days week month year miles mile kilometers km feet foot inches inch "
    "meters centimeters yards gallons liters binary decimal digit digits multiple term divisible divides factor "
    "projection reflection rotation translation dilation infty "
    "strictly nonempty empty maximum minimum imaginary conjugate reciprocal inverse negation initial final".split()
)
_OPERATORS = frozenset("+-*/^=<>|≤≥≠≡±!%'")
_SOFT = frozenset("()[]")
NEGATIONS = frozenset({"not", "no", "none", "never", "neither", "nor", "without", "except", "non"})
_FIGURE_WORDS = frozenset("figure diagram graph graphed shown below above picture pictured chart follows grid".split())  # noqa: SIM905
_SELF_CONTAINED = 25
"""Minimum content tokens of a geometry problem that says in words what its drawing shows."""
_TELLING = 12
"""With fewer content tokens, "what is x in the figure?" is as good as no text."""
_SAME_OPTIONS = 0.95
"""Similarity of the options' tokens: under one case many questions share most words of their options."""
_ALIKE = 0.65
"""Minimum similarity of letters at which a changed word is a spelling variant (colour, color), not another thing."""


@dataclass(frozen=True)
class Statement:
    """A problem parsed for comparison; made by `read_statement`."""

    key: str
    """Key of the full text for exact duplicates."""
    stem: tuple[str, ...]
    """Normalised tokens without options and without how to write the answer."""
    options: tuple[str, ...]
    """Normalised tokens of the options of a multiple choice."""
    answer_format: tuple[str, ...]
    """Normalised numbers of the sentences on how to write the answer, if there are such sentences."""
    numbers: tuple[str, ...]
    """The stem's numbers, sorted, in canonical spelling."""
    figure: str
    """The code of a drawing in the text; empty without one."""
    gist: tuple[str, ...]
    """The stem's content: no fillers, synonyms as one word, stemmed; variables keep their names."""


@dataclass(frozen=True)
class Sameness:
    """Why two statements are the same problem."""

    kind: str
    """``"exact"``: the same normalised text; ``"renamed"``: but for variables' names; ``"near"``: but for wording;
    ``"reworded"``: other words, and the same answer (`same_answer`)."""
    similarity: float
    """Of content tokens, 0..1."""
    why: str


def read_statement(text: str) -> Statement:
    """A problem's text, parsed."""
    start = options_start(text)
    has_stem = start is not None and len(text[:start].split()) >= 4
    stem_text, options_text = (text[:start], text[start:]) if has_stem else (text, "")
    question = without_answer_format(stem_text)
    stem = words(question)
    whole = stem if question == text else words(text)
    figure = figure_code(text)
    left_out = Counter(numbers_of(words(stem_text))) - Counter(numbers_of(stem)) if question != stem_text else Counter()
    return Statement(
        key=canonical(text) if figure else key_of(whole),
        stem=stem,
        options=words(options_text) if options_text else (),
        answer_format=tuple(sorted(left_out.elements())),
        numbers=numbers_of(stem),
        figure=figure,
        gist=_gist(stem),
    )


def numbers_of(tokens: Sequence[str]) -> tuple[str, ...]:
    """The numbers among tokens, sorted: ``007`` is 7 and ``0.50`` is 0.5."""
    return tuple(
        sorted(plain_number(token) for token in tokens if token[0].isdigit() or (token[0] == "." and token[1:]))
    )


def same_problem(one: Statement, other: Statement, threshold: float = DEFAULT_THRESHOLD) -> Sameness | None:
    """Why two statements are the same problem; None if they are not, or if the text does not establish it."""
    if one.key == other.key:
        return Sameness("exact", 1.0, "the same text after normalisation")
    if one.numbers != other.numbers or not one.gist or not other.gist:
        return None
    if (
        not figures_agree(one, other)
        or not options_agree(one, other)
        or ((one.answer_format and other.answer_format) and (one.answer_format != other.answer_format))
    ):
        return None
    if one.stem == other.stem:
        return Sameness("exact", 1.0, "the same question; options or the form of the answer differ")
    if key_of(one.stem) == key_of(other.stem):
        return Sameness("exact", 1.0, "the same question but for spaces")
    if without_variable_names(one.stem) == without_variable_names(other.stem):
        return Sameness("renamed", 1.0, "the same question with other names of variables")
    return _near(one, other, threshold)


def figures_agree(one: Statement, other: Statement) -> bool:
    """Whether the drawings are compatible: where they matter, they must be the same."""
    size = min(len(one.gist), len(other.gist))
    if one.figure and other.figure:
        in_words = size >= _SELF_CONTAINED and _FIGURE_WORDS.isdisjoint({*one.stem, *other.stem} - {"diagram"})
        return one.figure == other.figure or in_words
    refers = not _FIGURE_WORDS.isdisjoint({*one.stem, *other.stem})
    if (refers or one.figure or other.figure) and size < _TELLING:
        return not one.figure and not other.figure and one.stem == other.stem
    return True


def _near(one: Statement, other: Statement, threshold: float) -> Sameness | None:
    if _significant(one.gist) != _significant(other.gist):
        return None
    ours, theirs = one.gist, other.gist
    if _variables(ours) != _variables(theirs):
        ours, theirs = without_variable_names(ours), without_variable_names(theirs)
        if _variables(ours) != _variables(theirs):
            return None
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    if matcher.real_quick_ratio() < threshold or matcher.quick_ratio() < threshold:
        return None
    changes = [(ours[i:j], theirs[k:m]) for tag, i, j, k, m in matcher.get_opcodes() if tag != "equal"]
    if any(_is_another_question(left, right, ours, theirs) for left, right in changes) or _is_one_word(changes):
        return None
    if len([token for token in ours if not _is_sign(token)]) < 5 and _brackets(one.stem) != _brackets(other.stem):
        return None
    similarity = matcher.ratio()
    if similarity < threshold:
        return None
    shown = "; ".join(f"{' '.join(left) or '-'} / {' '.join(right) or '-'}" for left, right in changes[:4])
    return Sameness("near", similarity, f"numbers, signs and significant words agree; changed: {shown or 'fillers'}")


def _is_another_question(
    left: tuple[str, ...], right: tuple[str, ...], ours: Sequence[str], theirs: Sequence[str]
) -> bool:
    """Whether one change makes another problem: signs moved, words swapped, a stretch replaced."""
    signs_left, signs_right = (
        [token for token in side if _is_sign(token) and token not in _SOFT] for side in (left, right)
    )
    if signs_left and signs_right and signs_left != signs_right:
        return True
    if not NEGATIONS.isdisjoint((*left, *right)):
        return True
    if len(left) == len(right) == 1 and left[0] in theirs and right[0] in ours:
        return True
    words_left, words_right = ([token for token in side if not _is_sign(token)] for side in (left, right))
    return min(len(words_left), len(words_right)) >= 3 or max(len(words_left), len(words_right)) > 8


def _is_one_word(changes: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> bool:
    """Whether all that changed is one word (wherever it occurs), and not merely its spelling."""
    if len(set(changes)) != 1:
        return False
    left, right = changes[0]
    if len(left) != 1 or len(right) != 1:
        return False
    return not spelled_alike(left[0], right[0])


def spelled_alike(one: str, other: str) -> bool:
    """Whether two words are two spellings of one (colour, color)."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE


def _brackets(stem: Sequence[str]) -> str:
    return "".join(token for token in stem if token in _SOFT or token in _OPERATORS)


def options_agree(one: Statement, other: Statement) -> bool:
    """Whether the options of a multiple choice, where both texts have them, are the same."""
    if not one.options or not other.options:
        return True
    if numbers_of(one.options) != numbers_of(other.options):
        return False
    return SequenceMatcher(None, one.options, other.options, autojunk=False).ratio() >= _SAME_OPTIONS


def _gist(stem: Sequence[str]) -> tuple[str, ...]:
    gist = []
    for at, token in enumerate(stem):
        content = _content(token)
        if content is not None:
            gist.append(content)
        elif len(token) == 1 and not is_article(stem, at):
            gist.append(token)
    while gist and gist[-1] == "=":
        gist.pop()
    return tuple(gist)


@functools.lru_cache(maxsize=1 << 16)
def _content(token: str) -> str | None:
    """A token's form in a gist; None for a filler. Most tokens of a pool are among a few thousand."""
    token = _SYNONYMS.get(token, token)
    return None if token in _FILLER else _stemmed(token)


def is_article(stem: Sequence[str], at: int) -> bool:
    """Whether "a", "i" or "s" is a word here: an article precedes a word and follows no operator."""
    following = stem[at + 1] if at + 1 < len(stem) else "="
    before = stem[at - 1] if at else "start"
    return stem[at] in "as" and len(following) > 1 and following.isalpha() and len(before) > 1 and before[0].isalpha()


def _stemmed(token: str) -> str:
    if len(token) > 4 and token not in _SIGNIFICANT:
        for ending in ("ing", "ed", "es", "s"):
            if token.endswith(ending) and len(token) - len(ending) >= 3:
                return token[: -len(ending)]
        return token[:-1] if token.endswith("e") else token
    return token[:-1] if len(token) > 4 and token.endswith("s") and token[:-1] in _SIGNIFICANT else token


def _is_sign(token: str) -> bool:
    return token in _OPERATORS or token[0].isdigit() or token in _SOFT or (len(token) == 1 and token.isalpha())


def _significant(gist: Sequence[str]) -> Counter[str]:
    return Counter(
        token for token in gist if token in _OPERATORS or token in _SIGNIFICANT or f"{token}s" in _SIGNIFICANT
    )


def carries_weight(token: str) -> bool:
    """Whether a problem depends on a token of its gist: a sign, number, variable, negation or significant word."""
    return (_is_sign(token) and token not in _SOFT) or token in _SIGNIFICANT or token in NEGATIONS


def _variables(gist: Sequence[str]) -> list[str]:
    """Variables in order, and numbers and operators among them."""
    return [token for token in gist if (_is_sign(token) and token not in _SOFT) or _is_renamed(token)]


def _is_renamed(token: str) -> bool:
    return token[0] == "v" and token[1:].isdigit()


def plain_number(token: str) -> str:
    """A number in canonical spelling: ``007`` is 7 and ``0.50`` is 0.5."""
    whole, dot, decimals = token.partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole.lstrip('0') or '0'}{'.' if decimals else ''}{decimals}" if dot or whole.startswith("0") else token
