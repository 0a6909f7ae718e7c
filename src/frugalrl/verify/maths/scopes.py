"""Names that an answer binds: the x of "for all x", the k of "k an integer", the variable of a set or function.

A bound name may be any letter: ``k\\pi, k \\in \\mathbb{Z}`` and ``n\\pi, n \\in \\mathbb{Z}`` are one answer.
Text in, text out; whether two bodies are the same is for `comparison` to say.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\\[A-Za-z]+|[A-Za-z]|.", re.DOTALL)
_SETS = r"\\mathbb ?\{ ?[A-Z] ?\}(?: ?\^ ?[*+]| ?\^ ?\{ ?[*+] ?\}| ?_ ?\{?[*+0-9]*\}?)?|[RZNQ]|\\text\{[^{}]{1,40}\}"
_LETTERS = r"[A-Za-z](?: ?, ?[A-Za-z]){0,3}"
_OPEN = (
    r"(?:,|;|\(|\[|\\text\{[ ,(]*(?:where|for|with|and|,)?[^{}\d]{0,24}\}"
    r"|where|for(?: some| any| every| all)?|with) ?"
)
_KIND = r"(?:non-?negative|positive|real|integers?|numbers?|natural|rational|nonzero|values? of)"
_EACH = r"(?: (?:all|any|every|each|some))"
_DECLARED = re.compile(rf"[ ,;]*(?:{_OPEN}){{1,2}}(?P<names>{_LETTERS}) ?\\in ?(?:{_SETS}) ?[)\]]?[. ]*$")
_WORDS = re.compile(
    rf"[ ,;(]*\\text\{{[ ,(]*(?:where|for|with|and){_EACH}?(?: {_KIND})* ?\}} ?(?P<names>{_LETTERS})"
    rf"(?: ?(?:\\in ?(?:{_SETS})|\\text\{{[^{{}}\d]{{1,50}}\}}))? ?[)]?[. ]*$"
)
_PLAIN_WORDS = re.compile(
    rf" ?[,(]? ?(?:where|for){_EACH}(?: {_KIND})* (?P<names>{_LETTERS})(?: ?\\in ?(?:{_SETS}))? ?[)]?[. ]*$"
)
_FOR_ALL = re.compile(
    rf"[ ,;(]*\\forall ?(?P<names>{_LETTERS})(?: ?(?:\\in|>|<|\\ge|\\le) ?(?:{_SETS}|-?\d+))? ?[)]?[. ]*$"
)
_TAILS = (_DECLARED, _WORDS, _PLAIN_WORDS, _FOR_ALL)
_MAX_TAIL = 160
_DOMAIN = rf" ?(?:\\in ?(?:{_SETS}|\([^()]*\)|\[[^()]*\])|(?:>|<|\\ge|\\le|\\ne) ?-?\d+)"
_SUCH_THAT = r"(?: ?(?:,|:|;|\\text\{[ ,]*(?:such that|s\.t\.|we have)[ ,]*\}|\\mid|such that))+"
_STATEMENT = re.compile(
    rf"\\(?P<quantifier>forall|exists) ?(?P<names>[A-Za-z](?: ?_ ?\{{?0\}}?)?)(?P<domain>(?:{_DOMAIN})?)"
    rf"{_SUCH_THAT} ?(?P<body>.+)"
)


@dataclass(frozen=True)
class Statement:
    """ "For all x in D: body", or "there is"."""

    quantifier: str
    name: str
    domain: str
    body: str


def without_scope(text: str) -> tuple[str, tuple[str, ...]]:
    """A cleaned value without what declares its names at its end ("for all x", "k an integer"), and those names."""
    names: list[str] = []
    for _ in range(3):
        start = max(0, len(text) - _MAX_TAIL)
        found = next((match for tail in _TAILS if (match := _last(tail, text, start)) is not None), None)
        if found is None or not text[: found.start()].strip(" ,;"):
            break
        names.extend(re.findall(r"[A-Za-z]", found.group("names")))
        text = text[: found.start()].strip(" ,;")
    return text, tuple(names)


def _last(tail: re.Pattern[str], text: str, start: int) -> re.Match[str] | None:
    is_possible = any(word in text for word in ("\\in", "\\forall", "for", "where"))
    return tail.search(text, start) if is_possible else None


def renamed(text: str, old: str, new: str) -> str:
    """A text with one letter for another wherever it is a name by itself, also in a product."""
    return "".join(new if token == old else token for token in _TOKEN.findall(text))


def letters(text: str) -> set[str]:
    """The single letters that a text uses as names."""
    outside = re.sub(r"\\text ?\{[^{}]*\}", " ", text)
    return {token for token in _TOKEN.findall(outside) if len(token) == 1 and token.isalpha()}


def aligned(answer: str, gold: str, answer_names: tuple[str, ...], gold_names: tuple[str, ...]) -> str:
    """An answer with its bound names written as the gold's, where that is possible one by one and without a clash.

    Where one side alone declares its names, the other's are the letters that the first does not use.
    """
    answer_letters, gold_letters = letters(answer), letters(gold)
    if gold_names and not answer_names:
        answer_names = tuple(sorted(answer_letters - gold_letters))
    elif answer_names and not gold_names:
        gold_names = tuple(sorted(gold_letters - answer_letters))
    olds = [name for name in answer_names if name in answer_letters]
    news = [name for name in gold_names if name in gold_letters]
    if len(olds) != len(news) or set(news) & (answer_letters - set(olds)):
        return answer
    for at, old in enumerate(olds):
        answer = renamed(answer, old, chr(0xE000 + at))
    for at, new in enumerate(news):
        answer = answer.replace(chr(0xE000 + at), new)
    return answer


def read_statement(text: str) -> Statement | None:
    """A statement that begins with a quantifier; None for anything else."""
    found = _STATEMENT.fullmatch(text) if text.startswith(("\\forall", "\\exists")) else None
    if found is None:
        return None
    domain = re.sub(r"\\in|\\mathbb|[{} ]", "", found.group("domain"))
    return Statement(found.group("quantifier"), found.group("names")[0], domain, found.group("body").strip())
