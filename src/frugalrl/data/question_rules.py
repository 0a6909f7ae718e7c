r"""Is a problem one question with one checkable answer? Rules on its text, each with its evidence.

A rule fires only on what it can quote: `Fault.evidence`. The first reason that applies is given, in the order of
`Reason`.

Policy:
- a proof is a fault if nothing else is asked; "find, with proof, ..." has an answer to check and is kept;
- parts are a fault if two of them ask; conditions (i), (ii) before one question are none;
- several answers: two questions or two blanks outside labelled parts; "find all x" asks for one set and is kept;
- drawing code (``[asy]``) counts as the figure being there unless `drawings_count` is False;
- a text that says "as shown in the figure" without one is a fault even if its words might do.

- what the rules quote is a fault in any language; that nothing is asked can be said only of an English text, and
  whether the others ask one question is not judged (`is_judged`).

Not covered: whether the question makes sense, whether its answer is right.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from frugalrl.data.answer_options import options_start
from frugalrl.data.normalise import with_blank_figures

Reason = Literal[
    "empty", "url_or_image", "multiple_choice", "proof", "multi_part", "needs_figure", "several_answers", "no_question"
]
ENGLISH, UNKNOWN_LANGUAGE = "en", "unknown"
_EVIDENCE_CHARS = 120

_IMAGE = re.compile(
    r"!\[[^\]]*\]\([^)\s]+\)|\\includegraphics|<img\b[^>]*>|\[img\b[^\]]*\]"
    r"|https?://\S+?\.(?:png|jpe?g|gif|svg|bmp)\b|https?://\S*(?:/attachments/|/images?/)\S*",
    re.IGNORECASE,
)
_DRAWING = re.compile(
    r"\\begin\{(?:array|tabular|[a-z]?matrix|table)\}|\n\s*\|.*\||\[asy\]|\\begin\{(?:tikzpicture|asy|picture)\}|\bunitsize\("
    r"|\bdraw\(\(|\bpair [A-Z]\b"
)
_LETTER_ANSWER = re.compile(r"\W*(?:\\(?:text|textbf|mathrm|mathbf|boxed)\{?)?\W*[A-E]\W*")
_CHOICE = re.compile(
    r"\b(?:which|what|one) (?:one )?of the following|\bthe correct (?:option|answer|choice|statement)", re.I
)

_START = r"(?:^|[.:;?!\n]\s*|\$\$\s*|\\\]\s*|[)\]}*]\s+|\.\$+\s+|,\s+|\b(?:then|please|also|and)[,:]?\s+|\*\*\s*)"
_PROVE = re.compile(
    rf"{_START}((?:prove|disprove)\b(?! the answer)(?=\s*:|\s+"
    r"(?:that|the|or|if|there|for|this|these|it|each|every|a|an|in|by|using|whether|\$|\\))|show\s*(?:,[^,.]*,\s*)?(?::|that\b)|demonstrate\s+that\b|verify\s+that\b|establish\s+that\b"
    r"|give a proof\b)",
    re.IGNORECASE,
)
_ASK_WORDS = (
    r"find|determine|calculate|compute|evaluate|what|how\s+(?:many|much|long|far|old|tall|fast|often|big|large|high|wide)"
    r"|which|solve|express|simplify|factor(?:ize|ise)?|who|when\s+will|when\s+did|where\s+(?:is|does)|estimate|list|name"
    r"|give|state|write|convert|expand|identify|describe|obtain|derive|round|enter|count|specify|complete|fill|choose"
    r"|is\s+it|does|can|are\s+there|is\s+there|do|will|must|could|should|why|explain|arrange|construct|sketch|draw|plot"
    r"|multiply"
    r"|provide|transform|exhibit|replace|insert"
    r"|come up with|perform|remove|arrange|add|subtract|divide|approximate|rewrite|true\s+or\s+false"
    r"|prove|show|establish|verify|justify|put|use|apply"
    r"|minimi[sz]e|maximi[sz]e|differentiate|integrate|translate|decide|check|compare|order|rank|select|deduce|guess|predict|reduce|classify|let's|help|how"
)
_ASK = re.compile(rf"\b(?:{_ASK_WORDS})\b", re.IGNORECASE)
_STRONG_ASK = re.compile(
    r"\b(?:find|determine|calculate|compute|evaluate|solve|simplify|factori[sz]e|estimate|prove|show\s+that|how\s+(?:many|much|long|far)"
    r"|what\s+(?:is|are|was|will|would|fraction|percent\w*|number|value)|write|express|discuss|explain|describe|sketch|draw|list)\b",
    re.IGNORECASE,
)
_BLANK = re.compile(
    r"_{2,}|\\underline\{(?:\s|\\[a-z]*space\*?\{[^{}]*\}|\\q*uad|\\[ ,;:!]|~)*\}|\\_\s?\\_(?:\s?\\_)*|＿+"
    r"|\(\s{1,8}\)|\\boxed\{[^{}]*\}"
    r"|\\\(\s*\\q*uad\s*\\\)|\$\s*\\q*uad\s*\$|[(（]\s*(?:\\q*uad\s*)*[)）]"
)
_OPEN_END = re.compile(
    r"(?:=|:|\b(?:is|are|equals?|be|to|by|of|has|have|in|at|approximately)|\.{3}|\?|…)[\s$.,)\\\]]*$", re.IGNORECASE
)

_ROMAN = r"(?<![\w\\^_)}}|])[(（]\s*\$?\s*(?:\\(?:rm|mathrm|text)\s*\{{?)?{0}\}}?\s*\$?\s*[)）]"
_PART_LABELS = (
    tuple(rf"(?<![\w\\^_)}}|])\$?[(（]\s*\$?\s*{label}\s*\$?\s*[)）]\$?" for label in ("1", "2", "3", "4")),
    tuple(rf"(?<![\w\\^_)}}|])[(（]\s*\$?\s*{label}\s*\$?\s*[)）]" for label in "abcd"),
    tuple(map(_ROMAN.format, ("i", "ii", "iii", "iv"))),
    tuple(map(_ROMAN.format, ("(?:I|Ⅰ)", "(?:II|Ⅱ)", "(?:III|Ⅲ)", "(?:IV|Ⅳ)"))),
    tuple(rf"(?:^|\n)\s*(?:\*\*)?{label}[.)](?!\d)" for label in ("1", "2", "3", "4")),
    tuple(rf"(?:^|[\n.?:;,])\s*(?:\*\*)?{label}\)" for label in "abcd"),
    tuple(rf"\b[Pp]art\s+\(?{label}\b" for label in ("(?:A|a|1|I)", "(?:B|b|2|II)", "(?:C|c|3|III)", "(?:D|d|4|IV)")),
    ("①", "②", "③", "④"),
)  # fmt: skip
_PARTS = tuple(tuple(map(re.compile, labels)) for labels in _PART_LABELS)

_PICTURE = r"(?:figures?|diagrams?|pictures?|graphs?(?!\s+paper)|illustrations?|drawings?|sketch"
_PICTURE += r"|chart|pie chart|bar graph|histogram|image|maps?)"
_FIGURE = re.compile(
    rf"\b(?:(?:as\s+)?(?:is\s+|are\s+)?(?:shown|pictured|depicted|illustrated|drawn|displayed|indicated|marked|seen|given)\s+"
    rf"(?:\w+\s+)?(?:in|on|by)\s+(?:the\s+)?(?:\w+\s+){{0,2}}{_PICTURE}\b"
    rf"|(?:as\s+|are\s+|is\s+)(?:shown|pictured|depicted|illustrated|graphed)(?=\s*[.,;?]|\s+(?:below|above|here|at\s+(?:the\s+)?(?:right|left)|to\s+the))"
    rf"|(?:shown|pictured|depicted|graphed|illustrated)\s+(?:\w+\s+)?(?:below|above|here|at\s+(?:the\s+)?(?:right|left))"
    rf"|(?:in|from|on|see|to|using)\s+the\s+(?:(?:following|accompanying|adjacent|adjoining|attached|above|given|below|shown|provided)\s+)?"
    rf"(?:figure|diagram|picture|illustration|drawing|sketch|image|pie chart|bar graph)\b"
    rf"(?!\s+(?:of|formed|that|which|obtained|consist|with))"
    rf"|{_PICTURE}\s+(?:(?:is|are)\s+)?(?:shown|below|above|on\s+the\s+(?:right|left)|at\s+(?:the\s+)?(?:right|left)|to\s+the\s+(?:right|left))\b"
    rf"|(?:see|the|this)\s+(?:figure|diagram|picture|graph)\s+(?:shows|below|above|illustrates|depicts)|\(?see\s+(?:the\s+)?{_PICTURE}\b|\b[Ff]ig(?:ure|\.)\s?\d+)",
    re.IGNORECASE,
)
_IMAGE_HINTS = ("![", "includegraphics", "<img", "[img", "http")
_PROVE_HINTS = ("prove", "show", "demonstrate", "verify", "establish", "proof")
_FIGURE_HINTS = tuple(
    "fig diagram pictur graph illustrat drawing sketch chart histogram image map shown depicted".split()  # noqa: SIM905
)
_ENGLISH_WORD = re.compile(r"\b(?:if|then|the|let|and|such|that|there|with|each|where|are)\b")
_SENTENCE = re.compile(r"(?<=[.?!])\s+|\n+")
_QUOTED = re.compile(r'"[^"]*"|“[^”]*”|``[^`\']*\'\'')
_REPHRASED = re.compile(r"\s*\(?(?:that is|in other words|i\.e\.)", re.IGNORECASE)
_QUESTION = re.compile(
    r"\b(?:what|how\s+(?:many|much|long|far|old|tall|fast)|which|who|where|when|find|determine|calculate|compute)\b[^.?!]*\?\s*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fault:
    """Why a problem is not one question with one checkable answer."""

    reason: Reason
    evidence: str
    """The words that the rule matched, at most 120 characters of the text."""


def question_fault(
    text: str,
    answer: str | None = None,
    solution: str | None = None,
    drawings_count: bool = True,
    language: str = ENGLISH,
) -> Fault | None:
    """The first fault of a problem; None if it is one question with one checkable answer, as far as rules can tell.

    answer: the raw gold; a single letter supports a multiple choice. solution: with an empty answer and no box in the
    solution, a proof asked along with something else counts too. drawings_count: whether drawing code counts as a
    figure. language: of the text (ISO 639-1), or "unknown".
    """
    if not re.search(r"\w", text):
        return Fault("empty", text.strip()[:_EVIDENCE_CHARS])
    nothing_to_check = answer is not None and not answer.strip() and "\\boxed" not in (solution or "")
    return (
        _quoted("url_or_image", text, _search(_IMAGE, text, _IMAGE_HINTS))
        or _multiple_choice(text, answer)
        or _proof(text, nothing_to_check)
        or _multi_part(text)
        or _needs_figure(text, drawings_count)
        or _several_answers(text)
        or (_no_question(text) if language == ENGLISH or _has_english(text, language) else None)
    )


def is_judged(text: str, language: str) -> bool:
    """Whether the rules could have read a text in which they found no fault.

    They read English, and whatever shows a question: a question mark, a blank, or an English word that asks.
    """
    if language == ENGLISH:
        return True
    return language == UNKNOWN_LANGUAGE and _no_question(text) is None


def _has_english(text: str, language: str) -> bool:
    """Whether a text too short for its language to be known has words that only English has."""
    return language == UNKNOWN_LANGUAGE and len(set(_ENGLISH_WORD.findall(text.lower()))) >= 2


def _multiple_choice(text: str, answer: str | None) -> Fault | None:
    start = options_start(text)
    if start is not None:
        return Fault("multiple_choice", _short(text[start:]))
    if answer is not None and _LETTER_ANSWER.fullmatch(answer):
        return _quoted("multiple_choice", text, _CHOICE.search(text))
    return None


def _proof(text: str, nothing_to_check: bool) -> Fault | None:
    found = _search(_PROVE, text, _PROVE_HINTS)
    if found is None:
        return None
    sentences = [sentence for sentence in _SENTENCE.split(text) if sentence]
    others = [sentence for sentence in sentences if not _PROVE.search(sentence)]
    asked = any(_STRONG_ASK.search(sentence) or sentence.rstrip().endswith("?") for sentence in others)
    before = text[: found.start(1)]
    asked = asked or _STRONG_ASK.search(_SENTENCE.split(before)[-1]) is not None
    asked = asked or re.search(r"\band\s+(?:find|determine|compute|calculate)\b", text[found.end() :]) is not None
    return None if asked and not nothing_to_check else Fault("proof", _short(text[found.start(1) :]))


def _multi_part(text: str) -> Fault | None:
    for labels in _PARTS:
        parts = _parts(text, labels)
        asking = [part for part in parts if _asks(part)]
        if len(asking) >= 2:
            return Fault("multi_part", f"{_short(asking[0], 56)} ... {_short(asking[1], 56)}")
    return None


def _parts(text: str, labels: tuple[re.Pattern[str], ...]) -> list[str]:
    """The text after each label, as far as labels follow in order; empty if there are not two."""
    cuts: list[tuple[int, int]] = []
    at = 0
    for label in labels:
        found = label.search(text, at)
        if found is None:
            break
        cuts.append(found.span())
        at = found.end()
    if len(cuts) < 2:
        return []
    ends = [start for start, _ in cuts[1:]] + [len(text)]
    return [text[start:end] for (_, start), end in zip(cuts, ends, strict=True)]


def _asks(part: str) -> bool:
    return "?" in part or _STRONG_ASK.search(part) is not None or _BLANK.search(part) is not None


def _needs_figure(text: str, drawings_count: bool) -> Fault | None:
    found = _search(_FIGURE, text, _FIGURE_HINTS)
    if found is None or (drawings_count and _DRAWING.search(text)):
        return None
    return _quoted("needs_figure", text, found)


def _several_answers(text: str) -> Fault | None:
    text = with_blank_figures(text)
    blanks = [found for found in _BLANK.finditer(text) if not found.group().startswith(("(", "（", "\\boxed{"))]
    if len(blanks) >= 2:
        return Fault("several_answers", _short(text[max(0, blanks[0].start() - 50) :]))
    sentences = _SENTENCE.split(_QUOTED.sub(" ", text))
    questions = [one for one in dict.fromkeys(sentences) if _QUESTION.search(one) and not _REPHRASED.match(one)]
    if len(questions) >= 2:
        return Fault("several_answers", f"{_short(questions[0], 56)} ... {_short(questions[1], 56)}")
    return None


def _no_question(text: str) -> Fault | None:
    if "?" in text or "？" in text or _ASK.search(text) or _BLANK.search(text) or _OPEN_END.search(text):
        return None
    last = _SENTENCE.split(text.strip())[-1]
    if last.startswith("The "):  # "The largest k such that ...": a question without its verb
        return None
    return Fault("no_question", _short(text[-_EVIDENCE_CHARS:])) if len(text.split()) >= 6 else None


def _search(pattern: re.Pattern[str], text: str, hints: Sequence[str]) -> re.Match[str] | None:
    """The pattern's first match. Searched only if the text contains a hint: every match has one, in lower case.

    In ASCII texts only: elsewhere patterns that ignore case take letters for others that `lower` does not.
    """
    if text.isascii():
        lowered = text.lower()
        if not any(hint in lowered for hint in hints):
            return None
    return pattern.search(text)


def _quoted(reason: Reason, text: str, found: re.Match[str] | None) -> Fault | None:
    if found is None:
        return None
    start = max(0, found.start() - 20)
    return Fault(reason, _short(text[start : found.end() + 40]))


def _short(text: str, chars: int = _EVIDENCE_CHARS) -> str:
    return " ".join(text.split())[:chars]
